/** Splits a node's console into lines and detects the kernel's ready line. */
export class ConsoleLines {
  readonly all: string[] = [];
  ready = false;
  private partial = "";

  /** Adds output and returns the lines that it completes. The ready line itself counts as boot output. */
  take(text: string): string[] {
    const parts = (this.partial + text).replace(/\r/g, "").split("\n");
    this.partial = parts.pop()!;
    const shown: string[] = [];
    for (const line of parts) {
      this.all.push(line);
      if (this.ready) shown.push(line);
      if (line.startsWith("margay: ready ")) this.ready = true;
    }
    return shown;
  }
}
