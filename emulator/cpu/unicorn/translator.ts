/**
 * Observes Unicorn's translator. All its calls inside the library go through the global offset table. So its loop gets
 * our operations, and each instruction passes through `translate` (translator-code.ts) before it is translated. Nearly
 * all instructions are plain and cost a few instructions there. For the others `classify` (intercept.ts) returns an
 * action, which costs nothing when they are executed:
 *
 * ALIGN    the memory operand must be aligned: the check is a part of Unicorn's own TLB lookup
 * EXIT     the block ends here with an exit to us, as at a breakpoint: we execute the instruction
 * BRACKET  helpers of machine code before and after it
 * HALF     Unicorn loads 16 bytes although the operand has 8: the second load repeats the first 8
 * FLAGS    the lazy flags are computed before it
 * NOTE     its RIP and RSP are kept: if the fetch at its target faults, the fault belongs to the branch
 * WIDE     a load of 16 bytes: both halves are loaded before the first one is kept
 *
 * `readAs` makes the translator read other bytes than memory has, for encodings that it takes for something else.
 */
import { type Address, binding, registerCallback, viewMemory, type Wide } from "./binding.ts";
import { interposeAddress } from "./got.ts";
import { UnicornUnavailable } from "./library.ts";
import { Data, Entry, TRANSLATOR_CODE } from "./translator-code.ts";

export const Action = { PLAIN: 0, ALIGN: 1, EXIT: 2, BRACKET: 3, NOTE: 4, FLAGS: 5, HALF: 6, WIDE: 7 } as const;
const BP_GDB = 0x10;
/** In TABLE1. */
const PREFIX = 1;
const ESCAPE = 2;
const ASK = 3;
const GROUP = 4;
/** Bits of a prefix in TABLE1. One with UNUSUAL asks, and both of the first two before a second byte. */
const OPERAND_SIZE = 0x10;
const REPEAT = 0x20;
const UNUSUAL = 0x40;
/** REX.R, which asks before an opcode of GROUPS. */
const EXTENDS = 0x08;
// biome-ignore format: by the opcode map
const PREFIXES = [
  0x64, 0x65, 0x67,
  0x40, 0x41, 0x42, 0x43, 0x48, 0x49, 0x4a, 0x4b,
];
/** CPUClass: pointer to it in CPUState, and its do_unaligned_access. */
const CLASS_IN_CPU = 0x81b0;
/** CPUState: pointer to the uc_struct, which points to the TCGContext. Emitted calls pass its cpu_env. */
const UC_IN_CPU = 0x81a8;
const TCG_IN_UC = 0x2e8;
const ENV_IN_TCG = 0x98f0;
/** TCGTemp. */
const NAME_IN_TEMPORARY = 32;
const LIBRARY_BYTES = 64 << 20;
const UNALIGNED_IN_CLASS = 0x18;

/** Addresses of `interesting` opcodes are passed to `classify`: one-byte opcodes, and second bytes after 0F. */
export interface Interest {
  readonly opcodes: readonly number[];
  readonly second: readonly number[];
  /** One-byte opcodes that are interesting with some values of ModRM.reg: a bit each. */
  readonly groups: readonly (readonly [opcode: number, extensions: number])[];
}

let unaligned: Address = 0;
let proven = false;
let data: DataView | undefined;

/** RIP, RSP and the instruction counter at the last noted branch. */
export const noted = {
  get rip(): bigint {
    return (data as DataView).getBigUint64(Data.NOTED_RIP, true);
  },
  get rsp(): bigint {
    return (data as DataView).getBigUint64(Data.NOTED_RSP, true);
  },
  get count(): number {
    return (data as DataView).getUint32(Data.NOTED_COUNT, true);
  },
};

/**
 * Called once per process, before the first instance. `classify`: returns action + operand × 256 for the instruction at
 * a linear address.
 */
