/**
 * gdb's registers: one table in the order of their numbers, from which the target description, the g packet and access
 * to single registers are derived. Sources: gdb's features/i386/64bit-*.xml (names and order of the standard features),
 * Intel SDM vol. 1, 10.5.1 (FXSAVE area). System registers are a feature of our own; gdb shows them by name and in
 * `info all-registers`. The ABI of a machine is `none`: a gdb built on Linux would otherwise treat the kernel as a
 * Linux program. The processes of a job are Linux programs.
 */
import { Cr0Names, Cr4Names, EferNames } from "../abi/x86.ts";
import type { Gpr } from "../cpu/engine.ts";
import type { CoreRegisters } from "./target.ts";

/**
 * A core's registers for the duration of one packet: the FXSAVE area is read once, and written back once if it was
 * changed.
 */
export class RegisterView {
  private image: Uint8Array | undefined;
  private changed = false;
  constructor(readonly core: CoreRegisters) {}

  get fx(): Uint8Array {
    this.image ??= this.core.readFx();
    return this.image;
  }
  get fxToChange(): Uint8Array {
    this.changed = true;
    return this.fx;
  }
  finish(): void {
    if (this.changed) this.core.writeFx(this.fx);
    this.changed = false;
  }
}

export interface Register {
  readonly name: string;
  readonly bits: number;
  readonly type: string;
  readonly group?: string;
  get(view: RegisterView): bigint;
  /** Absent: read only. */
  set?(view: RegisterView, value: bigint): void;
}

const mask = (bits: number): bigint => (1n << BigInt(bits)) - 1n;

// ---- kinds of rows -------------------------------------------------------------------------------------------------

/** A register that the engine has under a name; `source`: that name if gdb's differs. */
const plain = (name: string, bits: number, type: string, group?: string, source = name): Register => ({
  name,
  bits,
  type,
  ...(group === undefined ? {} : { group }),
  get: (v) => v.core.register(source) & mask(bits),
  set: (v, value) => v.core.setRegister(source, value),
});
const general = (name: Gpr): Register => plain(name, 64, name === "rsp" || name === "rbp" ? "data_ptr" : "int64");
const system = (name: string, type: string, bits = 64, source = name): Register =>
  plain(name, bits, type, "system", source);
const readOnly = (name: string, type: string, bits = 64): Register => {
  const { set: _, ...row } = system(name, type, bits);
  return row;
};

/** `bytes` of the FXSAVE area from `offset`; the upper bits of a wider register read as 0. */
const saved = (name: string, offset: number, bytes: number, bits: number, type: string, group?: string): Register => ({
  name,
  bits,
  type,
  ...(group === undefined ? {} : { group }),
  get: (v) => littleEndian(v.fx.subarray(offset, offset + bytes)),
  set: (v, value) => store(v.fxToChange, offset, bytes, value),
});
function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
  return value;
}
function store(bytes: Uint8Array, offset: number, length: number, value: bigint): void {
  for (let i = 0; i < length; i++) bytes[offset + i] = Number((value >> BigInt(8 * i)) & 0xffn);
}

/**
 * The x87 tag word in full form, two bits per physical register, from FXSAVE's abridged byte (bit = not empty). gdb
 * uses it to tell empty from valid; zero and special are classified as the processor does in FNSAVE (SDM vol. 1,
 * 10.5.1.1).
 */
function fullTag({ fx }: RegisterView): bigint {
  const top = (fx[3]! >> 3) & 7;
  let tags = 0n;
  for (let physical = 0; physical < 8; physical++) {
    let tag = 3n;
    if ((fx[4]! >> physical) & 1) {
      const at = 32 + 16 * ((physical - top) & 7);
      const exponent = (fx[at + 8]! | (fx[at + 9]! << 8)) & 0x7fff;
      const mantissa = littleEndian(fx.subarray(at, at + 8));
      if (exponent === 0 && mantissa === 0n) tag = 1n;
      else tag = exponent === 0x7fff || exponent === 0 || mantissa >> 63n === 0n ? 2n : 0n;
    }
    tags |= tag << BigInt(2 * physical);
  }
  return tags;
}
function abridgeTag(v: RegisterView, tags: bigint): void {
  let byte = 0;
  for (let i = 0; i < 8; i++) if (((tags >> BigInt(2 * i)) & 3n) !== 3n) byte |= 1 << i;
  v.fxToChange[4] = byte;
}

// ---- the table -----------------------------------------------------------------------------------------------------

