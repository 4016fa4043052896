/** The machine as a whole: its nodes, its time. */
import { columns, type MonitorCommand } from "./command.ts";

const decimal = (n: number): string => String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, ",");

export const machineCommands: readonly MonitorCommand[] = [
  {
    name: "nodes",
    usage: "nodes",
    help: "every node: state, cores, memory, instructions, what its cores do",
    run: ({ view }) =>
      columns([
        ["node", "state", "cores", "memory", "instructions", "doing"],
        ...view.control.machine.nodes.map((node) => [
          `n${node.nid}`,
          node.state,
          String(node.engine.cores.length),
          `${node.options.ramBytes / 2 ** 20} MB`,
          decimal(node.instructions),
          node.engine.cores.map((_, core) => view.describe({ nid: node.nid, core })).join(" | "),
        ]),
      ]),
  },
  {
    name: "time",
    usage: "time",
    help: "virtual time of the machine and of each core of the node",
    run: ({ id, view }) => {
      const { machine } = view.control;
      const node = machine.node(id.nid)!;
      return [
        `machine: ${decimal(machine.time)} ns reached by every node, ${decimal(machine.instructions)} instructions`,
        ...columns(
          node.engine.cores.map((core, i) => [
            `n${id.nid}.c${i}`,
            `${decimal(core.time)} ns`,
            view.describe({ nid: id.nid, core: i }),
          ]),
        ),
      ];
    },
  },
];
