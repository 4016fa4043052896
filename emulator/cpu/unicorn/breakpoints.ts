/**
 * QEMU's own list of breakpoints inside a Unicorn CPU, which its translator still reads: at a listed address a block
 * ends with an exit to the debugger instead of the instruction. So only code with breakpoints pays for them. We own the
 * list: its nodes are in our memory, and only the fields that the translator reads matter. This file drops no
 * translated code.
 */
import { type Address, type Binding, viewMemory } from "./binding.ts";
import { Env, type Environment, Hflag } from "./environment.ts";

/** struct CPUBreakpoint. */
const Node = { ADDRESS: 0, FLAGS: 8, NEXT: 16, BYTES: 32 } as const;
/** BP_GDB: the breakpoint also works with RFLAGS.RF set. */
const BP_GDB = 0x10;
const FIRST_CAPACITY = 128;

export class BreakpointList {
  private memory: Address = 0;
  private view: DataView | undefined;
  private capacity = 0;
  private first: Address = 0;
  private isHidden = false;

  constructor(
    private readonly unicorn: Binding,
    private readonly env: Environment,
  ) {}

  /** Linear addresses, without duplicates. */
  set(addresses: ReadonlySet<bigint>): void {
    if (addresses.size > this.capacity) {
      this.capacity = Math.max(FIRST_CAPACITY, 2 ** Math.ceil(Math.log2(addresses.size)));
      this.memory = this.unicorn.allocate(this.capacity * Node.BYTES);
      this.view = new DataView(viewMemory(this.memory, this.capacity * Node.BYTES));
    }
    let index = 0;
    for (const address of addresses) {
      const view = this.view as DataView;
      const at = index * Node.BYTES;
      index++;
      view.setBigUint64(at + Node.ADDRESS, address, true);
      view.setUint32(at + Node.FLAGS, BP_GDB, true);
      view.setBigUint64(at + Node.NEXT, index < addresses.size ? BigInt(this.memory + index * Node.BYTES) : 0n, true);
    }
    this.first = addresses.size > 0 ? this.memory : 0;
    if (!this.isHidden) this.env.breakpointList = this.first;
  }

  /** Until `show`, the core runs code without breakpoints: other translations, under their own flag. */
  hide(): void {
    this.isHidden = true;
    this.env.breakpointList = 0;
    this.env.setU32(Env.HFLAGS, this.env.u32(Env.HFLAGS) | Hflag.WITHOUT_BREAKPOINTS);
  }
  show(): void {
    this.isHidden = false;
    this.env.breakpointList = this.first;
    this.env.setU32(Env.HFLAGS, this.env.u32(Env.HFLAGS) & ~Hflag.WITHOUT_BREAKPOINTS);
  }
}
