/**
 * Keyboard on the i8042: scan code set 1 (as the controller translates it) to ASCII of a US keyboard, to the console's
 * input. Modelled: Shift, Control (letters), Caps Lock. Ignored: every key without a character (including 0xe0 and 0xe1
 * sequences), and mouse input. Source: IBM PS/2 Technical Reference, "Keyboard controller" and "Keyboards", scan code
 * set 1.
 */
import { I8042, KEYBOARD_GSI } from "../abi/platform.ts";
import { portRead8, portWrite8 } from "../arch/cpu.ts";
import { ioapicRoute } from "../arch/ioapic.ts";
import { consoleInput } from "./console.ts";

// biome-ignore format: tables
export const enum Status { OUTPUT_FULL = 0x01, INPUT_FULL = 0x02, FROM_MOUSE = 0x20 }
/** Reads of an absent controller give all ones. */
const ABSENT: u8 = 0xff;
const COMMAND_ENABLE: u8 = 0xae;
const COMMAND_WRITE_BYTE: u8 = 0x60;
/** Command byte: interrupt on a byte from the keyboard, self-tested, translated to set 1; the mouse stays off. */
const COMMAND_BYTE: u8 = 0x65;
const PREFIX_EXTENDED: u8 = 0xe0;
const PREFIX_PAUSE: u8 = 0xe1;
const BREAK: u8 = 0x80;
/** More bytes than a controller holds: the loop ends even if the bit is stuck at 1. */
const DRAIN_TRIES: u32 = 64;
const WAIT_TRIES: u32 = 100000;

// biome-ignore format: tables
const enum Key { CONTROL = 0x1d, SHIFT_LEFT = 0x2a, SHIFT_RIGHT = 0x36, CAPS_LOCK = 0x3a }

/** By make code, from 0; a blank for keys without a character, and for the space bar itself. */
function plainKeys(): ptr<u8> {
  return cstr(" \x1b1234567890-=\b\tqwertyuiop[]\n asdfghjkl;'` \\zxcvbnm,./ *");
}
function shiftedKeys(): ptr<u8> {
  return cstr(' \x1b!@#$%^&*()_+\b\tQWERTYUIOP{}\n ASDFGHJKL:"~ |ZXCVBNM<>? *');
}
const KEYS: u8 = 0x38;
const SPACE_BAR: u8 = 0x39;
const BLANK: u8 = 32;

class Keyboard {
  shift: u32 = 0;
  control: u32 = 0;
  caps: u32 = 0;
  /** Bytes of a sequence still to skip. */
  skip: u32 = 0;
}
const keyboard: Keyboard = new Keyboard();

/** Does nothing on a machine without a controller. Interrupts go to the first core. */
export function keyboardStart(): void {
  if (portRead8(I8042.COMMAND) === ABSENT) return;
  for (let i: u32 = 0; i < DRAIN_TRIES && (portRead8(I8042.COMMAND) & Status.OUTPUT_FULL) !== 0; i++)
    portRead8(I8042.DATA);
  command(COMMAND_ENABLE);
  command(COMMAND_WRITE_BYTE);
  waitForInput();
  portWrite8(I8042.DATA, COMMAND_BYTE);
  ioapicRoute(KEYBOARD_GSI, 0, keyboardInterrupt, 0);
}

function waitForInput(): void {
  for (let i: u32 = 0; i < WAIT_TRIES && (portRead8(I8042.COMMAND) & Status.INPUT_FULL) !== 0; i++) {}
}
function command(value: u8): void {
  waitForInput();
  portWrite8(I8042.COMMAND, value);
}

function keyboardInterrupt(_vector: u32, _device: u64): void {
  for (;;) {
    const status: u8 = portRead8(I8042.COMMAND);
    if ((status & Status.OUTPUT_FULL) === 0) return;
    const code: u8 = portRead8(I8042.DATA);
    if ((status & Status.FROM_MOUSE) === 0) scanCode(code);
  }
}

function scanCode(code: u8): void {
  if (keyboard.skip !== 0) {
    keyboard.skip--;
    return;
  }
  if (code === PREFIX_EXTENDED || code === PREFIX_PAUSE) {
    keyboard.skip = code === PREFIX_EXTENDED ? 1 : 2;
    return;
  }
  const down: boolean = (code & BREAK) === 0;
  const key: u8 = code & ~BREAK;
  switch (key) {
    case Key.SHIFT_LEFT:
    case Key.SHIFT_RIGHT:
      keyboard.shift = u32(down);
      return;
    case Key.CONTROL:
      keyboard.control = u32(down);
      return;
    case Key.CAPS_LOCK:
      if (down) keyboard.caps ^= 1;
      return;
    default:
      if (down) character(key);
  }
}

function isLetter(c: u8): boolean {
  return c >= 97 && c <= 122;
}

function character(key: u8): void {
  if (key === SPACE_BAR) {
    consoleInput(BLANK);
    return;
  }
  if (key >= KEYS) return;
  const plain: u8 = plainKeys()[key];
  if (plain === BLANK) return;
  if (keyboard.control !== 0) {
    if (isLetter(plain)) consoleInput(plain & 0x1f);
    return;
  }
  const shifted: boolean = (keyboard.shift !== 0) !== (keyboard.caps !== 0 && isLetter(plain));
  consoleInput(shifted ? shiftedKeys()[key] : plain);
}
