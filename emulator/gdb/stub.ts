/**
 * The remote serial protocol as a state machine: bytes in, bytes out, without sockets or a clock. It drives a Target.
 * Between packets nothing changes in the machine, except by a packet that requests it (registers, memory, points). The
 * machine runs only in `advance`, which the owner calls while `running`.
 *
 * All-stop: a stop of one core stops the machine. Resuming always means all cores, because they share virtual time. A
 * `vCont` that names only some threads to step is complete when one of those has retired its instruction.
 *
 * Any input gets a reply, an error number or an empty packet (unknown); invalid input does not change the machine.
 */
import { frame, PacketReader, textToHex } from "./framing.ts";
import { rowOf } from "./packets/table.ts";
import { Points } from "./points.ts";
import { RegisterView, registerHex, registerNumber, registers } from "./registers.ts";
import type { Session } from "./session.ts";
import type { CoreId, Resumption, Target, TargetStop } from "./target.ts";
import { ThreadNames } from "./threads.ts";

export const Signal = { INT: 2, TRAP: 5, ABRT: 6 } as const;

export interface StubOptions {
  readonly send: (bytes: Uint8Array) => void;
  /** The debugger asks for the machine's end (k, vKill). */
  readonly kill: () => void;
}

/** Stops that one `advance` skips (false conditions, steps within a range) before the host gets a turn. */
const ROUNDS = 1000;
const NO_STEPS: Resumption["steps"] = [];

export class Stub implements Session {
  readonly threads: ThreadNames;
  readonly points: Points;
  /** Register and memory packets apply to this core (Hg), old resume packets to that one (Hc). */
  general: CoreId;
  /** gdb's features (qSupported). */
  readonly peer = { swbreak: false, hwbreak: false };
  noAcknowledge = false;
  /**
   * Nodes that the debugger is attached to (vAttach, D). It starts with the first: on connection gdb sets up only one
   * inferior fully, and others without registers and symbols. Without multiprocess extensions it has all nodes.
   */
  private readonly held = new Set<number>();
  threadList: readonly CoreId[] = [];
  readonly openFiles = new Map<number, Uint8Array>();
  /** Stops that must still be reported. */
  private passed: { readonly at: CoreId & { readonly id: number }; readonly text: string }[] = [];
  /** The next `advance` must stop: Ctrl-C. */
  private interrupted = false;
  private resumption: Resumption | undefined;
  private readonly reader = new PacketReader();
  private lastSent: Uint8Array | undefined;
  /** The present stop; its reply is made on demand, in the form that this debugger understands. */
  private standing: { readonly signal: number; readonly at: CoreId; readonly reason: string } | undefined;
  /** The machine's own end was reported; when it resumes, the run ends. */
  private endShown = false;
  /** Exit status of the run; undefined: it has not ended. */
  private over: number | undefined;
  private isRunning: boolean;
  private hasPeer = false;

  /** `running`: the machine runs until a debugger connects. */
  constructor(
    readonly target: Target,
    private readonly options: StubOptions,
    running = false,
  ) {
    this.threads = new ThreadNames(target);
    this.points = new Points(target);
    this.general = { nid: target.nids[0]!, core: 0 };
    this.isRunning = running;
    this.standing = { signal: Signal.TRAP, at: this.general, reason: "" };
  }

  /** The machine must run: the owner calls `advance`. */
  get running(): boolean {
    return this.isRunning;
  }
  get attached(): boolean {
    return this.hasPeer;
  }
  /** Nodes that the debugger sees. */
  get nids(): readonly number[] {
    return this.threads.multiprocess ? this.target.nids.filter((nid) => this.held.has(nid)) : this.target.nids;
  }

  // ---- the connection ----------------------------------------------------------------------------------------------

