/**
 * Checks that this host can run the engine, and that it treats what the architecture leaves undefined as this engine
 * does everywhere. Translated code uses the host's own instructions, so a guest would see a host that differs from a
 * row below: the engine refuses such a host by name. A row runs in the same way as a guest's instruction that is
 * executed alone.
 */
import type { TranslationCache } from "./cache.ts";
import { decode, Instruction } from "./decode.ts";
import { Env, Environment } from "./environment.ts";
import { allocate, asEnter, NativeUnavailable } from "./memory.ts";
import { Flag, STATUS_FLAGS } from "./table.ts";
import { Translator } from "./translate.ts";

/** CPUID: leaf, register (0: EAX … 3: EDX), bit. */
export interface Feature {
  readonly name: string;
  readonly leaf: number;
  readonly register: number;
  readonly bit: number;
}
const EBX = 1;
const ECX = 2;
export const requiredFeatures: readonly Feature[] = [
  { name: "BMI2", leaf: 7, register: EBX, bit: 8 },
  { name: "SSE3", leaf: 1, register: ECX, bit: 0 },
  { name: "CMPXCHG16B", leaf: 1, register: ECX, bit: 13 },
  { name: "LAHF in 64-bit mode", leaf: 0x8000_0001, register: ECX, bit: 0 },
];

/** Registers of a core's environment by name. */
interface Values {
  readonly rax?: bigint;
  readonly rcx?: bigint;
  readonly flags?: number;
  /** Top of the x87 stack. */
  readonly top?: number;
}
export interface Row {
  /** The undefined result, as a message names it. */
  readonly what: string;
  readonly code: readonly number[];
  readonly before: Values;
  readonly after: Values;
}

const { c, o, s, z, p, a } = Flag;
const TOP_BIT = 1n << 63n;
/** Undefined results, and their values here. Source: SDM vol. 1, appendix A ("EFLAGS cross-reference"), and vol. 2. */
// biome-ignore format: a table
export const hostTable: readonly Row[] = [
  { what: "AF after AND",          code: [0x48, 0x21, 0xc8],       before: { rax: 3n, rcx: 3n, flags: STATUS_FLAGS }, after: { rax: 3n, flags: p } },
  { what: "AF after OR",           code: [0x48, 0x09, 0xc8],       before: { rax: 3n, rcx: 3n, flags: STATUS_FLAGS }, after: { rax: 3n, flags: p } },
  { what: "AF after XOR",          code: [0x48, 0x31, 0xc8],       before: { rax: 3n, rcx: 3n, flags: a | s },        after: { rax: 0n, flags: z | p } },
  { what: "AF after TEST",         code: [0x48, 0x85, 0xc8],       before: { rax: 1n, rcx: 1n, flags: a },            after: { rax: 1n, flags: 0 } },
  { what: "OF after SHL by 4",     code: [0x48, 0xc1, 0xe0, 4],    before: { rax: 0x0c00_0000_0000_0001n, flags: 0 }, after: { rax: 0xc000_0000_0000_0010n, flags: s | o } },
  { what: "OF after SHL by CL",    code: [0x48, 0xd3, 0xe0],       before: { rax: 0x1800_0000_0000_0000n, rcx: 4n, flags: 0 }, after: { rax: TOP_BIT, flags: c | s | p } },
  { what: "OF after SHR by 4",     code: [0x48, 0xc1, 0xe8, 4],    before: { rax: TOP_BIT | 0x38n, flags: o },        after: { rax: 0x0800_0000_0000_0003n, flags: c | p } },
  { what: "OF after SHR by CL",    code: [0x48, 0xd3, 0xe8],       before: { rax: TOP_BIT, rcx: 2n, flags: 0 },       after: { rax: TOP_BIT >> 2n, flags: p } },
  { what: "OF after SAR by 4",     code: [0x48, 0xc1, 0xf8, 4],    before: { rax: TOP_BIT, flags: o },                after: { rax: 0xf800_0000_0000_0000n, flags: s | p } },
  { what: "OF after ROL by 4",     code: [0x48, 0xc1, 0xc0, 4],    before: { rax: 0x0800_0000_0000_0000n, flags: 0 }, after: { rax: TOP_BIT, flags: o } },
  { what: "OF after ROL by CL",    code: [0x48, 0xd3, 0xc0],       before: { rax: 0x1000_0000_0000_0000n, rcx: 4n, flags: 0 }, after: { rax: 1n, flags: c | o } },
  { what: "OF after ROR by 4",     code: [0x48, 0xc1, 0xc8, 4],    before: { rax: 8n, flags: 0 },                     after: { rax: TOP_BIT, flags: c | o } },
  { what: "OF after ROR by CL",    code: [0x48, 0xd3, 0xc8],       before: { rax: 0x18n, rcx: 4n, flags: o },         after: { rax: TOP_BIT | 1n, flags: c | o } },
  { what: "flags other than CF after BT",  code: [0x48, 0x0f, 0xa3, 0xc8], before: { rax: 2n, rcx: 1n, flags: s | o | a | p }, after: { rax: 2n, flags: s | o | a | p | c } },
  { what: "flags other than CF after BTC", code: [0x48, 0x0f, 0xbb, 0xc8], before: { rax: 0n, rcx: 1n, flags: s | o | a | p }, after: { rax: 2n, flags: s | o | a | p } },
  { what: "the destination of BSF of 0",   code: [0x48, 0x0f, 0xbc, 0xc1], before: { rax: 7n, rcx: 0n, flags: 0 },   after: { rax: 7n, flags: z | p } },
  { what: "x87 state after CVTPI2PS from memory", code: [0x0f, 0x2a, 0x00], before: { top: 3 },                       after: { top: 3 } },
];

