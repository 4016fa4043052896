/**
 * i8042 keyboard controller, as far as a console keyboard needs it. Source: IBM PS/2 Technical Reference, "Keyboard
 * controller"; QEMU hw/input/pckbd.c for what a microvm guest sees. Modelled: status and data port, output buffer with
 * interrupt, command byte, self tests, keyboard enable and reset, set-1 scan codes, machine reset by 0xfe. Left out:
 * mouse port, set-2 codes, LEDs. Without a keyboard both ports read 0xff, as on a microvm without `-device i8042`; the
 * reset works either way.
 */
import { I8042, I8042_RESET } from "../abi/platform.ts";
import { type DeviceHost, hex, type InterruptLine } from "./device.ts";

const Status = { OUTPUT_FULL: 0x01, SYSTEM: 0x04, COMMAND: 0x08, UNLOCKED: 0x10 } as const;
const CommandByte = {
  KEYBOARD_INTERRUPT: 0x01,
  SYSTEM: 0x04,
  KEYBOARD_DISABLED: 0x10,
  MOUSE_DISABLED: 0x20,
  TRANSLATE: 0x40,
} as const;
const ControllerCommand = {
  READ_BYTE: 0x20,
  WRITE_BYTE: 0x60,
  SELF_TEST: 0xaa,
  TEST_KEYBOARD: 0xab,
  DISABLE_KEYBOARD: 0xad,
  ENABLE_KEYBOARD: 0xae,
} as const;
const KeyboardCommand = {
  SET_LEDS: 0xed,
  ECHO: 0xee,
  IDENTIFY: 0xf2,
  SET_RATE: 0xf3,
  ENABLE: 0xf4,
  DISABLE: 0xf5,
  RESET: 0xff,
} as const;
const ACKNOWLEDGE = 0xfa;

export class KeyboardController {
  private commandByte: number = CommandByte.SYSTEM | CommandByte.KEYBOARD_INTERRUPT | CommandByte.TRANSLATE;
  /** Controller command that waits for its data byte; 0 = none, and the next data byte is for the keyboard. */
  private waitingFor = 0;
  /** Keyboard command that waits for its operand. */
  private operandOf = 0;
  private lastWasCommand = false;
  private readonly output: number[] = [];

  constructor(
    readonly attached: boolean,
    private readonly host: DeviceHost,
    private readonly line: InterruptLine,
    private readonly onReset: () => void,
  ) {}

  /** Host side: set-1 scan codes. */
  type(scanCodes: readonly number[]): void {
    if (!this.attached) return;
    this.output.push(...scanCodes);
    this.update();
  }

  read(port: number): number {
    if (!this.attached) return 0xff;
    if (port === I8042.COMMAND) {
      return (
        Status.SYSTEM |
        Status.UNLOCKED |
        (this.available ? Status.OUTPUT_FULL : 0) |
        (this.lastWasCommand ? Status.COMMAND : 0)
      );
    }
    if (!this.available) return 0;
    const byte = this.output.shift()!;
    // The line goes low between two bytes, for an edge-triggered input.
    this.line.set(false);
    this.update();
    return byte;
  }

  write(port: number, value: number): void {
    value &= 0xff;
    if (port === I8042.COMMAND && value === I8042_RESET) {
      this.onReset();
      return;
    }
    if (!this.attached) return;
    this.lastWasCommand = port === I8042.COMMAND;
    if (port === I8042.COMMAND) this.controllerCommand(value);
    else if (this.waitingFor === ControllerCommand.WRITE_BYTE) {
      this.waitingFor = 0;
      this.commandByte = value;
    } else this.keyboardCommand(value);
    this.update();
  }

  state(): unknown {
    const { attached, commandByte, waitingFor, operandOf, lastWasCommand } = this;
    return { attached, commandByte, waitingFor, operandOf, lastWasCommand, output: [...this.output] };
  }

  private get available(): boolean {
    return this.output.length > 0 && (this.commandByte & CommandByte.KEYBOARD_DISABLED) === 0;
  }

  private controllerCommand(value: number): void {
    // biome-ignore format: one case a row
    switch (value) {
      case ControllerCommand.READ_BYTE: this.output.unshift(this.commandByte); return;
      case ControllerCommand.WRITE_BYTE: this.waitingFor = value; return;
      case ControllerCommand.SELF_TEST: this.output.unshift(0x55); return;
      case ControllerCommand.TEST_KEYBOARD: this.output.unshift(0x00); return;
      case ControllerCommand.DISABLE_KEYBOARD: this.commandByte |= CommandByte.KEYBOARD_DISABLED; return;
      case ControllerCommand.ENABLE_KEYBOARD: this.commandByte &= ~CommandByte.KEYBOARD_DISABLED; return;
    }
    this.host.report(`i8042: unknown controller command ${hex(value, 2)}`);
  }

  private keyboardCommand(value: number): void {
    if (this.operandOf !== 0) {
      this.operandOf = 0;
      this.output.push(ACKNOWLEDGE);
      return;
    }
    // biome-ignore format: one case a row
    switch (value) {
      case KeyboardCommand.SET_LEDS: case KeyboardCommand.SET_RATE: this.operandOf = value; this.output.push(ACKNOWLEDGE); return;
      case KeyboardCommand.ENABLE: case KeyboardCommand.DISABLE: this.output.push(ACKNOWLEDGE); return;
      case KeyboardCommand.ECHO: this.output.push(KeyboardCommand.ECHO); return;
      case KeyboardCommand.IDENTIFY: this.output.push(ACKNOWLEDGE, 0xab, 0x83); return;
      case KeyboardCommand.RESET: this.output.push(ACKNOWLEDGE, 0xaa); return;
    }
    this.host.report(`i8042: unknown keyboard command ${hex(value, 2)}`);
  }

  private update(): void {
    this.line.set(this.available && (this.commandByte & CommandByte.KEYBOARD_INTERRUPT) !== 0);
  }
}
