/**
 * Output of the serial console. Text is passed on as it arrives; observers see whole lines. One character a byte
 * (Latin-1).
 */
export class Console {
  /** Text not passed on yet. */
  private text = "";
  /** The current line, without its end. */
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