export function interposeTranslator(interest: Interest, classify: (address: Wide, flags: number) => number): void {
  const unicorn = binding();
  const base = unicorn.allocateCode(Data.BYTES);
  const view = new DataView(viewMemory(base, Data.BYTES));
  data = view;
  const bytes = new Uint8Array(view.buffer);
  bytes.set(TRANSLATOR_CODE, 0);
  const set = (at: number, value: Address): void => view.setBigUint64(at, BigInt(value), true);
  const symbols: readonly (readonly [number, string])[] = [
    [Data.LOOP, "translator_loop"],
    [Data.FETCH, "cpu_ldub_code"],
    [Data.CONSTANT32, "tcg_const_i32"],
    [Data.CONSTANT64, "tcg_const_i64"],
    [Data.CALL, "tcg_gen_callN"],
    [Data.FREE, "tcg_temp_free_internal"],
    [Data.LD32, "tcg_gen_qemu_ld_i32"],
    [Data.ST32, "tcg_gen_qemu_st_i32"],
    [Data.LD64, "tcg_gen_qemu_ld_i64"],
    [Data.ST64, "tcg_gen_qemu_st_i64"],
    [Data.FLAGS, "cpu_cc_compute_all"],
    [Data.RAISE, "raise_exception_err_ra"],
    [Data.TEMPORARY, "tcg_temp_new_internal"],
    [Data.ADD64, "tcg_gen_addi_i64"],
    [Data.RAISE_PLAIN, "raise_exception"],
    [Data.SYSRET, "helper_sysret"],
    [Data.SOFTWARE, "helper_raise_interrupt"],
    [Data.OVERFLOW, "helper_into"],
    [Data.PROTECT, "tlb_protect_code"],
    [Data.UNPROTECT, "tlb_unprotect_code"],
    [Data.WRITTEN, "tb_invalidate_phys_page_fast"],
    [Data.DIRTY, "tlb_set_dirty"],
    [Data.LEAVE, "cpu_loop_exit_noexc"],
  ];
  for (const [at, name] of symbols) set(at, Number(unicorn.library.symbol(`${name}_x86_64`)));
  set(Data.CALLBACK, registerCallback("classify", classify));
  set(Data.COMPUTE, base + Entry.COMPUTE);
  set(Data.NOTE, base + Entry.NOTE);
  set(Data.BEFORE, base + Entry.BEFORE);
  set(Data.AFTER, base + Entry.AFTER);
  const operations = [
    Entry.INIT,
    Entry.TB_START,
    Entry.INSN_START,
    Entry.BREAKPOINT_CHECK,
    Entry.TRANSLATE,
    Entry.TB_STOP,
  ];
  operations.forEach((entry, index) => {
    set(Data.OPERATIONS + 8 * index, base + entry);
  });
  view.setUint32(Data.BREAKPOINT + 8, BP_GDB, true);
  for (const prefix of PREFIXES) bytes[Data.TABLE1 + prefix] = PREFIX;
  for (const segment of [0x26, 0x2e, 0x36, 0x3e]) bytes[Data.TABLE1 + segment] = PREFIX | UNUSUAL;
  for (const rex of [0x44, 0x45, 0x46, 0x47, 0x4c, 0x4d, 0x4e, 0x4f]) bytes[Data.TABLE1 + rex] = PREFIX | EXTENDS;
  bytes[Data.TABLE1 + 0x66] = PREFIX | OPERAND_SIZE;
  for (const repeat of [0xf2, 0xf3]) bytes[Data.TABLE1 + repeat] = PREFIX | REPEAT;
  bytes[Data.TABLE1 + 0x0f] = ESCAPE;
  for (const opcode of interest.opcodes) bytes[Data.TABLE1 + opcode] = ASK;
  for (const opcode of interest.second) bytes[Data.TABLE2 + opcode] = ASK;
  for (const [opcode, extensions] of interest.groups) {
    bytes[Data.TABLE1 + opcode] = GROUP;
    bytes[Data.GROUPS + opcode] = extensions;
  }
  interposeAddress("translator_loop_x86_64", base + Entry.LOOP);
  interposeAddress("tcg_gen_qemu_ld_i32_x86_64", base + Entry.LD32);
  interposeAddress("tcg_gen_qemu_st_i32_x86_64", base + Entry.ST32);
  interposeAddress("tcg_gen_qemu_ld_i64_x86_64", base + Entry.LD64);
  interposeAddress("tcg_gen_qemu_st_i64_x86_64", base + Entry.ST64);
  // Helpers of SVM and of MONITOR, which no processor here has: their rows in the table of helpers are free.
  interposeAddress("helper_monitor_x86_64", base + Entry.NOTE);
  interposeAddress("helper_invlpga_x86_64", base + Entry.COMPUTE);
  interposeAddress("helper_vmload_x86_64", base + Entry.BEFORE);
  interposeAddress("helper_vmsave_x86_64", base + Entry.AFTER);
  interposeAddress("cpu_ldub_code_x86_64", base + Entry.FETCH);
  interposeAddress("helper_single_step_x86_64", base + Entry.STEP);
  interposeAddress("helper_rechecking_single_step_x86_64", base + Entry.RECHECK);
  interposeAddress("helper_sysret_x86_64", base + Entry.SYSRET);
  interposeAddress("helper_raise_interrupt_x86_64", base + Entry.SOFTWARE);
  interposeAddress("helper_into_x86_64", base + Entry.OVERFLOW);
  interposeAddress("tlb_protect_code_x86_64", base + Entry.PROTECT);
  interposeAddress("tlb_unprotect_code_x86_64", base + Entry.UNPROTECT);
  interposeAddress("tb_invalidate_phys_page_fast_x86_64", base + Entry.WRITTEN);
  interposeAddress("tlb_set_dirty_x86_64", base + Entry.DIRTY);
  interposeAddress("cpu_loop_exit_noexc_x86_64", base + Entry.RESTART);
  unaligned = base + Entry.UNALIGNED;
}

