/** The serial console's output: handed on as it comes, observed a line at a time. One character a byte (Latin-1). */
export class Console {
  /** Bytes not handed out yet. */
  private text = "";
  /** The line that they belong to, without its end. */
  line = "";

  constructor(
    private readonly onLine: (line: string) => void,
    private readonly onText: ((text: string) => void) | undefined,
  ) {}

  write(byte: number): void {
    this.text += String.fromCharCode(byte);
    if (byte !== 0x0a) {
      this.line += String.fromCharCode(byte);
      return;
    }
    this.onLine(this.line.replace(/\r$/, ""));
    this.line = "";
    this.flush();
  }

  flush(): void {
    if (this.text === "") return;
    const text = this.text;
    this.text = "";
    this.onText?.(text);
  }
}
