/**
 * A node: an engine with its cores, the devices of QEMU's microvm,acpi=off, and the scheduler that interleaves them.
 *
 * Order (what defines a run). Time is cut into quanta of Q ns on a grid from 0. In each quantum the cores run one after the other, each
 * for the whole quantum. A node event (frame arrival, typed input) inside a quantum cuts it in two for all cores, so it happens at its
 * exact time for each. A core's own events (timer, arriving interrupt) only cut that core's run. What a core sends to a LAPIC at time t —
 * an IPI, or a device interrupt that its access caused — arrives at t+Q: later than the quantum of every other core, so no core has to
 * go back. A frame's interrupt arrives with the frame.
 *
 * Short cuts that change none of it: all cores halted → skip to the quantum of the next event; one core running → it runs many quanta in
 * one go until something concerns another core (`cut`). Host slices (`hostSlice`) cut every run finer; nothing depends on them.
 */
import { EventKind } from "../abi/events.ts";
import { IOAPIC_PINS } from "../abi/ioapic.ts";
import { Icr } from "../abi/lapic.ts";
import { MAILBOX_GSI } from "../abi/mailbox.ts";
import { KEYBOARD_GSI } from "../abi/platform.ts";
import { UART_GSI } from "../abi/uart.ts";
import { VIRTIO_MMIO_GSI, VIRTIO_MMIO_SLOTS } from "../abi/virtio.ts";
import type { Engine, RunResult } from "../cpu/engine.ts";
import { DebugExit } from "../devices/debugexit.ts";
import { type Dma, hex } from "../devices/device.ts";
import { FwCfg } from "../devices/fwcfg.ts";
import { KeyboardController } from "../devices/i8042.ts";
import { IoApic, type IoapicBus } from "../devices/ioapic.ts";
import { type LapicBus, LocalApic } from "../devices/lapic.ts";
import { MailboxDevice } from "../devices/mailbox.ts";
import { Uart16550 } from "../devices/uart.ts";
import { VirtioMmioSlot } from "../devices/virtio-mmio.ts";
import { VirtioNet } from "../devices/virtio-net.ts";
import { macOf } from "../fabric/message.ts";
import { vectorName } from "../trace/decode.ts";
import { RingReader, TRACE_RINGS_SYMBOL } from "../trace/rings.ts";
import { Symboliser } from "../trace/symbolise.ts";
import { SymbolTable } from "../trace/symbols.ts";
import { type Board, NodeBus } from "./bus.ts";
import { NEVER } from "./clock.ts";
import { Console } from "./console.ts";
import { checkLoad, type KernelImage, loadKernel, parseKernel, ramOffset } from "./loader.ts";
import type { NodeEnvironment, NodeOptions, NodeState, NodeStop } from "./options.ts";
import { CoreSlot, type Inbound, isRunnable, Power, type StepRange } from "./slot.ts";

export type { NodeEnvironment, NodeOptions, NodeState, NodeStop } from "./options.ts";

/** From one typed key to the next, virtual ns. */
const KEY_NS = 1_000_000;
const READY_LINE = /^margay: ready nid=/;

export class Node implements Board, LapicBus, IoapicBus, Dma {
  readonly nid: number;
  readonly engine: Engine;
  readonly symbols: SymbolTable;
  private readonly symboliser: Symboliser;
  readonly lapics: readonly LocalApic[];
  readonly uart: Uart16550;
  readonly keyboard: KeyboardController;
  readonly mailbox: MailboxDevice;
  readonly nic: VirtioNet | undefined;
  /** All cores have reached it. ns. */
  time = 0;
  /** Retired by all cores. */
  instructions = 0;
  /** Why `advance` came back early; the machine clears a breakpoint to go on. */
  stopped: NodeStop | undefined;
  isReady = false;
  readonly view: DataView;
  readonly ram: Uint8Array;

