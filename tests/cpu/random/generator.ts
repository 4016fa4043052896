/**
 * Random instructions from the native engine's table, with operands that usually address the data pages. Only the
 * engines are compared, so nothing here knows the correct results.
 */
import { decode, Instruction } from "../../../emulator/cpu/native/decode.ts";
import { entries, type Row } from "../../../emulator/cpu/native/table.ts";

/** Left out: instructions that leave the program, or depend on devices and privilege. */
const EXCLUDED = new Set([
  "system",
  "far",
  "int",
  "port",
  "hlt",
  "cli",
  "sti",
  "control",
  "syscall",
  "sysret",
  "swapgs",
]);
const EXCLUDED_TOO = new Set(["rdtsc", "fsgsbase", "movtoseg", "movfromseg", "loadfar", "popseg", "pushseg", "ud"]);

export interface Generated {
  readonly bytes: Uint8Array;
  readonly insn: Instruction;
}

interface Form {
  readonly prefix: number;
  readonly opcode: number;
}
const PREFIXES = [0, 0x66, 0xf3, 0xf2];
const forms: Form[] = [];
const allForms: Form[] = [];
entries.forEach((entry, index) => {
  if (entry === undefined) return;
  const rows = Array.isArray(entry) ? entry : [entry];
  const form = { prefix: PREFIXES[index >> 9], opcode: index & 511 };
  allForms.push(form);
  if (rows.some((row) => row !== undefined && !EXCLUDED.has(row.how) && !EXCLUDED_TOO.has(row.how))) forms.push(form);
});

/**
 * One that is valid in 64-bit mode and allowed by `accept`. `equal`: none that leaves the program or in which Unicorn
 * is known to differ.
 */
export function randomInstruction(
  random: (below: number) => number,
  accept: (row: Row) => boolean,
  equal = true,
): Generated {
  const code = new Uint8Array(24);
  for (;;) {
    const form = (equal ? forms : allForms)[random(equal ? forms.length : allForms.length)];
    let at = 0;
    if (random(24) === 0) code[at++] = 0x67;
    if (random(12) === 0) code[at++] = 0x66;
    if (random(24) === 0) code[at++] = 0x64 + random(2);
    if (random(24) === 0) code[at++] = 0xf0;
    if (form.prefix) code[at++] = form.prefix;
    if (random(2)) code[at++] = 0x40 | random(16);
    if (form.opcode > 0xff) code[at++] = 0x0f;
    code[at++] = form.opcode;
    for (; at < code.length; at++) code[at] = random(256);
    // Displacements are small, so that most accesses hit.
    const insn = decode(code, 0, code.length, 64);
    if (!(insn instanceof Instruction) || insn.row === undefined) continue;
    if (!accept(insn.row)) continue;
    if (equal && (EXCLUDED.has(insn.row.how) || EXCLUDED_TOO.has(insn.row.how) || differs(insn))) continue;
    if (insn.hasMemory && Math.abs(insn.displacement) > 0x400 && random(50) !== 0) continue;
    return { bytes: code.slice(0, insn.length), insn };
  }
}

/**
 * Known deviations of Unicorn: it executes F3 BSF and BSR as TZCNT and LZCNT, uses SPL for AH in LAHF and SAHF with
 * REX, stores before it checks a port in INS, raises #UD for hints with a register, for TEST by its second name (F6 /1)
 * and for MOV C6 and C7 with REX.R, for SSE with two prefixes and for comparisons by a reserved predicate, and computes
 * the flags of LOCK NEG wrongly.
 */
function differs(insn: Instruction): boolean {
  const { row, repeat, rex, opcode, extension, lock, hasMemory } = insn;
  if (row === undefined) return true;
  if (row.how === "scan" && repeat === 0xf3) return true;
  if ((row.how === "lahf" || row.how === "sahf") && rex !== 0) return true;
  if (row.name === "INS" || row.name === "OUTS") return true;
  if (lock && row.name === "NEG") return true;
  if (row.unit !== "" && insn.hasOperandPrefix && row.prefix !== 0x66) return true;
  if (opcode === 0x1c2 && insn.immediate & ~7) return true;
  if (rex & 4 && (opcode === 0xc6 || opcode === 0xc7)) return true;
  if ((opcode & ~1) === 0xf6 && extension === 1) return true;
  return !hasMemory && row.how === "nop" && opcode !== 0x1ae;
}
