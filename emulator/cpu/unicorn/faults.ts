/** Faults of a core that Unicorn detects but reports incompletely, and instructions that it leaves to us. */
import { Exception, PageFault, Rflags } from "../../abi/x86.ts";
import { ACCESS_FETCH, ACCESS_READ, type AccessKind, Fault } from "../x86/access.ts";
import { Dr6 } from "../x86/debug.ts";
import { NOT_CANONICAL } from "../x86/mmu.ts";
import { RESULT_FLAGS } from "./arithmetic.ts";
import { Env, FLAGS_COMPUTED } from "./environment.ts";
import {
  hasComputedFlags,
  type Intercepted,
  isNotedBranch,
  needsAlignmentAtRip,
  perform,
  raiseResultFlags,
  vectorOfNotCanonical,
  writesAtRip,
} from "./intercept.ts";
import { CANONICAL_END, leavesCanonical } from "./operands.ts";
import type { CorePoints } from "./points.ts";
import { Processor } from "./processor.ts";
import { isCanonical } from "../x86/pagewalk.ts";
import { computedFlags, misalignedAddress, noted } from "./translator.ts";
import { UNALIGNED } from "./translator-code.ts";

/** Error of a fetch from device memory. Device memory reads as all ones there, which is an undefined opcode. */
export const FETCH_OUTSIDE_RAM = -2;

export abstract class FaultProcessor extends Processor {
  protected abstract readonly points: CorePoints;
  /** This number of instructions has retired. */
  protected abstract advance(retired: number): void;

  /** Delivers an exception that Unicorn has raised. */
  protected deliverFound(vector: number): void {
    const errorCode = this.env.u32(Env.ERROR_CODE);
    if (errorCode & RESULT_FLAGS) raiseResultFlags(this);
    if (errorCode !== UNALIGNED) {
      this.deliver({ vector, kind: "exception", errorCode: errorCode & 0xffff });
      return;
    }
    // An address that is not canonical comes first.
    const address = misalignedAddress();
    const cause =
      this.is64Bit && !isCanonical(Number(address >> 32n))
        ? vectorOfNotCanonical(this, address >> 12n)
        : needsAlignmentAtRip(this)
          ? Exception.GP
          : Exception.AC;
    this.deliver({ vector: cause, kind: "exception", errorCode: 0 });
  }

  /** Delivers the fault of a refused TLB fill by the instruction at RIP. */
  protected deliverMiss(kind: AccessKind, error: number, page: bigint): void {
    const { env } = this;
    if (kind !== ACCESS_FETCH && hasComputedFlags(this)) {
      env.setU64(Env.FLAGS_SOURCE, computedFlags());
      env.setU32(Env.FLAGS_OPERATION, FLAGS_COMPUTED);
    }
    const leaves = kind !== ACCESS_FETCH && page === CANONICAL_END - 0x1000n && leavesCanonical(this);
    if (error === NOT_CANONICAL || leaves) {
      const vector =
        kind === ACCESS_FETCH ? Exception.GP : vectorOfNotCanonical(this, (leaves ? CANONICAL_END : page) >> 12n);
      this.deliver({ vector, kind: "exception", errorCode: 0 });
      return;
    }
    if (error === FETCH_OUTSIDE_RAM) {
      this.deliver({ vector: Exception.UD, kind: "exception" });
      return;
    }
    // The hook gets only the page. An access that straddles faults at the first byte of the second page.
    const reported = env.invalidAddress;
    const address = reported >> 12n === page >> 12n ? reported : page;
    const isWrite = kind === ACCESS_READ && writesAtRip(this);
    const errorCode = isWrite ? error | PageFault.W : error;
    this.deliver({ vector: Exception.PF, kind: "exception", errorCode, address });
  }

  /** The translator has left the instruction at RIP to us. */
  protected afterIntercept(): void {
    const stepping = (this.env.u32(Env.EFLAGS) & Rflags.TF) !== 0;
    const shadow = this.interruptShadow;
    let done: Intercepted | undefined;
    try {
      done = perform(this);
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      const { vector, errorCode, address } = fault;
      this.deliver({ vector, kind: "exception", errorCode, address });
      return;
    }
    if (done === undefined) {
      // The code has been changed meanwhile.
      this.node.coherence.dropCodeAt(this.core.index, this.linearRip);
      return;
    }
    if ("vector" in done) {
      this.deliver({ vector: done.vector, kind: "exception", errorCode: done.errorCode });
      return;
    }
    const { rip } = this;
    this.rip += BigInt(done.length);
    // A load of SS makes a new shadow, in which no single step traps.
    const loadsStack = done.loadsStack === true;
    if (shadow && !loadsStack) this.interruptShadow = false;
    this.advance(1);
    if (done.interrupt !== undefined) this.deliver({ vector: done.interrupt, kind: "software", instructionRip: rip });
    else if (done.trap !== undefined) this.deliver({ vector: done.trap, kind: "exception" });
    else if (stepping && !loadsStack) {
      this.setDebugRegister(6, this.debugRegister(6) | Dr6.BS);
      this.deliver({ vector: Exception.DB, kind: "exception" });
    }
  }

  /** A near branch to a non-canonical address faults itself (SDM vol. 2, JMP, CALL, RET): it is undone. */
  protected faultsAtBranch(begun: number, status?: bigint): boolean {
    const { rip, rsp, count } = noted;
    // The branch is noted before it is counted.
    if (count !== begun - 1 || !this.is64Bit || !isNotedBranch(this, rip)) return false;
    this.advance(begun - 1);
    this.points.hit = undefined;
    this.rip = rip;
    this.setGpr(4, rsp);
    if (status !== undefined) this.setDebugRegister(6, status);
    this.deliver({ vector: Exception.GP, kind: "exception", errorCode: 0 });
    return true;
  }
}