  private readonly slots: CoreSlot[] = [];
  readonly ioapic: IoApic;
  readonly fwcfg: FwCfg;
  readonly debugExit: DebugExit;
  readonly virtio: VirtioMmioSlot[] = [];
  private readonly rings: RingReader | undefined;
  /** Actions at a time, ascending: typed input. */
  private readonly agenda: { readonly time: number; readonly run: () => void }[] = [];
  private readonly quantum: number;
  private readonly console: Console;
  /** The core whose instruction or event is being served; its time is "now". */
  private current: CoreSlot | undefined;
  private inRun = false;
  /** Where the present stretch of the cores ends; a lone core's stretch may be cut while it runs. */
  private target = 0;
  /** The core that runs first in it, ahead of the quantum. */
  private alone: CoreSlot | undefined;
  /** A debugger's stop has left the stretch unfinished: it goes on as it was planned. */
  private inStretch = false;
  private end = 0;

  constructor(
    readonly options: NodeOptions,
    private readonly environment: NodeEnvironment,
    kernel: KernelImage = parseKernel(options.kernel),
  ) {
    checkLoad(kernel, options);
    const { nid, cores } = options;
    this.nid = nid;
    this.quantum = environment.quantumNs;
    this.symboliser = new Symboliser([kernel.bytes]);
    this.symbols = SymbolTable.fromElf(kernel.bytes);
    this.console = new Console((line) => this.observeLine(line), options.onConsole);
    this.engine = environment.createEngine({ ramBytes: options.ramBytes, cores, bus: new NodeBus(this, cores) });
    this.ram = this.engine.ram;
    this.view = this.engine.view;
    const lapics: LocalApic[] = [];
    this.lapics = lapics;
    for (let i = 0; i < cores; i++) {
      lapics.push(new LocalApic(i, this));
      this.slots.push(new CoreSlot(i, this.engine.cores[i], lapics[i]));
    }
    this.ioapic = new IoApic(this);
    this.fwcfg = new FwCfg(this, cores);
    this.debugExit = new DebugExit((status) => this.exit("debug exit", status));
    this.uart = new Uart16550(this, this.ioapic.line(UART_GSI), (byte) => this.console.write(byte));
    this.keyboard = new KeyboardController(options.keyboard === true, this, this.ioapic.line(KEYBOARD_GSI), () =>
      this.exit("reset", 0),
    );
    this.mailbox = new MailboxDevice(this, this.ioapic.line(MAILBOX_GSI), (message) =>
      options.onMailbox?.(message, this.now),
    );
    for (let i = 0; i < VIRTIO_MMIO_SLOTS; i++) {
      if (VIRTIO_MMIO_GSI + i >= IOAPIC_PINS) throw new Error("virtio slots exceed the I/O APIC");
      this.virtio.push(new VirtioMmioSlot(this, this, this.ioapic.line(VIRTIO_MMIO_GSI + i)));
    }
    if (options.nic) this.nic = this.attachNic(this.virtio[VIRTIO_MMIO_SLOTS - 1]);
    this.rings = this.findRings(kernel);
    const startInfo = loadKernel(this.ram, kernel, options);
    for (const slot of this.slots) {
      if (slot.index > 0) slot.core.init();
      else {
        slot.core.startPvh(kernel.entry, startInfo);
        slot.power = Power.RUNNING;
      }
    }
    environment.trace.emit(nid, -1, 0, EventKind.NODE_BOOT, [cores, options.ramBytes]);
  }

  get state(): NodeState {
    if (this.stopped?.kind === "exit") return "exited";
    if (this.slots.some((slot) => slot.power === Power.SHUTDOWN)) return "shutdown";
    if (!this.slots.some(isRunnable))
      return this.isReady && this.slots.some((slot) => slot.core.interruptible) ? "ready" : "halted";
    return this.isReady ? "ready" : "booting";
  }

