/**
 * Unicorn's C interface through koffi, typed. Handles and pointers are plain addresses (numbers below 2^47), which
 * koffi passes much faster than its pointer objects. Source of the constants: include/unicorn/unicorn.h and x86.h of
 * version 2.1.1.
 */
import koffi from "koffi";
import { loadLibrary } from "./library.ts";

export type Address = number;

export const ARCHITECTURE_X86 = 4;
export const MODE_64 = 8;
export const PROTECTION_ALL = 7;
export const CPU_MODEL_BROADWELL = 20;

/** The uc_err values that this engine handles. */
export const ErrorCode = {
  OK: 0,
  /** An instruction that does not decode, or #UD. */
  INSN_INVALID: 10,
  /** With a TLB hook: the hook refused an access. */
  EXCEPTION: 21,
} as const;

export const HookType = { INTERRUPT: 1, INSTRUCTION: 2, TLB_FILL: 1 << 17 } as const;
/** Instructions that an instruction hook can intercept. */
export const HookedInstruction = { CPUID: 113, IN: 218, OUT: 500, SYSCALL: 699, SYSENTER: 700 } as const;
/** uc_x86_reg. */
export const RegisterId = {
  RBX: 37,
  RIP: 41,
  FPSW: 31,
  DR0: 66,
  XMM0: 122,
  FPCW: 246,
  FPTAG: 247,
  MSR: 248,
  MXCSR: 249,
  RFLAGS: 253,
} as const;

/** uc_mem_type of a TLB fill, minus its first value. */
export const TLB_ACCESS_FIRST = 16;

const CONTROL_WRITE = 1;
/** UC_CTL(type, number of arguments, direction), include/unicorn/unicorn.h. */
const control = (type: number, argumentCount: number): number =>
  type | (argumentCount << 26) | (CONTROL_WRITE << 30) | 0;
export const Control = {
  USE_EXITS: control(4, 1),
  CPU_MODEL: control(7, 1),
  TB_FLUSH: control(10, 0),
  TLB_FLUSH: control(11, 0),
  TLB_TYPE: control(12, 1),
  TCG_BUFFER_SIZE: control(13, 1),
} as const;
export const TLB_VIRTUAL = 1;

// One type per hook. A callback is registered once per process and finds the running core by itself (hooks.ts).
const callbackTypes = {
  tlbFill: koffi.proto("bool MargayTlbFill(uint64_t uc, uint64_t address, int type, uint64_t result, uint64_t user)"),
  interrupt: koffi.proto("void MargayInterrupt(uint64_t uc, uint32_t vector, uint64_t user)"),
  portIn: koffi.proto("uint32_t MargayPortIn(uint64_t uc, uint32_t port, int size, uint64_t user)"),
  portOut: koffi.proto("void MargayPortOut(uint64_t uc, uint32_t port, int size, uint32_t value, uint64_t user)"),
  mmioRead: koffi.proto("uint64_t MargayMmioRead(uint64_t uc, uint64_t offset, uint32_t size, uint64_t user)"),
  mmioWrite: koffi.proto(
    "void MargayMmioWrite(uint64_t uc, uint64_t offset, uint32_t size, uint64_t value, uint64_t user)",
  ),
  instruction: koffi.proto("int MargayInstruction(uint64_t uc, uint64_t user)"),
  helper: koffi.proto("void MargayHelper(uint64_t env)"),
  helperAddress: koffi.proto("void MargayHelperAddress(uint64_t env, uint64_t address)"),
  helperNumber: koffi.proto("void MargayHelperNumber(uint64_t env, int number)"),
  helperWriteControl: koffi.proto("void MargayHelperWriteControl(uint64_t env, int index, uint64_t value)"),
  helperReadControl: koffi.proto("uint64_t MargayHelperReadControl(uint64_t env, int index)"),
  deliverInterrupt: koffi.proto("void MargayDeliverInterrupt(uint64_t env, int vector, int hardware)"),
  helperValue: koffi.proto("uint64_t MargayHelperValue(uint64_t env)"),
  debugException: koffi.proto("void MargayDebugException(uint64_t cpu)"),
  classify: koffi.proto("uint32_t MargayClassify(uint64_t address, uint32_t flags)"),
  checkWatchpoint: koffi.proto(
    "void MargayCheckWatchpoint(uint64_t cpu, uint64_t address, uint64_t length, uint32_t attributes, int flags, uint64_t returnAddress)",
  ),
} as const;
export type CallbackKind = keyof typeof callbackTypes;
/** koffi's representation of a 64-bit integer in a callback. */
export type Wide = number | bigint;

/** Creates a C function pointer for a JavaScript function. It lives as long as the process. */
export function registerCallback(kind: CallbackKind, callback: (...parameters: never[]) => unknown): Address {
  return Number(koffi.register(callback, koffi.pointer(callbackTypes[kind])));
}

/** Views host memory. It must stay mapped as long as the view is used. */
export const viewMemory = (address: Address, bytes: number): ArrayBuffer => koffi.view(BigInt(address), bytes);

export type Binding = ReturnType<typeof bind>;
let bound: Binding | undefined;
/** Throws UnicornUnavailable. */
export const binding = (): Binding => {
  bound ??= bind();
  return bound;
};

