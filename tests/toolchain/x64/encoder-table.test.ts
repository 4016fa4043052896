/**
 * Proves every row of the instruction table, in every mode that it names, with random operands: iced-x86 decodes its
 * bytes to the intended instruction; GNU as assembles the same text to the same bytes or to bytes that decode to the
 * same instruction; and the form that the encoder chooses itself means the same and is no longer.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Prng } from "../../../toolchain/lib/prng.ts";
import { Assembler } from "../../../toolchain/x64/assembler.ts";
import { type Bits, CodeBuffer, encode, selectForm } from "../../../toolchain/x64/encoder.ts";
import { type Form, Slot, forms, modeBit } from "../../../toolchain/x64/forms.ts";
import { formatInstruction } from "../../../toolchain/x64/format.ts";
import { lockable, rows } from "../../../toolchain/x64/instructions.ts";
import type { MemoryOperand } from "../../../toolchain/x64/operand.ts";
import { type Sample, decoded, expected, sample } from "./encoder-samples.ts";

const SEED = Number(process.env.ENCODER_SEED ?? 1);
const ROUNDS = Number(process.env.ENCODER_ROUNDS ?? 4);
const MODES: readonly Bits[] = [16, 32, 64];
const REPLAY = `ENCODER_SEED=${SEED} ENCODER_ROUNDS=${ROUNDS} npx vitest run tests/toolchain/x64/encoder-table`;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

const PREFIXES = new Set(["lock", "rep", "repe", "repz", "repne", "repnz"]);
function samplesOf(bits: Bits): Sample[] {
  const random = new Prng(SEED * 100 + bits);
  const samples: Sample[] = [];
  for (const [name, list] of forms) {
    if (PREFIXES.has(name)) continue;
    for (const form of list) {
      if ((form.modes & modeBit(bits)) === 0) continue;
      const rounds = form.patterns.length === 0 ? 1 : ROUNDS;
      for (let i = 0; i < rounds; i++) samples.push(sample(random, form, bits));
    }
  }
  return samples;
}
const all = new Map(MODES.map((bits) => [bits, samplesOf(bits)]));
const textOf = ({ form, operands }: Sample): string => formatInstruction(form.mnemonic, operands);

it("every row is tried in a mode", () => {
  const tried = new Set([...all.values()].flat().map(({ form }) => form.row));
  expect(rows.filter((row) => !tried.has(row) && !PREFIXES.has(row[0]))).toEqual([]);
});

describe.each(MODES)("%i-bit code", (bits) => {
  const samples = all.get(bits) ?? [];

  it("iced-x86 decodes what was meant", () => {
    const wrong = samples.flatMap((one) => {
      const { text, length } = decoded(one.bytes, one);
      return text === expected(one) && length === one.bytes.length
        ? []
        : [`${hex(one.bytes)} ${textOf(one)}: meant ${expected(one)}, decoded ${text} (${length} bytes)`];
    });
    expect(wrong, REPLAY).toEqual([]);
  });

  it("the form that the encoder chooses means the same and is no longer", () => {
    const wrong: string[] = [];
    for (const one of samples) {
      if (one.form.patterns[0]?.slot === Slot.RELATIVE) continue;
      const chosen = selectForm(one.form.mnemonic, one.operands, bits);
      const buffer = new CodeBuffer();
      encode(buffer, chosen, one.operands, bits);
      const bytes = buffer.bytes.slice(0, buffer.length);
      const { text } = decoded(bytes, { ...one, form: chosen });
      if (text !== expected({ ...one, form: chosen }) || bytes.length > one.bytes.length)
        wrong.push(`${textOf(one)}: ${hex(bytes)} ${text}, row ${hex(one.bytes)}`);
    }
    expect(wrong, REPLAY).toEqual([]);
  });
});

// ---- GNU as --------------------------------------------------------------------------------------------------------

const SLOT_BYTES = 16;

/** The text in GNU as's syntax, if it differs. */
function gnuText(one: Sample): string {
  const { form, bits, operands, distance } = one;
  const [first] = operands;
  if (first?.kind === "label") return `${form.mnemonic} .${distance < 0 ? "" : "+"}${distance}`;
  if (first?.kind === "far") {
    const offset = first.offset.kind === "immediate" ? first.offset.value : 0n;
    return `.att_syntax; ljmpl $${first.selector}, $${offset}; .intel_syntax noprefix`;
  }
  if (form.mnemonic === "ljmp") return formatInstruction("jmp fword ptr", operands);
  if (form.mnemonic === "sysret") return "sysretd";
  if (form.mnemonic === "iret" && bits === 64) return "iretd";
  if (form.mnemonic === "retfq") return "lretq";
  return textOf(one);
}

