/** A node: its board, the scheduler of its cores, its external input, and its observers. */
import { EventKind } from "../abi/events.ts";
import type { Engine, RunResult } from "../cpu/engine.ts";
import { macOf } from "../fabric/message.ts";
import { RingReader, TRACE_RINGS_SYMBOL } from "../trace/rings.ts";
import { Symboliser } from "../trace/symbolise.ts";
import { SymbolTable } from "../trace/symbols.ts";
import { Agenda, type Input } from "./agenda.ts";
import { Board, type BoardHost } from "./board.ts";
import { NEVER } from "./clock.ts";
import { Console } from "./console.ts";
import { MissingEoi, Strict } from "./diagnostics.ts";
import { checkLoad, type KernelImage, loadKernel, parseKernel } from "./loader.ts";
import { InterruptsOff } from "./interruptsoff.ts";
import type { NodeObserver } from "./observer.ts";
import type { NodeEnvironment, NodeOptions, NodeState, NodeStop } from "./options.ts";
import { type CoreStop, type NodeEvents, Scheduler } from "./scheduler.ts";
import { CoreSlot, isRunnable, Power, type StepRange } from "./slot.ts";
import { KernelRings, Tracing } from "./tracing.ts";

export type { NodeEnvironment, NodeOptions, NodeState, NodeStop } from "./options.ts";

/** Time between two typed keys, virtual ns. */
const KEY_NS = 1_000_000;
const READY_LINE = /^margay: ready nid=/;

export class Node {
  readonly nid: number;
  readonly symbols: SymbolTable;
  /** Why `advance` returned early. */
  stopped: NodeStop | undefined;
  isReady = false;
  private readonly symboliser: Symboliser;
  readonly board: Board;
  private readonly slots: readonly CoreSlot[];
  private readonly scheduler: Scheduler;
  private readonly agenda = new Agenda();
  private readonly console: Console;
  private readonly observers: NodeObserver[] = [];
  /** Under `strict`. */
  private readonly interruptsOff: InterruptsOff | undefined;

  constructor(
    readonly options: NodeOptions,
    private readonly environment: NodeEnvironment,
    kernel: KernelImage = parseKernel(options.kernel),
  ) {
    checkLoad(kernel, options);
    const { nid, cores, ramBytes, keyboard = false, nic } = options;
    const { createEngine, trace } = environment;
    this.nid = nid;
    this.symboliser = new Symboliser([kernel.bytes]);
    this.symbols = SymbolTable.fromElf(kernel.bytes);
    this.console = new Console((line) => this.observeLine(line), options.onConsole);
    const mac = nic ? macOf(nid) : undefined;
    this.board = new Board({ cores, ramBytes, keyboard, mac, createEngine }, this.boardHost());
    const { engine, lapics } = this.board;
    this.slots = engine.cores.map((core, index) => new CoreSlot(index, core, lapics[index]));
    if (environment.strict)
      this.interruptsOff = new InterruptsOff(
        (text) => this.report(text),
        (rip) => this.placeOf(rip),
      );
    this.scheduler = new Scheduler(
      this.slots,
      environment,
      this.nodeEvents(),
      this.observers,
      (slot, why, result) => this.coreStopped(slot, why, result),
      this.interruptsOff,
    );
    const rings = this.findRings(kernel);
    if (rings !== undefined) this.observe(new KernelRings(rings));
    this.observe(new Tracing(trace, this));
    this.observe(new MissingEoi((text) => this.report(text)));
    if (this.interruptsOff !== undefined) this.observe(this.interruptsOff);
    if (environment.strict) this.observe(new Strict((line) => this.stop("fault", line)));
    const startInfo = loadKernel(this.ram, kernel, options);
    for (const slot of this.slots) {
      if (slot.index > 0) slot.core.init();
      else {
        slot.core.startPvh(kernel.entry, startInfo);
        slot.power = Power.RUNNING;
      }
    }
    trace.emit(nid, -1, 0, EventKind.NODE_BOOT, [cores, ramBytes]);
  }

  /** Call before the node runs. Observers are called in the order of their subscription. */
  observe(observer: NodeObserver): void {
    this.observers.push(observer);
  }