  /** When something happens here next: now, if a core runs; NEVER if all is halted for ever. */
  nextActivity(): number {
    if (this.stopped !== undefined) return NEVER;
    let next = this.nextNodeEvent();
    for (const slot of this.slots) {
      if (isRunnable(slot)) return this.time;
      const event = slot.nextEvent;
      if (event < next) next = event;
    }
    return next > this.time ? next : this.time;
  }

  /** Host side, later than now: characters typed at the console. */
  typeAt(time: number, bytes: Uint8Array): void {
    this.schedule(time, () => this.uart.type(bytes));
  }

  /** Host side: set-1 scan codes from the keyboard. */
  keysAt(time: number, scanCodes: readonly number[]): void {
    this.schedule(time, () => this.keyboard.type(scanCodes));
  }

  /** Host side, later than now: a message from the management network. */
  mailAt(time: number, message: Uint8Array): void {
    this.schedule(time, () => this.mailbox.deliver(message));
  }

  /** Runs all cores up to `end`, a multiple of the quantum. Comes back early if `stopped` gets set; calling again goes on. */
  advance(end: number): void {
    this.end = end;
    while (this.time < this.end && this.stopped === undefined) {
      if (!this.inStretch) {
        this.serveNodeEvents();
        this.alone = this.plan();
        this.inStretch = true;
      }
      if (this.alone !== undefined) this.runCore(this.alone);
      for (const slot of this.slots) {
        if (this.stopped !== undefined) break;
        if (slot !== this.alone) this.runCore(slot);
      }
      if (this.stopped !== undefined) break;
      this.time = this.target;
      this.inStretch = false;
    }
    this.console.flush();
  }

  /** A frame was sent: do not run past `end`. */
  cutEnd(end: number): void {
    if (end < this.end) this.end = end;
    this.cut(end);
  }

  stateParts(): { readonly ram: Uint8Array; readonly rest: unknown } {
    const cores = this.slots.map((slot) => {
      const state = slot.core.save();
      return { ...state, fx: [...state.fx], power: slot.power, inbound: slot.inbound, lapic: slot.lapic.state() };
    });
    const devices = [this.ioapic, this.uart, this.keyboard, this.fwcfg, this.mailbox, ...this.virtio].map((device) =>
      device.state(),
    );
    return { ram: this.ram, rest: { nid: this.nid, time: this.time, cores, devices, console: this.console.line } };
  }

  close(): void {
    this.engine.close();
  }

  // ---- scheduler -----------------------------------------------------------------------------------------------------

  /** Sets `target`. Returns the only running core if it may run ahead of the quantum. */
  private plan(): CoreSlot | undefined {
    const quantum = this.quantum;
    const nodeEvent = this.nextNodeEvent();
    const quantumEnd = (Math.floor(this.time / quantum) + 1) * quantum;
    let running = 0;
    let alone: CoreSlot | undefined;
    let others = NEVER;
    for (const slot of this.slots) {
      if (isRunnable(slot)) {
        running++;
        alone = slot;
      } else if (slot.nextEvent < others) others = slot.nextEvent;
    }
    // Up to the quantum in which another core has something to do.
    let stretch = quantumEnd;
    if (running <= 1) {
      const free = others === NEVER ? NEVER : Math.floor(others / quantum) * quantum;
      if (free > stretch) stretch = free;
    }
    // Nothing runs at all: skip whole quanta, up to the one of the node event too.
    if (running === 0 && nodeEvent > quantumEnd) {
      const free = nodeEvent === NEVER ? NEVER : Math.floor(nodeEvent / quantum) * quantum;
      this.target = Math.min(this.end, stretch, free);
      return undefined;
    }
    this.target = Math.min(this.end, stretch, nodeEvent);
    return running === 1 ? alone : undefined;
  }