function assemble(samples: readonly Sample[], bits: Bits): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "margay-as-"));
  try {
    const source = join(folder, "a.s");
    const lines = samples.flatMap((one) => [
      gnuText(one)
        .replaceAll(/(?<!\w)([a-z]+ ptr )?\[(-?0x[0-9a-f]+|-?\d+)\]/g, "$1ds:[$2]")
        .replaceAll(/\b([fg]s):ds:/g, "$1:"),
      `.balign ${SLOT_BYTES}, 0x90`,
    ]);
    writeFileSync(source, [".intel_syntax noprefix", `.code${bits}`, ".text", ...lines, ""].join("\n"));
    const run = (command: string, ...args: string[]): void => {
      const { status, stderr } = spawnSync(command, args, { encoding: "utf8" });
      const explained = stderr.replaceAll(
        /:(\d+): (Error|Warning)/g,
        (match, line: string) => `${match} (${lines[Number(line) - 4]})`,
      );
      if (status !== 0 || stderr !== "") throw new Error(`${command}: ${explained.slice(0, 4000)}`);
    };
    run("as", "-W", bits === 64 ? "--64" : "--32", "-o", join(folder, "a.o"), source);
    run("objcopy", "-O", "binary", "-j", ".text", join(folder, "a.o"), join(folder, "a.bin"));
    return readFileSync(join(folder, "a.bin"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const noAssembler = spawnSync("as", ["--version"]).status !== 0;
describe.skipIf(noAssembler)(noAssembler ? "GNU as (skipped: no as on this host)" : "GNU as", () => {
  it.each(MODES)("agrees in %i-bit code", (bits) => {
    const samples = all.get(bits) ?? [];
    const image = assemble(samples, bits);
    let equal = 0;
    const wrong: string[] = [];
    samples.forEach((one, i) => {
      const theirs = image.subarray(i * SLOT_BYTES, (i + 1) * SLOT_BYTES);
      if (hex(theirs).startsWith(hex(one.bytes))) {
        equal++;
        return;
      }
      const { text, length } = decoded(theirs, one);
      if (text !== expected(one))
        wrong.push(
          `${gnuText(one)}: ours ${hex(one.bytes)} ${expected(one)}, theirs ${hex(theirs.subarray(0, length))} ${text}`,
        );
    });
    expect(wrong, REPLAY).toEqual([]);
    // Few rows are never chosen by GNU as: moves and ALU operations between registers have two encodings each.
    expect(equal).toBeGreaterThan(samples.length * 0.7);
  });
});

// ---- prefixes ------------------------------------------------------------------------------------------------------

describe("prefixes", () => {
  const target: MemoryOperand = {
    kind: "memory",
    width: 0,
    base: "rbx",
    index: null,
    scale: 1,
    displacement: 8n,
    symbol: null,
    segment: null,
  };
  const memoryFirst = (form: Form): boolean =>
    form.patterns[0]?.text.includes("m") === true && (form.modes & modeBit(64)) !== 0;

  it("lock", () => {
    for (const name of lockable) {
      const form = (forms.get(name) ?? []).find(memoryFirst);
      if (form === undefined) throw new Error(`${name} has no memory destination`);
      const random = new Prng(SEED);
      let one = sample(random, form, 64);
      while (one.operands[0].kind !== "memory") one = sample(random, form, 64);
      const operands = [{ ...target, width: one.operands[0].width }, ...one.operands.slice(1)];
      const assembler = new Assembler("f", 64);
      assembler.emit("lock");
      assembler.emit(name, ...operands);
      const { bytes } = assembler.finish();
      const { text, length } = decoded(bytes, { ...one, form: selectForm(name, operands, 64), operands });
      expect(bytes[0]).toBe(0xf0);
      expect(length).toBe(bytes.length);
      expect(text.startsWith(`${name} `)).toBe(true);
    }
  });

  it("rep, repe, repne", () => {
    const bytesOf = (prefix: string, mnemonic: string): string => {
      const assembler = new Assembler("f", 64);
      assembler.emit(prefix);
      assembler.emit(mnemonic);
      return hex(assembler.finish().bytes);
    };
    expect(bytesOf("rep", "movsb")).toBe("f3a4");
    expect(bytesOf("rep", "stosq")).toBe("f348ab");
    expect(bytesOf("repe", "cmpsb")).toBe("f3a6");
    expect(bytesOf("repz", "cmpsd")).toBe("f3a7");
    expect(bytesOf("repne", "scasb")).toBe("f2ae");
    expect(bytesOf("repnz", "scasw")).toBe("f266af");
  });
});