  /** A debugger has connected. The machine stops and waits for it. */
  connected(): void {
    this.reader.reset();
    this.hasPeer = true;
    this.noAcknowledge = false;
    this.lastSent = undefined;
    this.threads.multiprocess = false;
    Object.assign(this.peer, { swbreak: false, hwbreak: false });
    this.passed = [];
    const ran = this.isRunning;
    if (ran) this.target.halt?.();
    this.isRunning = false;
    this.resumption = undefined;
    // gdb sets up the node of the first stop and attaches to the others. So start with the first node, wherever the
    // previous debugger stopped.
    const first = this.target.nids.find((nid) => this.firstCore(nid) !== undefined) ?? this.target.nids[0]!;
    this.held.clear();
    this.held.add(first);
    const stood = ran ? undefined : this.standing;
    const at = stood?.at.nid === first ? stood.at : { nid: first, core: this.firstCore(first) ?? 0 };
    this.general = at;
    this.standing = { signal: ran ? Signal.INT : Signal.TRAP, at, reason: "" };
  }
  /** The lowest core of the node that has a thread; undefined: its process has ended. */
  private firstCore(nid: number): number | undefined {
    for (let core = 0; core < this.target.cores(nid); core++)
      if (this.target.present?.({ nid, core }) !== false) return core;
    return undefined;
  }

  /**
   * It has disconnected, with or without a packet. What ran continues, what was stopped stays stopped; its points are
   * removed.
   */
  disconnected(): void {
    if (!this.hasPeer) return;
    this.hasPeer = false;
    this.interrupted = false;
    this.resumption = undefined;
    this.passed = [];
    this.points.clear();
    this.target.catchCalls?.([]);
    this.openFiles.clear();
    if (this.isRunning) this.target.release?.();
  }

  receive(bytes: Uint8Array): void {
    for (const received of this.reader.read(bytes)) {
      switch (received.kind) {
        case "packet":
          if (!this.noAcknowledge) this.options.send(Buffer.from("+"));
          this.packet(received.payload);
          break;
        case "bad":
          if (!this.noAcknowledge) this.options.send(Buffer.from("-"));
          break;
        case "nak":
          if (!this.noAcknowledge && this.lastSent !== undefined) this.options.send(this.lastSent);
          break;
        case "ack":
          break;
        case "interrupt":
          if (this.isRunning) this.interrupted = true;
          break;
      }
    }
  }

  private packet(payload: string): void {
    // While the machine runs, only Ctrl-C has a meaning.
    if (this.isRunning && this.hasPeer) return;
    const row = rowOf(payload);
    const reply = row === undefined ? "" : row.answer(this, payload.slice(row.prefix.length));
    if (reply !== undefined) this.send(reply);
  }

  private send(payload: string): void {
    this.lastSent = frame(payload);
    this.options.send(this.lastSent);
  }

  /** Text for the debugger's console, while it waits for a stop or for a qRcmd's answer. */
  print(text: string): void {
    const most = 0x2000;
    for (let at = 0; at < text.length; at += most) this.send(`O${textToHex(text.slice(at, at + most))}`);
  }

  // ---- stopping and resuming ---------------------------------------------------------------------------------------

  /** The present stop's reply, for `?`. */
  stopReply(): string {
    const { signal, at, reason } = this.standing ?? { signal: Signal.TRAP, at: this.general, reason: "" };
    return this.stopPacket(signal, at, reason);
  }

  /** Selects the first core of the node. */
  attach(nid: number): string | undefined {
    const core = this.firstCore(nid);
    if (core === undefined) return undefined;
    this.held.add(nid);
    const at = { nid, core };
    this.general = at;
    this.standing = { signal: Signal.TRAP, at, reason: "" };
    // Without registers: gdb reads this reply before the target description.
    return this.place(Signal.TRAP, at);
  }

  detach(nid: number | undefined): boolean {
    if (nid === undefined) this.held.clear();
    else if (!this.held.delete(nid)) return false;
    if (this.held.size === 0) this.release();
    else {
      if (nid !== undefined) this.target.release?.(nid);
      if (!this.held.has(this.general.nid)) this.general = this.first();
    }
    return true;
  }

