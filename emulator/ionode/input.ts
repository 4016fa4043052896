/** A task's standard input, as the I/O node reads it. */
export interface InputStream {
  /** Its bytes arrive while the job runs. */
  readonly isLive: boolean;
  /** Bytes have arrived, or the input has ended. Left out: when it is asked for, it is there. */
  readonly isReady?: boolean;
  /** Announces a read of up to `count` bytes. */
  want(count: number): void;
  /**
   * Returns up to `count` bytes, at least one; none: the input has ended. Null: the next bytes have not arrived yet.
   */
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