  private runCore(slot: CoreSlot): void {
    const { core, lapic } = slot;
    const { hostSlice } = this.environment;
    this.current = slot;
    while (core.time < this.target && this.stopped === undefined) {
      if (slot.nextEvent <= core.time) this.acceptEvents(slot);
      const event = slot.nextEvent;
      const limit = event < this.target ? event : this.target;
      if (slot.power !== Power.RUNNING) {
        core.time = limit;
        continue;
      }
      const vector = lapic.pendingVector();
      if (vector >= 0 && core.interruptible) {
        if (core.cpl === 3) this.checkService(slot, "in user mode");
        lapic.acknowledge(vector);
        this.environment.trace.emit(this.nid, slot.index, core.time, EventKind.IRQ_DELIVER, [vector]);
        core.injectInterrupt(vector);
        continue;
      }
      if (core.halted) {
        core.time = limit;
        continue;
      }
      const room = Math.min(limit - core.time, slot.step === undefined ? hostSlice : 1);
      this.inRun = true;
      const result = vector >= 0 ? core.runToWindow(room) : core.run(room);
      this.inRun = false;
      this.instructions += result.retired;
      if (this.rings !== undefined) this.rings.drain(slot.index);
      switch (result.reason) {
        case "halt":
          if (core.interruptible) this.checkService(slot, "at hlt");
          break;
        case "shutdown":
          slot.power = Power.SHUTDOWN;
          this.fault("processor: triple fault");
          break;
        case "breakpoint":
        case "watchpoint":
          this.debugStop(slot, result.reason, result);
          break;
      }
      if (result.retired > 0 && slot.step !== undefined && !isWithin(slot.step, core.rip)) this.debugStop(slot, "step");
    }
    this.current = undefined;
  }

  /** Whatever stopped the node first, stays. */
  private debugStop(
    slot: CoreSlot,
    kind: "breakpoint" | "watchpoint" | "step",
    { id, accessed }: Partial<RunResult> = {},
  ): void {
    this.stopped ??= { kind, nid: this.nid, core: slot.index, time: slot.core.time, text: kind, id, accessed };
  }

  /** The cores that a debugger steps, by index; others go on. A core that steps passes a breakpoint at its rip. */
  setSteps(steps: ReadonlyMap<number, StepRange>): void {
    for (const slot of this.slots) {
      slot.step = steps.get(slot.index);
      if (slot.step !== undefined) slot.core.passBreakpoint();
    }
  }

  /**
   * An interrupt is in service from its delivery to its EOI, and no handler is left where a core runs a program or waits in hlt: a
   * handler has returned without EOI, and its priority class and those below stay blocked.
   */
  private checkService(slot: CoreSlot, where: string): void {
    const vector = slot.lapic.inService;
    if (vector < 0 || slot.missedEoi === vector) return;
    slot.missedEoi = vector;
    this.report(`lapic: missing EOI: ${vectorName(vector)} still in service ${where}`);
  }

  /** What has arrived at this core by now. */
  private acceptEvents(slot: CoreSlot): void {
    const now = slot.core.time;
    if (slot.lapic.timerNext <= now) slot.lapic.timerExpired();
    while (slot.inbound.length > 0 && slot.inbound[0].time <= now) this.acceptMessage(slot, slot.inbound.shift()!);
  }

  private acceptMessage(slot: CoreSlot, { mode, vector, level }: Inbound): void {
    const { trace } = this.environment;
    const { core, index } = slot;
    switch (mode) {
      case Icr.FIXED:
        slot.lapic.accept(vector, level);
        return;
      case Icr.NMI:
        if (slot.power !== Power.RUNNING) return;
        trace.emit(this.nid, index, core.time, EventKind.NMI_DELIVER, []);
        core.injectNmi();
        return;
      case Icr.INIT:
        trace.emit(this.nid, index, core.time, EventKind.CORE_INIT, []);
        slot.lapic.reset();
        core.init();
        slot.power = Power.WAIT_FOR_STARTUP;
        if (index === 0) this.report("lapic: INIT to the boot processor, which would start at the firmware");
        return;
      case Icr.STARTUP:
        if (slot.power !== Power.WAIT_FOR_STARTUP) return;
        trace.emit(this.nid, index, core.time, EventKind.CORE_STARTUP, [vector]);
        core.startup(vector);
        slot.power = Power.RUNNING;
        return;
    }
  }