  /** The first thread that the debugger sees. */
  private first(): CoreId {
    const nid = this.nids[0]!;
    return { nid, core: this.firstCore(nid) ?? 0 };
  }

  resume(resumption: Resumption): void {
    if (this.over !== undefined) {
      this.exited(this.nids[0] ?? this.general.nid);
      return;
    }
    const refusal = this.target.refusal?.(this.general);
    if (refusal !== undefined) {
      this.print(`margay: ${refusal}\n`);
      this.stop(Signal.ABRT, this.general);
      return;
    }
    if (!resumption.exclusive) this.points.settle();
    this.resumption = resumption;
    this.isRunning = true;
    this.interrupted = false;
  }

  /** No debugger is attached any more: the machine runs freely. */
  private release(): void {
    this.points.clear();
    this.target.release?.();
    this.resumption = undefined;
    this.isRunning = this.over === undefined;
  }

  kill(): void {
    this.options.kill();
  }

  /**
   * While `running`: runs the machine for about `budget` instructions. "running": call again; "stopped": the debugger
   * has been told why; "end": the run has ended by itself, which has not been reported yet (`finished`). `lines`:
   * events to show meanwhile.
   */
  advance(budget: number, lines?: () => readonly string[]): "running" | "stopped" | "end" {
    if (this.interrupted) {
      this.target.halt?.();
      this.stop(Signal.INT, this.general);
      return "stopped";
    }
    while (this.passed.length > 0 && this.isResumed(this.passed[0]!.at)) {
      const { at, text } = this.passed.shift()!;
      // The user may have removed it meanwhile.
      if (!this.points.has(at.nid, at.id)) continue;
      this.print(text);
      this.stop(Signal.TRAP, at);
      return "stopped";
    }
    for (let rounds = 0; rounds < ROUNDS; rounds++) {
      const stop = this.target.advance(budget, this.resumption?.steps ?? NO_STEPS, this.resumption);
      const news = this.hasPeer ? (lines?.() ?? []) : [];
      if (news.length > 0) this.print(`${news.join("\n")}\n`);
      switch (stop.kind) {
        case "slice":
          return "running";
        case "end":
          return "end";
        case "step":
          this.stop(Signal.TRAP, stop);
          return "stopped";
        case "signal":
          this.stop(stop.signal, stop);
          return "stopped";
        case "call":
          this.stop(Signal.TRAP, stop, `syscall_${stop.isEntry ? "entry" : "return"}:${stop.number.toString(16)};`);
          return "stopped";
        case "exit":
          if (!this.hasPeer || !this.held.has(stop.nid)) return "running";
          this.processEnded(stop.nid, stop.status, stop.signal);
          return "stopped";
        case "breakpoint":
        case "watchpoint": {
          const hit = this.points.judge(stop);
          if (hit === undefined) break;
          if (!this.isResumed(stop)) {
            this.pass(stop);
            break;
          }
          if (hit.text !== undefined) this.print(hit.text);
          this.stop(Signal.TRAP, stop, this.reason(hit.reason));
          return "stopped";
        }
        case "fault":
        case "idle":
          if (!this.hasPeer || this.endShown) return "end";
          this.endShown = true;
          this.endsHere(stop);
          return "stopped";
      }
    }
    return "running";
  }