/** Called by `classify`: the translator reads these bytes at a linear address while it translates the instruction. */
export function readAs(linear: bigint, code: Uint8Array): void {
  const view = data as DataView;
  new Uint8Array(view.buffer, Data.CHANGED, 16).set(code);
  view.setBigUint64(Data.CHANGED_AT, linear, true);
  view.setBigUint64(Data.CHANGED_BYTES, BigInt(code.length), true);
}

/** Address of the last access that was not aligned as its instruction requires. */
export const misalignedAddress = (): bigint => (data as DataView).getBigUint64(Data.MISALIGNED, true);

/** DR6 before the last single-step trap. */
export const statusBeforeStep = (): bigint => (data as DataView).getBigUint64(Data.STATUS, true);

/** Length of the last INT n, INT3 or INTO, with its prefixes. */
export const softwareInterruptBytes = (): number => (data as DataView).getUint32(Data.SOFTWARE_BYTES, true);

/** The flags before the last instruction with `FLAGS`. */
export const computedFlags = (): bigint => (data as DataView).getBigUint64(Data.COMPUTED, true);

/** For each instance: installs the function for accesses that are not aligned as their instruction requires. */
export function checkAlignment(cpu: Address, uc: Address): void {
  const broken = proven ? undefined : brokenOffset(cpu, uc);
  if (broken !== undefined)
    throw new UnicornUnavailable(`this build of the library differs (${broken} is not where it should be)`);
  proven = true;
  new DataView(viewMemory(pointerAt(cpu + CLASS_IN_CPU) + UNALIGNED_IN_CLASS, 8)).setBigUint64(
    0,
    BigInt(unaligned),
    true,
  );
}

const pointerAt = (address: Address): Address => Number(new DataView(viewMemory(address, 8)).getBigUint64(0, true));

/**
 * Checks the offsets that the translator's code and `checkAlignment` use, before their first use. Returns the name of a
 * wrong one, or undefined. A pointer is followed only after the offsets that lead to it have been checked.
 */
function brokenOffset(cpu: Address, uc: Address): string | undefined {
  const { library } = binding();
  const symbol = (name: string): Address => Number(library.symbol(`${name}_x86_64`));
  if (pointerAt(cpu + UC_IN_CPU) !== uc) return "CPUState.uc";
  const classAddress = pointerAt(cpu + CLASS_IN_CPU);
  // The functions before and after do_unaligned_access.
  if (pointerAt(classAddress + UNALIGNED_IN_CLASS - 8) !== symbol("x86_cpu_do_interrupt")) return "CPUClass";
  if (pointerAt(classAddress + UNALIGNED_IN_CLASS + 24) !== symbol("x86_cpu_get_memory_mapping")) return "CPUClass";
  const context = pointerAt(uc + TCG_IN_UC);
  const temporary = pointerAt(context + ENV_IN_TCG);
  // The offset of a TCGTemp in the context; its name is a string in the library.
  if (temporary <= 0 || temporary >= ENV_IN_TCG) return "TCGContext.cpu_env";
  const name = pointerAt(context + temporary + NAME_IN_TEMPORARY);
  if (Math.abs(name - symbol("helper_cpuid")) > LIBRARY_BYTES) return "TCGContext.cpu_env";
  return Buffer.from(viewMemory(name, 4)).toString("latin1") === "env\0" ? undefined : "TCGContext.cpu_env";
}