function bind() {
  const { handle: library } = loadLibrary();
  const libc = koffi.load("libc.so.6");
  const check = (what: string, code: number): void => {
    if (code !== 0) throw new Error(`unicorn: ${what} failed with error ${code}`);
  };
  const open = library.func("int uc_open(int architecture, int mode, _Out_ uint64_t *handle)");
  const memMapPtr = library.func(
    "int uc_mem_map_ptr(uint64_t uc, uint64_t address, size_t size, uint32_t protection, uint64_t pointer)",
  );
  const mmioMap = library.func(
    "int uc_mmio_map(uint64_t uc, uint64_t address, size_t size, uint64_t read, uint64_t readUser, uint64_t write, uint64_t writeUser)",
  );
  const hookAdd = library.func(
    "int uc_hook_add(uint64_t uc, _Out_ size_t *hook, int type, uint64_t callback, uint64_t user, uint64_t begin, uint64_t end)",
  );
  const hookAddInstruction = library.func(
    "int uc_hook_add(uint64_t uc, _Out_ size_t *hook, int type, uint64_t callback, uint64_t user, uint64_t begin, uint64_t end, ...)",
  );
  const control0 = library.func("int uc_ctl(uint64_t uc, int control)");
  const control1 = library.func("int uc_ctl(uint64_t uc, int control, ...)");
  const regRead = library.func("int uc_reg_read(uint64_t uc, int register, void *value)");
  const regWrite = library.func("int uc_reg_write(uint64_t uc, int register, const void *value)");
  const mmap = libc.func(
    "uint64_t mmap(uint64_t address, size_t bytes, int protection, int flags, int file, long offset)",
  );
  const madvise = libc.func("int madvise(uint64_t address, size_t bytes, int advice)");
  const invalidate = library.func("void tb_invalidate_phys_range_x86_64(uint64_t uc, uint64_t begin, uint64_t end)");
  const allocate = (bytes: number, protection: number): Address => {
    const privateAnonymousNoReserve = 0x4022;
    const address = Number(mmap(0, bytes, protection, privateAnonymousNoReserve, -1, 0));
    if (address < 0 || address === 2 ** 64 - 1) throw new Error(`unicorn: cannot map ${bytes} bytes of host memory`);
    return address;
  };
  return {
    library,
    libc,
    open(): Address {
      const out = [0];
      check("uc_open", open(ARCHITECTURE_X86, MODE_64, out));
      return Number(out[0]);
    },
    start: library.func(
      "int uc_emu_start(uint64_t uc, uint64_t begin, uint64_t until, uint64_t timeout, size_t count)",
    ) as (uc: Address, begin: bigint, until: number, timeout: number, count: number) => number,
    stop: library.func("int uc_emu_stop(uint64_t uc)") as (uc: Address) => number,
    contextSize: library.func("size_t uc_context_size(uint64_t uc)") as (uc: Address) => number,
    mapRam: (uc: Address, physical: number, bytes: number, pointer: Address) =>
      check("uc_mem_map_ptr", memMapPtr(uc, physical, bytes, PROTECTION_ALL, pointer)),
    /** The callbacks get `user` as an argument. */
    mapDevices: (uc: Address, physical: number, bytes: number, read: Address, write: Address, user: number) =>
      check("uc_mmio_map", mmioMap(uc, physical, bytes, read, user, write, user)),
    addHook: (uc: Address, type: number, callback: Address) =>
      check("uc_hook_add", hookAdd(uc, [0], type, callback, 0, 1, 0)),
    addInstructionHook: (uc: Address, instruction: number, callback: Address) =>
      check("uc_hook_add", hookAddInstruction(uc, [0], HookType.INSTRUCTION, callback, 0, 1, 0, "int", instruction)),
    setOption: (uc: Address, option: number, value: number) => check("uc_ctl", control1(uc, option, "uint32_t", value)),
    flushTranslations: (uc: Address): void => void control0(uc, Control.TB_FLUSH),
    flushTlb: (uc: Address): void => void control0(uc, Control.TLB_FLUSH),
    /** Drops the translated code of a RAM range, [begin, end). Offsets as in `ram`. */
    invalidateCode: invalidate as (uc: Address, begin: number, end: number) => void,
    readRegister: (uc: Address, register: number, value: Uint8Array | BigUint64Array) =>
      check("uc_reg_read", regRead(uc, register, value)),
    writeRegister: (uc: Address, register: number, value: Uint8Array | BigUint64Array) =>
      check("uc_reg_write", regWrite(uc, register, value)),
    /** Zeroed, private, not reserved: pages cost nothing until they are touched. */
    allocate: (bytes: number): Address => allocate(bytes, 3),
    /** As `allocate`, and executable. */
    allocateCode: (bytes: number): Address => allocate(bytes, 7),
    /** Returns pages to the host; they read as zero afterwards. */
    discard(address: Address, bytes: number): void {
      const dontNeed = 4;
      if (madvise(address, bytes, dontNeed) !== 0) throw new Error("unicorn: cannot discard guest RAM");
    },
  };
}
