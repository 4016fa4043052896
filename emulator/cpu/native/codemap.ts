/** Maps a position in the code buffer to the guest instruction that this code belongs to. */

/** Linear addresses, signed. */
export interface GuestPlace {
  readonly pc: number;
  /** Linear address of the start of its block. */
  readonly block: number;
}

export class CodeMap {
  private count = 0;
  private at = new Int32Array(1024);
  private pc = new Float64Array(1024);
  private block = new Float64Array(1024);

  /** Adds the start of an instruction's code. Positions increase within each half of the buffer. */
  add(at: number, pc: number, block: number): void {
    if (this.count === this.at.length) {
      const at = new Int32Array(this.count * 2);
      const pc = new Float64Array(this.count * 2);
      const block = new Float64Array(this.count * 2);
      at.set(this.at);
      pc.set(this.pc);
      block.set(this.block);
      [this.at, this.pc, this.block] = [at, pc, block];
    }
    this.at[this.count] = at;
    this.pc[this.count] = pc;
    this.block[this.count++] = block;
  }
  clear(): void {
    this.count = 0;
  }

  find(at: number): GuestPlace | undefined {
    let best = -1;
    for (let index = 0; index < this.count; index++)
      if (this.at[index] <= at && (best < 0 || this.at[index] >= this.at[best])) best = index;
    return best < 0 ? undefined : { pc: this.pc[best], block: this.block[best] };
  }
}
