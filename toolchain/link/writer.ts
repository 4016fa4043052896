/** A growing little-endian byte string. */
export class ByteWriter {
  private buffer = new Uint8Array(1024);
  length = 0;

  private grow(bytes: number): void {
    if (this.length + bytes <= this.buffer.length) return;
    const larger = new Uint8Array(Math.max(this.buffer.length * 2, this.length + bytes));
    larger.set(this.buffer.subarray(0, this.length));
    this.buffer = larger;
  }
  u8(value: number): void {
    this.grow(1);
    this.buffer[this.length++] = value;
  }
  u16(value: number): void {
    this.u8(value & 255);
    this.u8(value >>> 8);
  }
  u32(value: number): void {
    this.u16(value & 0xffff);
    this.u16(value >>> 16);
  }
  u64(value: bigint): void {
    this.u32(Number(value & 0xffff_ffffn));
    this.u32(Number((value >> 32n) & 0xffff_ffffn));
  }
  uleb(value: number): void {
    let rest = value;
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.u8((rest & 127) | 128);
    this.u8(rest);
  }
  /** For 32-bit values. */
  sleb(value: number): void {
    let rest = value;
    while (rest < -64 || rest > 63) {
      this.u8((rest & 127) | 128);
      rest >>= 7;
    }
    this.u8(rest & 127);
  }
  ulebLarge(value: bigint): void {
    let rest = value;
    for (; rest >= 128n; rest >>= 7n) this.u8(Number(rest & 127n) | 128);
    this.u8(Number(rest));
  }
  slebLarge(value: bigint): void {
    let rest = value;
    for (; rest < -64n || rest > 63n; rest >>= 7n) this.u8(Number(rest & 127n) | 128);
    this.u8(Number(rest & 127n));
  }
  private static readonly encoder = new TextEncoder();
  /** UTF-8 with a terminating zero. */
  string(text: string): void {
    this.bytes(ByteWriter.encoder.encode(text));
    this.u8(0);
  }
  bytes(bytes: Uint8Array): void {
    this.grow(bytes.length);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
  }
  /** Zeros up to `offset`. */
  pad(offset: number): void {
    if (offset < this.length) throw new Error(`ByteWriter: at ${this.length} already, behind ${offset}`);
    this.grow(offset - this.length);
    this.length = offset;
  }
  align(alignment: number): void {
    this.pad(Math.ceil(this.length / alignment) * alignment);
  }
  /** Fills in a 32-bit field written before. */
  patch32(offset: number, value: number): void {
    for (let i = 0; i < 4; i++) this.buffer[offset + i] = (value >>> (8 * i)) & 255;
  }
  take(): Uint8Array {
    return this.buffer.slice(0, this.length);
  }
}