  /** Puts a message on its way: a core's at now + Q, a node event's at once. */
  private post(slot: CoreSlot, mode: number, vector: number, level: boolean): void {
    const now = this.now;
    const time = this.current === undefined ? now : now + this.quantum;
    const { inbound } = slot;
    let at = inbound.length;
    while (at > 0 && inbound[at - 1].time > time) at--;
    inbound.splice(at, 0, { time, mode, vector, level });
    if (this.current !== undefined) this.cut((Math.floor(now / this.quantum) + 1) * this.quantum);
  }

  /** Ends the present stretch at `time` if it goes beyond: something happens then that concerns another core or node. */
  private cut(time: number): void {
    if (time >= this.target) return;
    this.target = time;
    if (this.inRun) this.current!.core.requestStop();
  }

  private nextNodeEvent(): number {
    const arrival = this.nic === undefined ? NEVER : this.environment.fabric.nextArrival(this.nid);
    const agenda = this.agenda.length === 0 ? NEVER : this.agenda[0].time;
    return arrival < agenda ? arrival : agenda;
  }

  private serveNodeEvents(): void {
    const { fabric } = this.environment;
    while (this.agenda.length > 0 && this.agenda[0].time <= this.time) this.agenda.shift()!.run();
    if (this.nic === undefined) return;
    while (fabric.nextArrival(this.nid) <= this.time) this.nic.receive(fabric.take(this.nid, this.time));
  }

  private schedule(time: number, run: () => void): void {
    const when = Math.max(time, this.time);
    let at = this.agenda.length;
    while (at > 0 && this.agenda[at - 1].time > when) at--;
    this.agenda.splice(at, 0, { time: when, run });
  }

  // ---- DeviceHost, LapicBus, IoapicBus, Dma --------------------------------------------------------------------------

  get now(): number {
    return this.current === undefined ? this.time : this.current.core.time;
  }

  report(text: string, rip?: bigint): void {
    const where = this.position(rip);
    this.environment.trace.emit(this.nid, this.current?.index ?? -1, this.now, EventKind.DEVICE_ERROR, [
      `${text} (${where})`,
    ]);
    if (this.environment.strict) this.stop("fault", `${text} (${where})`);
  }

  sendInterprocessor(source: number, targets: readonly number[], mode: number, vector: number): void {
    for (const target of targets) {
      this.environment.trace.emit(this.nid, source, this.now, EventKind.IPI_ICR, [target, mode, vector]);
      this.post(this.slots[target], mode === Icr.LOWEST ? Icr.FIXED : mode, vector, false);
    }
  }

  broadcastEoi(vector: number): void {
    this.ioapic.endOfInterrupt(vector);
  }

  endOfInterrupt(core: number, vector: number): void {
    this.slots[core].missedEoi = -1;
    this.environment.trace.emit(this.nid, core, this.now, EventKind.IRQ_EOI, [vector]);
  }

  reschedule(core: number): void {
    if (this.inRun && this.current!.index === core) this.current!.core.requestStop();
  }

  deliverExternal(destination: number, logical: boolean, mode: number, vector: number, level: boolean): void {
    let targets = this.slots.filter((slot) => slot.lapic.matches(destination, logical));
    if (targets.length === 0)
      this.report(`ioapic: vector ${hex(vector)} to destination ${hex(destination)} that no core has`);
    if (mode === Icr.LOWEST && targets.length > 1) {
      targets = [
        targets.reduce((best, slot) => (slot.lapic.processorPriority < best.lapic.processorPriority ? slot : best)),
      ];
    }
    if (mode !== Icr.FIXED && mode !== Icr.LOWEST && mode !== Icr.NMI) {
      this.report(`ioapic: unsupported delivery mode ${hex(mode)}`);
      return;
    }
    for (const slot of targets) this.post(slot, mode === Icr.NMI ? Icr.NMI : Icr.FIXED, vector, level);
  }

