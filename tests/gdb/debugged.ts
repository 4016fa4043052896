/**
 * A machine with the real kernel under the stub, driven by a Client in the test's process: `runCluster({ drive: … })`.
 */
import fs from "node:fs";
import path from "node:path";
import { type LoadedImage, loadedImage } from "../../emulator/gdb/image.ts";
import { KernelView } from "../../emulator/gdb/kernel.ts";
import { MachineTarget } from "../../emulator/gdb/machine.ts";
import { monitor } from "../../emulator/gdb/monitor/monitor.ts";
import { LiveTrace } from "../../emulator/gdb/monitor/trace.ts";
import { RunControl } from "../../emulator/machine/control.ts";
import type { Machine, RunOptions, RunReason } from "../../emulator/machine/machine.ts";
import { Symboliser } from "../../emulator/trace/symbolise.ts";
import { SymbolTable } from "../../emulator/trace/symbols.ts";
import { packageRoot } from "../system/command.ts";
import { Client } from "./client.ts";

const out = path.join(packageRoot, "images/out");

export class Debugged extends Client {
  readonly view: KernelView;
  private readonly images: readonly LoadedImage[];
  private readonly machineTarget: MachineTarget;

  constructor(machine: Machine, options: RunOptions, program: string) {
    const files = [path.join(out, "kernel.elf"), path.join(out, "init.elf"), path.join(out, "bin", program)];
    const images = files.map((file) => loadedImage(file, fs.readFileSync(file)));
    const control = new RunControl(machine);
    const symboliser = new Symboliser(images.map((image) => image.bytes));
    const view = new KernelView(control, images[0]!.bytes, () => symboliser, program);
    const live = new LiveTrace((address) => symboliser.nameOf(address));
    live.attach(machine);
    const target = new MachineTarget({
      control,
      images,
      monitor: (id, command, points) => monitor(command, id, view, points, live),
      describe: (id) => view.describe(id),
      tasks: (nid) => view.tasks(nid),
    });
    target.runOptions = options;
    super(target);
    this.view = view;
    this.images = images;
    this.machineTarget = target;
    this.greet();
    for (const nid of [...target.nids].reverse()) this.ask(`vAttach;${nid.toString(16)}`);
  }

  /** Why the run returned. */
  get reason(): RunReason {
    return this.machineTarget.reason;
  }

  /** Address of a function of kernel, init or program. */
  address(name: string): bigint {
    for (const image of this.images) {
      const symbol = SymbolTable.fromElf(image.bytes).find(name);
      if (symbol !== undefined) return symbol.address;
    }
    throw new Error(`no symbol ${name}`);
  }

  /** The same for the program, if init has a symbol of that name, too. */
  program(name: string): bigint {
    return SymbolTable.fromElf(this.images.at(-1)!.bytes).find(name)!.address;
  }

  select(nid: number, core: number): void {
    this.ask(`Hgp${nid.toString(16)}.${(core + 1).toString(16)}`);
  }

  monitor(command: string): string {
    return this.ask(`qRcmd,${Buffer.from(command).toString("hex")}`)
      .split("|")
      .filter((reply) => reply.startsWith("O") && reply !== "OK")
      .map((reply) => Buffer.from(reply.slice(1), "hex").toString())
      .join("");
  }

  /** Console text of the last answers. */
  get console(): string {
    return this.received
      .filter((reply) => /^O(?:[0-9a-f]{2})+$/.test(reply))
      .map((reply) => Buffer.from(reply.slice(1), "hex").toString())
      .join("");
  }

  /** Runs the machine to its own end. */
  finish(): RunReason {
    this.ask("D");
    for (let i = 0; i < 1e6; i++) if (this.stub.advance(1_000_000) === "end") return this.reason;
    throw new Error("the run does not end");
  }
}