  get engine(): Engine {
    return this.board.engine;
  }
  get ram(): Uint8Array {
    return this.board.ram;
  }
  get view(): DataView {
    return this.board.view;
  }
  /** Virtual time that all cores have reached, ns. */
  get time(): number {
    return this.scheduler.time;
  }
  /** Instructions retired by all cores. */
  get instructions(): number {
    return this.scheduler.instructions;
  }
  /** Virtual time of the current instruction or event, ns. */
  get now(): number {
    return this.scheduler.now;
  }
  /** The core whose instruction or event is current; -1: none. */
  get coreIndex(): number {
    return this.scheduler.current?.index ?? -1;
  }

  get state(): NodeState {
    if (this.stopped?.kind === "exit") return "exited";
    if (this.slots.some((slot) => slot.power === Power.SHUTDOWN)) return "shutdown";
    if (!this.slots.some(isRunnable))
      return this.isReady && this.slots.some((slot) => slot.core.interruptible) ? "ready" : "halted";
    return this.isReady ? "ready" : "booting";
  }

  /** Time of the node's next activity: now if a core runs, NEVER if all cores are halted for ever. */
  nextActivity(): number {
    return this.stopped === undefined ? this.scheduler.nextActivity() : NEVER;
  }

  /** Host side, for a later time than now: characters typed at the console. */
  typeAt(time: number, bytes: Uint8Array): void {
    this.schedule(time, "type", bytes);
  }

  /** Host side: set-1 scan codes from the keyboard. */
  keysAt(time: number, scanCodes: readonly number[]): void {
    this.schedule(time, "keys", scanCodes);
  }

  /** Host side, for a later time than now: a message from the management network. */
  mailAt(time: number, message: Uint8Array): void {
    this.schedule(time, "mail", message);
  }

  /** Runs all cores to `end`, a multiple of the quantum. Returns early if `stopped` is set. */
  advance(end: number): void {
    this.scheduler.advance(end);
    this.console.flush();
  }

  /** After a breakpoint, a watchpoint or a step: allows `advance` to continue. */
  resume(): void {
    this.stopped = undefined;
    this.scheduler.resume();
  }

  /** A frame was sent: the node must not run past `end`. */
  cutEnd(end: number): void {
    this.scheduler.cutEnd(end);
  }

  /**
   * Sets the steps of a debugger, by core index; the other cores run normally. A stepping core ignores a breakpoint at
   * its rip.
   */
  setSteps(steps: ReadonlyMap<number, StepRange>): void {
    this.scheduler.setSteps(steps);
  }

  /** Everything that decides the future of the node. */
  stateParts(): { readonly ram: Uint8Array; readonly rest: unknown } {
    const cores = this.slots.map((slot, index) => {
      const state = slot.core.save();
      const lapic = this.board.lapics[index].state();
      return { ...state, fx: [...state.fx], power: slot.power, inbound: slot.inbound, lapic };
    });
    const { nid, isReady } = this;
    const schedule = this.scheduler.state();
    const devices = this.board.state();
    return {
      ram: this.ram,
      rest: { nid, schedule, cores, devices, agenda: this.agenda.state(), isReady, console: this.console.line },
    };
  }

  /** See Dma.offset. */
  offset(address: number, bytes: number): number {
    return this.board.offset(address, bytes);
  }
  /** The host has written to RAM. */
  written(offset: number, bytes: number): void {
    this.board.written(offset, bytes);
  }

  close(): void {
    this.engine.close();
  }

  // ---- external input

  private schedule(time: number, kind: Input["kind"], bytes: Uint8Array | readonly number[]): void {
    this.agenda.add(Math.max(time, this.time), kind, bytes);
  }

  private nodeEvents(): NodeEvents {
    const { fabric } = this.environment;
    const { nid, agenda, board } = this;
    return {
      get next() {
        const arrival = board.nic === undefined ? NEVER : fabric.nextArrival(nid);
        return arrival < agenda.next ? arrival : agenda.next;
      },
      serve: (now) => {
        for (let input = agenda.take(now); input !== undefined; input = agenda.take(now)) this.accept(input);
        if (board.nic === undefined) return;
        while (fabric.nextArrival(nid) <= now) board.nic.receive(fabric.take(nid, now));
      },
    };
  }

  private accept({ kind, bytes }: Input): void {
    if (kind === "type") this.board.uart.type(bytes);
    else if (kind === "keys") this.board.keyboard.type([...bytes]);
    else this.board.mailbox.deliver(bytes);
  }

