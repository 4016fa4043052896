/** `--label`: marks each line of a job's output with its rank. Without it, bytes pass unchanged. */
const NEWLINE = 10;

export class LabelledOutput {
  /** The unfinished line of each rank and stream. */
  private readonly partial = new Map<string, { rank: number; fd: number; bytes: Uint8Array }>();

  constructor(private readonly enabled: boolean) {}

  take(rank: number, fd: number, bytes: Uint8Array): Uint8Array {
    if (!this.enabled) return bytes;
    const key = `${rank}:${fd}`;
    const text = Buffer.concat([this.partial.get(key)?.bytes ?? Buffer.alloc(0), bytes]);
    const end = text.lastIndexOf(NEWLINE) + 1;
    this.partial.set(key, { rank, fd, bytes: text.subarray(end) });
    return this.mark(rank, text.subarray(0, end));
  }

  /** The unfinished lines at the end, each with a newline. */
  rest(fd: number): Uint8Array {
    const left = [...this.partial.values()].filter((p) => p.fd === fd && p.bytes.length > 0);
    return Buffer.concat(left.map((p) => this.mark(p.rank, Buffer.concat([p.bytes, Buffer.from("\n")]))));
  }

  private mark(rank: number, lines: Uint8Array): Uint8Array {
    const parts: Uint8Array[] = [];
    for (let start = 0; start < lines.length; ) {
      const end = lines.indexOf(NEWLINE, start) + 1;
      parts.push(Buffer.from(`[${rank}] `), lines.subarray(start, end));
      start = end;
    }
    return Buffer.concat(parts);
  }
}
