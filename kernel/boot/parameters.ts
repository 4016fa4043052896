/**
 * Boot parameters: words of the command line, `name=value`. Ours are `margay.NAME=…` or plain; a word that we do not
 * know is somebody else's (QEMU appends its own), unless it starts with `margay.`: then it is named on the console.
 *
 *   coords=X.Y.Z   place in the fabric       nodes=N   compute nodes of the machine
 *   epoch=SECONDS  wall clock at boot        tlb_ipi=off   no shootdown IPIs (to show what they are for)
 *   panic=irq      the first device interrupt after ready panics (to show what a panic shows)
 *   panic=touch    the serial line's interrupt touches the memory of the program that it breaks into, as no handler may
 *   fail_alloc=N   the N-th allocation after ready fails; fail_boot_alloc=N: the N-th of the boot;
 *                  fail_lasting=on: and all after it (to test that nothing dies of it)
 */
import { type ParsedNumber, parseDecimal, startsWith } from "../../toolchain/lib/rt/strings.ts";
import { consoleLine, endLine, print, printChar } from "../arch/text.ts";

export const COMMAND_LINE_MAX: u64 = 2048;
export class Parameters {
  x: u16 = 0;
  y: u16 = 0;
  z: u16 = 0;
  nodes: u32 = 0;
  epochSeconds: u64 = 0;
  tlbIpiOff: u32 = 0;
  panicInInterrupt: u32 = 0;
  touchInInterrupt: u32 = 0;
  failAllocation: u64 = 0;
  failBootAllocation: u64 = 0;
  failLasting: u32 = 0;
}
export const parameters: Parameters = new Parameters();

const SPACE: u8 = 32;
const DOT: u8 = 46;

export function parseParameters(line: ptr<u8>): void {
  let at: u64 = 0;
  for (;;) {
    while (line[at] === SPACE) at++;
    if (line[at] === 0) return;
    if (!parseWord(addr(line[at]))) complain(addr(line[at]));
    while (line[at] !== SPACE && line[at] !== 0) at++;
  }
}

/** The value of `name=`, null if the word has another name. */
function valueOf(word: ptr<u8>, name: ptr<u8>): ptr<u8> | null {
  if (!startsWith(word, name)) return null;
  let n: u64 = 0;
  while (name[n] !== 0) n++;
  return addr(word[n]);
}
function isEnd(c: u8): boolean {
  return c === 0 || c === SPACE;
}
/** Parses a number that takes up the whole value and is at most `limit`. */
function number(value: ptr<u8>, limit: u64, result: ptr<ParsedNumber>): boolean {
  parseDecimal(value, result);
  return result.length !== 0 && isEnd(value[result.length]) && result.value <= limit;
}

/** Returns false if the word is ours and its value is invalid. */
function parseWord(word: ptr<u8>): boolean {
  const ours: boolean = startsWith(word, cstr("margay."));
  const name: ptr<u8> = ours ? addr(word[7]) : word;
  const parsed: ParsedNumber = zeroed();
  const coords = valueOf(name, cstr("coords="));
  if (coords !== null) return parseCoordinates(coords);
  const nodes = valueOf(name, cstr("nodes="));
  if (nodes !== null) {
    if (!number(nodes, 0xff_ffff, addr(parsed))) return false;
    parameters.nodes = u32(parsed.value);
    return true;
  }
  const epoch = valueOf(name, cstr("epoch="));
  if (epoch !== null) {
    if (!number(epoch, 0x7fff_ffff_ffff, addr(parsed))) return false;
    parameters.epochSeconds = parsed.value;
    return true;
  }
  const ipi = valueOf(name, cstr("tlb_ipi="));
  if (ipi !== null) {
    const off: boolean = startsWith(ipi, cstr("off")) && isEnd(ipi[3]);
    parameters.tlbIpiOff = u32(off);
    return off || (startsWith(ipi, cstr("on")) && isEnd(ipi[2]));
  }
  const panicWhere = valueOf(name, cstr("panic="));
  if (panicWhere !== null) {
    const inInterrupt: boolean = startsWith(panicWhere, cstr("irq")) && isEnd(panicWhere[3]);
    parameters.panicInInterrupt = u32(inInterrupt);
    parameters.touchInInterrupt = u32(startsWith(panicWhere, cstr("touch")) && isEnd(panicWhere[5]));
    // Linux's panic=SECONDS is not ours.
    return inInterrupt || !ours;
  }
  const fail = valueOf(name, cstr("fail_alloc="));
  if (fail !== null) {
    if (!number(fail, 0xffff_ffff, addr(parsed))) return false;
    parameters.failAllocation = parsed.value;
    return true;
  }
  const lasting = valueOf(name, cstr("fail_lasting="));
  if (lasting !== null) {
    parameters.failLasting = u32(startsWith(lasting, cstr("on")) && isEnd(lasting[2]));
    return parameters.failLasting !== 0;
  }
  const failBoot = valueOf(name, cstr("fail_boot_alloc="));
  if (failBoot !== null) {
    if (!number(failBoot, 0xffff_ffff, addr(parsed))) return false;
    parameters.failBootAllocation = parsed.value;
    return true;
  }
  return !ours;
}

function parseCoordinates(value: ptr<u8>): boolean {
  const parsed: ParsedNumber = zeroed();
  let at: u64 = 0;
  let found: arr<u16, 3> = zeroed();
  for (let i: u32 = 0; i < 3; i++) {
    parseDecimal(addr(value[at]), addr(parsed));
    if (parsed.length === 0 || parsed.value > 0xffff) return false;
    found[i] = u16(parsed.value);
    at += parsed.length;
    if (i < 2 && value[at] !== DOT) return false;
    if (i === 2 && !isEnd(value[at])) return false;
    at++;
  }
  parameters.x = found[0];
  parameters.y = found[1];
  parameters.z = found[2];
  return true;
}

function complain(word: ptr<u8>): void {
  const t = consoleLine();
  print(t, cstr("margay: boot parameter ignored: "));
  for (let i: u64 = 0; !isEnd(word[i]); i++) printChar(t, word[i]);
  endLine(t);
}