  // ---- the board's host

  private boardHost(): BoardHost {
    const now = (): number => this.now;
    const { fabric, trace } = this.environment;
    const { nid, options } = this;
    return {
      get now() {
        return now();
      },
      report: (text, rip) => this.report(text, rip),
      post: (core, mode, vector, level) => this.scheduler.post(core, mode, vector, level),
      reschedule: (core) => this.scheduler.reschedule(core),
      exit: (why, status) => this.exit(why, status),
      consoleByte: (byte) => this.console.write(byte),
      mail: (message) => options.onMailbox?.(message, this.now),
      sendFrame: (frame) => {
        options.onFrame?.(frame);
        fabric.send(nid, frame, this.now);
      },
      frameLost: (text) => trace.emit(nid, -1, this.now, EventKind.LINK_FAULT, [text]),
      interprocessor: (source, target, mode, vector) => {
        for (const observer of this.observers) observer.interprocessor?.(source, target, mode, vector);
      },
      endOfInterrupt: (core, vector) => {
        for (const observer of this.observers) observer.endOfInterrupt?.(core, vector);
      },
    };
  }

  private report(text: string, rip?: bigint): void {
    const line = `${text} (${this.position(rip)})`;
    for (const observer of this.observers) observer.error?.(line);
  }

  /** "n1.c0, space_free+0x12, kernel/mm/space.ts:88": the place of the current instruction. */
  private position(at?: bigint): string {
    const { current } = this.scheduler;
    if (current === undefined) return `n${this.nid}`;
    return `n${this.nid}.c${current.index}, ${this.placeOf(at ?? current.core.rip)}`;
  }
  private placeOf(rip: bigint): string {
    return this.options.locate?.(rip) ?? this.symboliser.describe(rip) ?? `rip 0x${rip.toString(16)}`;
  }

  /** Under `strict`: the longest time that a core kept interrupts off after the ready line, ns, with its place. */
  get longestInterruptsOff(): { readonly ns: number; readonly place: string } | undefined {
    const { longest } = this.interruptsOff ?? {};
    if (longest === undefined || longest.ns === 0) return undefined;
    const place = `n${this.nid}.c${longest.core}, from ${this.placeOf(longest.from)} to ${this.placeOf(longest.to)}${longest.overdueAt === undefined ? "" : `, too long at ${longest.overdueAt}`}`;
    return { ns: longest.ns, place };
  }

  private observeLine(line: string): void {
    for (const observer of this.observers) observer.consoleLine?.(line);
    if (this.isReady || !READY_LINE.test(line)) return;
    this.isReady = true;
    this.typeKeys();
    const { trace } = this.environment;
    const { cores, ramBytes } = this.options;
    trace.emit(this.nid, this.coreIndex, this.now, EventKind.NODE_READY, [this.nid, cores, ramBytes]);
    for (const observer of this.observers) observer.ready?.();
  }

  /**
   * Types one key at a time, so that the trace shows each key's time and the keyboard's buffer never holds more than
   * one.
   */
  private typeKeys(): void {
    const { keysWhenReady = [] } = this.options;
    // A core is inside the present stretch. The first key is late enough to fall into a stretch that no core has
    // reached.
    keysWhenReady.forEach((codes, i) => {
      this.keysAt(this.now + (i + 1) * KEY_NS, codes);
    });
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

  // ---- how a node ends

  private coreStopped(slot: CoreSlot, why: CoreStop, { id, accessed }: RunResult): void {
    if (why === "shutdown") {
      const line = `processor: triple fault (${this.position()})`;
      for (const observer of this.observers) observer.error?.(line);
      this.stop("fault", line);
      return;
    }
    // The first stop wins.
    this.stopped ??= { kind: why, nid: this.nid, core: slot.index, time: slot.core.time, text: why, id, accessed };
    this.scheduler.stop();
  }

  private exit(why: string, status: number): void {
    for (const observer of this.observers) observer.exit?.(why, status);
    this.stop("exit", why, status);
  }

  private stop(kind: "exit" | "fault", text: string, status?: number): void {
    if (this.stopped !== undefined) return;
    this.stopped = { kind, nid: this.nid, core: this.coreIndex, time: this.now, text, status };
    this.scheduler.stop();
  }
}
