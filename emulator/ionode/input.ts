/** A task's standard input as the I/O node reads it. */
export interface InputStream {
  /** Its bytes come while the job runs. */
  readonly isLive: boolean;
  /** A read of up to `count` bytes is going to come. */
  want(count: number): void;
  /** Up to `count` bytes, at least one; none: it has ended. Null: its next bytes are not there yet. */
  read(count: number): Uint8Array | null;
}

/** Input that is known before the job starts. */
export class BytesInput implements InputStream {
  readonly isLive = false;
  private done = 0;

  constructor(private readonly bytes: Uint8Array) {}

  want(): void {}
  read(count: number): Uint8Array {
    const part = this.bytes.subarray(this.done, this.done + count);
    this.done += part.length;
    return part;
  }
}
