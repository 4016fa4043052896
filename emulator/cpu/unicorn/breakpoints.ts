/**
 * QEMU's own list of breakpoints inside a Unicorn CPU, which its translator still looks at: at a listed address a block
 * ends in an exit to the debugger instead of the instruction. So breakpoints cost nothing where they are not. The list
 * is ours: nodes in memory of our own, of which only the fields that the translator reads matter. Nothing here drops
 * translated code.
 */
import { type Address, type Binding, viewMemory } from "./binding.ts";
import { Env, type Environment, Hflag } from "./environment.ts";

/** struct CPUBreakpoint. */
const Node = { ADDRESS: 0, FLAGS: 8, NEXT: 16, BYTES: 32 } as const;
/** BP_GDB: also where RFLAGS.RF is set. */
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

  /** Linear addresses, each once. */
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

  /** Until `show`, code is run that has no breakpoints in it: other translations, under a flag of their own. */
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