  offset(address: number, bytes: number): number {
    return ramOffset(this.options.ramBytes, address, bytes);
  }

  written(offset: number, bytes: number): void {
    this.engine.invalidateCode(offset, bytes);
  }

  // ---- the node's ends -----------------------------------------------------------------------------------------------

  private exit(why: string, status: number): void {
    this.environment.trace.emit(this.nid, this.current?.index ?? -1, this.now, EventKind.NODE_EXIT, [
      `${why} ${status}`,
    ]);
    this.stop("exit", why, status);
  }

  private fault(text: string): void {
    const line = `${text} (${this.position()})`;
    this.environment.trace.emit(this.nid, this.current?.index ?? -1, this.now, EventKind.DEVICE_ERROR, [line]);
    this.stop("fault", line);
  }

  private stop(kind: "exit" | "fault", text: string, status?: number): void {
    if (this.stopped !== undefined) return;
    this.stopped = { kind, nid: this.nid, core: this.current?.index ?? -1, time: this.now, text, status };
    if (this.inRun) this.current!.core.requestStop();
  }

  /** "n1.c0, space_free+0x12, kernel/mm/space.ts:88": who does it. */
  private position(rip = this.current?.core.rip ?? 0n): string {
    if (this.current === undefined) return `n${this.nid}`;
    const symbol = this.options.locate?.(rip) ?? this.symboliser.describe(rip) ?? `rip 0x${rip.toString(16)}`;
    return `n${this.nid}.c${this.current.index}, ${symbol}`;
  }

  private observeLine(line: string): void {
    const { trace } = this.environment;
    const core = this.current?.index ?? -1;
    if (trace.enabled)
      trace.emit(this.nid, core, this.now, EventKind.CONSOLE, [Buffer.from(line, "latin1").toString("utf8")]);
    if (this.isReady || !READY_LINE.test(line)) return;
    this.isReady = true;
    this.typeKeys();
    trace.emit(this.nid, core, this.now, EventKind.NODE_READY, [this.nid, this.options.cores, this.options.ramBytes]);
  }

  /** One key at a time, so that the keys' times show in the trace and the buffer holds no more than one. */
  private typeKeys(): void {
    const { keysWhenReady = [] } = this.options;
    // A core is running inside the present stretch; the first key falls into a later one, where no core has been yet.
    keysWhenReady.forEach((codes, i) => {
      this.keysAt(this.now + (i + 1) * KEY_NS, codes);
    });
  }

  private attachNic(slot: VirtioMmioSlot): VirtioNet {
    const { fabric, trace } = this.environment;
    const nic = new VirtioNet(slot, this, macOf(this.nid), {
      send: (frame) => fabric.send(this.nid, frame, this.now),
      lost: (text) => trace.emit(this.nid, -1, this.now, EventKind.LINK_FAULT, [text]),
    });
    slot.attach(nic);
    return nic;
  }

  private findRings(kernel: KernelImage): RingReader | undefined {
    const symbol = this.symbols.find(TRACE_RINGS_SYMBOL);
    if (symbol === undefined || !this.environment.trace.enabled) return undefined;
    const segment = kernel.segments.find(
      (s) => symbol.address >= s.virtual && symbol.address < s.virtual + BigInt(s.memoryBytes),
    );
    if (segment === undefined) return undefined;
    const offset = segment.physical + Number(symbol.address - segment.virtual);
    return new RingReader(this.nid, this.options.cores, this.view, offset, this.environment.trace);
  }
}

const isWithin = ({ start, end }: StepRange, rip: bigint): boolean => rip >= start && rip < end;
