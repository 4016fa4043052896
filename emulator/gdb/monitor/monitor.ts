/**
 * `monitor COMMAND` in gdb: the table of commands, and the search in it. Commands apply to the selected thread's node
 * and core.
 */
import type { KernelView } from "../kernel.ts";
import type { CoreId, OwnPoints } from "../target.ts";
import { columns, type MonitorCommand, MonitorError } from "./command.ts";
import { interruptCommands } from "./interrupts.ts";
import { jobCommands } from "./jobs.ts";
import { machineCommands } from "./machine.ts";
import { messageCommands } from "./messages.ts";
import { pagingCommands } from "./paging.ts";
import { placeCommands } from "./places.ts";
import { recorderCommands } from "./recorder.ts";
import { tableCommands } from "./tables.ts";
import type { LiveTrace } from "./trace.ts";

const help: MonitorCommand = {
  name: "help",
  usage: "help",
  help: "this list",
  run: () => columns(monitorCommands.map((c) => [c.usage, c.help])),
};

export const monitorCommands: readonly MonitorCommand[] = [
  help,
  ...machineCommands,
  ...interruptCommands,
  ...pagingCommands,
  ...tableCommands,
  ...jobCommands,
  ...messageCommands,
  ...recorderCommands,
  ...placeCommands,
];

/** Answers one line; never throws for a user's input. */
export function monitor(line: string, id: CoreId, view: KernelView, points: OwnPoints, trace: LiveTrace): string {
  const [name = "", ...words] = line.trim().split(/\s+/);
  const matching = monitorCommands.filter((c) => c.name.startsWith(name));
  const command =
    monitorCommands.find((c) => c.name === name) ?? (name !== "" && matching.length === 1 ? matching[0] : undefined);
  if (command === undefined) {
    const which =
      matching.length > 1 && name !== ""
        ? `: one of ${matching.map((c) => c.name).join(", ")}?`
        : ": 'monitor help' lists what there is";
    return `no monitor command '${name}'${which}\n`;
  }
  try {
    return `${command.run({ id, view, points, trace, words }).join("\n")}\n`;
  } catch (error) {
    if (error instanceof MonitorError) return `${error.message}; usage: monitor ${command.usage}\n`;
    throw error;
  }
}