  /**
   * The run has ended: `status` is the command's. The debugger's inferiors have exited; the machine can still be
   * inspected.
   */
  finished(status: number): void {
    const wasRunning = this.isRunning;
    this.isRunning = false;
    this.over = status & 0xff;
    if (this.hasPeer && wasRunning) this.exited(this.general.nid);
  }
  /** One inferior has exited. The others follow when the debugger resumes them. */
  private exited(nid: number): void {
    this.held.delete(nid);
    this.sendExit(nid, this.over!, 0);
  }
  /** One process has ended, the others are stopped. */
  private processEnded(nid: number, status: number, signal: number): void {
    this.isRunning = false;
    this.resumption = undefined;
    this.held.delete(nid);
    if (this.held.size > 0) this.general = this.first();
    this.standing = { signal: Signal.TRAP, at: this.general, reason: "" };
    this.sendExit(nid, status, signal);
  }
  /** W: exited with a status; X: ended by a signal. */
  private sendExit(nid: number, status: number, signal: number): void {
    const code = (signal || status).toString(16).padStart(2, "0");
    this.send(`${signal === 0 ? "W" : "X"}${code}${this.threads.multiprocess ? `;process:${nid.toString(16)}` : ""}`);
  }

  /** Whether gdb believes that the core runs; it cannot be told of a stop of another one. */
  private isResumed({ nid, core }: CoreId): boolean {
    const isHere = (id: CoreId): boolean => id.nid === nid && id.core === core;
    if (this.resumption === undefined) return true;
    return this.resumption.exclusive ? this.resumption.steps.some(isHere) : !this.resumption.standing.some(isHere);
  }

  /**
   * While one core is stepped past a point, another one has reached one. gdb accepts a stop of the stepped core only
   * (version 13 fails on an assertion). The other core continues, because virtual time is shared, and gdb is told when
   * it resumes all cores.
   */
  private pass(stop: TargetStop & { kind: "breakpoint" | "watchpoint" }): void {
    const rip = this.target.registers(stop).register("rip").toString(16);
    const text = `margay: n${stop.nid}.c${stop.core} came to a ${stop.kind} (rip 0x${rip}) while gdb let only another core go on, and has passed it\n`;
    this.passed.push({ at: { nid: stop.nid, core: stop.core, id: stop.id }, text });
  }

  private endsHere(stop: TargetStop & { kind: "fault" | "idle" }): void {
    const text =
      stop.kind === "fault" ? stop.text : "every core is halted and nothing is under way: the machine cannot go on";
    this.print(`margay: ${text}\n`);
    this.stop(stop.kind === "fault" ? Signal.ABRT : Signal.INT, stop.kind === "fault" ? stop : this.general);
  }

  private stop(signal: number, at: CoreId, reason = ""): void {
    this.isRunning = false;
    this.interrupted = false;
    this.resumption = undefined;
    // gdb cannot be told of a thread that it does not have: of a `monitor break`, or a fault, on a node that is not
    // attached.
    if (this.nids.includes(at.nid)) this.general = { nid: at.nid, core: at.core };
    else if (this.hasPeer) this.print(`margay: n${at.nid}.c${at.core} has stopped: attach ${at.nid} to look at it\n`);
    this.standing = { signal, at: this.general, reason };
    if (this.hasPeer) this.send(this.stopReply());
  }

  /** swbreak and hwbreak only if the debugger has asked for them. */
  private reason(reason: string): string {
    const known = reason.startsWith("swbreak")
      ? this.peer.swbreak
      : reason.startsWith("hwbreak")
        ? this.peer.hwbreak
        : true;
    return known && reason !== "" ? `${reason};` : "";
  }

  /** T packet with the registers that gdb reads first. */
  private stopPacket(signal: number, at: CoreId, reason = ""): string {
    const view = new RegisterView(this.target.registers(at));
    const expedited = ["rbp", "rsp", "rip"].map((name) => {
      const number = registerNumber(name);
      return `${number.toString(16).padStart(2, "0")}:${registerHex(registers[number]!, view)};`;
    });
    return `${this.place(signal, at)}${reason}${expedited.join("")}`;
  }
  private place(signal: number, at: CoreId): string {
    return `T${signal.toString(16).padStart(2, "0")}thread:${this.threads.format(at)};core:${at.core.toString(16)};`;
  }
}