/** Throws NativeUnavailable. Only tests pass the later arguments. */
export function selfTest(
  cache: TranslationCache,
  features: readonly Feature[] = requiredFeatures,
  table: readonly Row[] = hostTable,
): void {
  const memory = allocate(Env.BYTES);
  const cpuid = asEnter(cache.base + cache.cpuidAt);
  const registers = new Uint32Array(memory.bytes.buffer, memory.bytes.byteOffset, 4);
  for (const { name, leaf, register, bit } of features) {
    // A leaf beyond the highest one returns the values of another leaf.
    cpuid(leaf >= 0x8000_0000 ? 0x8000_0000 : 0, memory.address);
    const known = registers[0] >= leaf;
    if (known) cpuid(leaf, memory.address);
    if (!known || !((registers[register] >>> bit) & 1)) throw new NativeUnavailable(`this processor has no ${name}`);
  }
  const env = new Environment(memory, 0);
  const translator = new Translator(cache);
  for (const row of table) check(cache, translator, env, row);
}

function check(cache: TranslationCache, translator: Translator, env: Environment, row: Row): void {
  const { what, code, before, after } = row;
  const insn = decode(Uint8Array.from([...code, ...new Array<number>(15).fill(0)]), 0, code.length, 64);
  if (!(insn instanceof Instruction) || insn.row === undefined) throw new Error(`native: self-test of ${what}`);
  cache.reserve();
  env.bytes.fill(0, 0, Env.PAGES);
  env.setU32(Env.MXCSR, 0x1f80);
  env.view.setUint16(Env.X87, 0x37f, true);
  env.view.setUint16(Env.X87 + 4, (before.top ?? 0) << 11, true);
  env.setU64(0, before.rax ?? 0n);
  env.setU64(8, before.rcx ?? 0n);
  const flags = before.flags ?? 0;
  env.setU32(Env.FLAGS, ((flags & STATUS_FLAGS & 0xff) << 8) | 0x200 | ((flags >>> 11) & 1));
  cache.enter(env.address, cache.base + translator.alone(insn));
  const saved = env.u32(Env.FLAGS);
  const found = {
    rax: env.u64(0),
    flags: ((saved >>> 8) & STATUS_FLAGS & 0xff) | ((saved & 1) << 11),
    top: (env.view.getUint16(Env.X87 + 4, true) >>> 11) & 7,
  };
  const differs =
    (after.rax !== undefined && after.rax !== found.rax) ||
    (after.flags !== undefined && after.flags !== found.flags) ||
    (after.top !== undefined && after.top !== found.top);
  if (differs) throw new NativeUnavailable(`this processor differs in what is undefined: ${what}`);
}
