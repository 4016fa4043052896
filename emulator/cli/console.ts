/** Splits a node's console into lines and knows when its kernel said that it is ready. */
export class ConsoleLines {
  readonly all: string[] = [];
  ready = false;
  private partial = "";

  /** Adds output; gives the lines that it completes. The ready line itself counts as boot output. */
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