interface Feature {
  readonly name: string;
  readonly types: string;
  readonly registers: readonly Register[];
}

const flagsType = (
  id: string,
  bytes: number,
  fields: readonly (readonly [name: string, low: number, high?: number])[],
): string =>
  `<flags id="${id}" size="${bytes}">${fields.map(([name, low, high = low]) => `<field name="${name}" start="${low}" end="${high}"/>`).join("")}</flags>`;
const bitsOf = (names: ReadonlyMap<number, string>): (readonly [string, number])[] =>
  [...names].map(([bit, name]) => [name, Math.log2(bit)]);

// Bit names of EFLAGS and MXCSR are gdb's own, so that `p $eflags` prints what its users expect.
// biome-ignore format: rows
const eflags = flagsType("i386_eflags", 4, [
  ["CF", 0], ["", 1], ["PF", 2], ["AF", 4], ["ZF", 6], ["SF", 7], ["TF", 8], ["IF", 9], ["DF", 10], ["OF", 11],
  ["NT", 14], ["RF", 16], ["VM", 17], ["AC", 18], ["VIF", 19], ["VIP", 20], ["ID", 21],
]);
// biome-ignore format: rows
const mxcsr = flagsType("i386_mxcsr", 4, [
  ["IE", 0], ["DE", 1], ["ZE", 2], ["OE", 3], ["UE", 4], ["PE", 5], ["DAZ", 6], ["IM", 7], ["DM", 8], ["ZM", 9], ["OM", 10], ["UM", 11],
  ["PM", 12], ["FZ", 15],
]);
const vectors = [
  `<vector id="v4f" type="ieee_single" count="4"/><vector id="v2d" type="ieee_double" count="2"/>`,
  `<vector id="v16i8" type="int8" count="16"/><vector id="v8i16" type="int16" count="8"/>`,
  `<vector id="v4i32" type="int32" count="4"/><vector id="v2i64" type="int64" count="2"/>`,
  `<union id="vec128"><field name="v4_float" type="v4f"/><field name="v2_double" type="v2d"/><field name="v16_int8" type="v16i8"/>`,
  `<field name="v8_int16" type="v8i16"/><field name="v4_int32" type="v4i32"/><field name="v2_int64" type="v2i64"/>`,
  `<field name="uint128" type="uint128"/></union>`,
].join("");
const systemFlags = [
  flagsType("cr0_flags", 8, bitsOf(Cr0Names)),
  flagsType("cr4_flags", 8, bitsOf(Cr4Names)),
  flagsType("efer_flags", 8, bitsOf(EferNames)),
].join("");

// biome-ignore format: gdb's order
const gprOrder: readonly Gpr[] = [
  "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
];
const eight = [0, 1, 2, 3, 4, 5, 6, 7] as const;

// biome-ignore format: one register a row
const features: readonly Feature[] = [
  { name: "org.gnu.gdb.i386.core", types: eflags, registers: [
    ...gprOrder.map(general),
    plain("rip", 64, "code_ptr"),
    plain("eflags", 32, "i386_eflags", undefined, "rflags"),
    ...["cs", "ss", "ds", "es", "fs", "gs"].map((name) => plain(name, 32, "int32")),
    ...eight.map((i) => saved(`st${i}`, 32 + 16 * i, 10, 80, "i387_ext")),
    saved("fctrl",  0, 2, 32, "int", "float"),
    saved("fstat",  2, 2, 32, "int", "float"),
    { name: "ftag", bits: 32, type: "int", group: "float", get: fullTag, set: abridgeTag },
    saved("fiseg", 12, 2, 32, "int", "float"),
    saved("fioff",  8, 4, 32, "int", "float"),
    saved("foseg", 20, 2, 32, "int", "float"),
    saved("fooff", 16, 4, 32, "int", "float"),
    saved("fop",    6, 2, 32, "int", "float"),
  ] },
  { name: "org.gnu.gdb.i386.sse", types: `${vectors}${mxcsr}`, registers: [
    ...[...eight, 8, 9, 10, 11, 12, 13, 14, 15].map((i) => saved(`xmm${i}`, 160 + 16 * i, 16, 128, "vec128")),
    saved("mxcsr", 24, 4, 32, "i386_mxcsr", "vector"),
  ] },
  { name: "org.gnu.gdb.i386.segments", types: "", registers: [plain("fs_base", 64, "int64"), plain("gs_base", 64, "int64")] },
  { name: "org.margay.system", types: systemFlags, registers: [
    system("k_gs_base", "uint64", 64, "kernel_gs_base"),
    system("cr0", "cr0_flags"),
    system("cr2", "data_ptr"),
    system("cr3", "uint64"),
    system("cr4", "cr4_flags"),
    system("cr8", "uint64"),
    system("efer", "efer_flags"),
    system("star", "uint64"),
    system("lstar", "code_ptr"),
    system("cstar", "code_ptr"),
    system("fmask", "uint64"),
    system("pat", "uint64"),
    system("tsc_aux", "uint64"),
    readOnly("tsc", "uint64"),
    readOnly("tr", "uint32", 32),
    readOnly("ldtr", "uint32", 32),
    readOnly("tr_base", "data_ptr"),
    readOnly("gdtr_base", "data_ptr"),
    readOnly("gdtr_limit", "uint32", 32),
    readOnly("idtr_base", "data_ptr"),
    readOnly("idtr_limit", "uint32", 32),
  ] },
];

