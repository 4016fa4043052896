/** isa-debug-exit: a write of v ends the machine with status (v << 1) | 1. Source: QEMU hw/misc/debugexit.c. */
export class DebugExit {
  constructor(private readonly onExit: (status: number) => void) {}

  read(): number {
    return 0;
  }

  write(value: number): void {
    this.onExit(((value << 1) | 1) & 0xff);
  }
}