/** By gdb's register number. */
export const registers: readonly Register[] = features.flatMap((f) => f.registers);
const numbers = new Map(registers.map((r, i) => [r.name, i]));
export const registerNumber = (name: string): number => numbers.get(name)!;

/** The registers of a process: without the system registers, and with what gdb requires of a GNU/Linux program. */
const processFeatures: readonly Feature[] = [
  ...features.slice(0, -1),
  {
    name: "org.gnu.gdb.i386.linux",
    types: "",
    registers: [plain("orig_rax", 64, "int", "system")],
  },
];
export const processRegisters: readonly Register[] = processFeatures.flatMap((f) => f.registers);

/** `abi`: as gdb calls it. */
const describe = (described: readonly Feature[], abi: string): string => {
  const order = new Map(described.flatMap((f) => f.registers).map((r, i) => [r.name, i]));
  return [
    `<?xml version="1.0"?>\n<!DOCTYPE target SYSTEM "gdb-target.dtd">\n`,
    `<target version="1.0"><architecture>i386:x86-64</architecture><osabi>${abi}</osabi>\n`,
    ...described.map(
      (f) =>
        `<feature name="${f.name}">${f.types}\n${f.registers
          .map(
            (r) =>
              `<reg name="${r.name}" bitsize="${r.bits}" type="${r.type}" regnum="${order.get(r.name)}"${r.group === undefined ? "" : ` group="${r.group}"`}/>\n`,
          )
          .join("")}</feature>\n`,
    ),
    `</target>\n`,
  ].join("");
};
/** qXfer:features:read:target.xml, for a machine and for a process. */
export const targetDescription = describe(features, "none");
export const processDescription = describe(processFeatures, "GNU/Linux");

// ---- access by packets ---------------------------------------------------------------------------------------------

/** A register's bytes in target order, as hex. */
export function registerHex(register: Register, view: RegisterView): string {
  const bytes = new Uint8Array(register.bits / 8);
  store(bytes, 0, bytes.length, register.get(view));
  return Buffer.from(bytes).toString("hex");
}

/** Sets a register from hex. False: wrong size, or read only. */
export function setRegisterHex(register: Register, view: RegisterView, hex: string): boolean {
  if (hex.length !== register.bits / 4 || !/^[0-9a-f]*$/i.test(hex)) return false;
  const value = littleEndian(Buffer.from(hex, "hex")) & mask(register.bits);
  if (register.set !== undefined) {
    register.set(view, value);
    return true;
  }
  // After a call gdb writes back every register that it has read before: the time counter has moved on meanwhile.
  const now = register.get(view);
  return value === now || (register.name === "tsc" && value < now);
}

export const allRegistersHex = (view: RegisterView, known = registers): string =>
  known.map((r) => registerHex(r, view)).join("");

/** The G packet: sets the registers that differ; read-only ones are skipped. False: wrong length. */
export function setAllRegistersHex(view: RegisterView, hex: string, known = registers): boolean {
  let at = 0;
  const total = known.reduce((sum, r) => sum + r.bits / 4, 0);
  if (hex.length !== total || !/^[0-9a-f]*$/i.test(hex)) return false;
  for (const r of known) {
    const digits = hex.slice(at, at + r.bits / 4);
    at += digits.length;
    if (r.set !== undefined && registerHex(r, view) !== digits.toLowerCase()) setRegisterHex(r, view, digits);
  }
  return true;
}
