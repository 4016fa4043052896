/**
 * SSE arithmetic by the host's own instructions. Unicorn's QEMU computes correct values, but keeps no exception flags
 * in MXCSR, has no denormal-operand flag and raises no #XM. So each of its helpers is replaced by a few bytes of
 * machine code: load the guest's MXCSR with all exceptions masked, execute the instruction, store the flags; if a
 * raised exception is unmasked, raise it and store no result. IEEE 754 and the manual define the results of these
 * instructions, so they are the same on every host. RCPPS and RSQRTPS are approximations that differ between makers;
 * QEMU keeps them.
 */
import { type Address, binding, viewMemory } from "./binding.ts";
import { interposeAddress } from "./got.ts";

/**
 * begin: loads the guest's MXCSR with all exceptions masked and no flags. Every tiny result raises an unmasked
 * underflow, exact or not: flush-to-zero makes it visible. finish: loads the host's MXCSR and adds the raised flags
 * (ECX) to the guest's; the flags of results only if no operand has raised an unmasked exception. If a raised exception
 * is unmasked (R8D), raises #XM, or #UD without CR4.OSXMMEXCPT, at the caller's instruction. With an unmasked overflow
 * or underflow the precision flag is left out, and the error code says so: RESULT_FLAGS.
 */
// biome-ignore format: one instruction a line
const ROUTINES = [
  0x41, 0x5b,                                                     // begin: pop r11
  0x8b, 0x87, 0x10, 0x03, 0x00, 0x00,                             // mov eax, dword [rdi + MXCSR]
  0x89, 0xc1,                                                     // mov ecx, eax
  0x25, 0xc0, 0xff, 0x00, 0x00,                                   // and eax, 0xffc0
  0x0d, 0x80, 0x1f, 0x00, 0x00,                                   // or eax, 0x1f80
  0xf7, 0xc1, 0x00, 0x08, 0x00, 0x00,                             // test ecx, 0x800
  0x75, 0x05,                                                     // jne again
  0x0d, 0x00, 0x80, 0x00, 0x00,                                   // or eax, 0x8000
  0x89, 0x44, 0x24, 0xf8,                                         // again: mov dword [rsp-0x8], eax
  0x0f, 0xae, 0x54, 0x24, 0xf8,                                   // ldmxcsr dword [rsp-0x8]
  0x41, 0xff, 0xe3,                                               // jmp r11
  0x0f, 0xae, 0x5c, 0x24, 0xf8,                                   // finish: stmxcsr dword [rsp-0x8]
  0xc7, 0x44, 0x24, 0xfc, 0x80, 0x1f, 0x00, 0x00,                 // mov dword [rsp-0x4], 0x1f80
  0x0f, 0xae, 0x54, 0x24, 0xfc,                                   // ldmxcsr dword [rsp-0x4]
  0x8b, 0x4c, 0x24, 0xf8,                                         // mov ecx, dword [rsp-0x8]
  0x83, 0xe1, 0x3f,                                               // and ecx, 0x3f
  0x74, 0x3e,                                                     // je done
  0x44, 0x8b, 0x87, 0x10, 0x03, 0x00, 0x00,                       // mov r8d, dword [rdi + MXCSR]
  0x41, 0xc1, 0xe8, 0x07,                                         // shr r8d, 0x7
  0x41, 0xf7, 0xd0,                                               // not r8d
  0x41, 0x21, 0xc8,                                               // and r8d, ecx
  0x41, 0xf7, 0xc0, 0x07, 0x00, 0x00, 0x00,                       // test r8d, 0x7
  0x74, 0x09,                                                     // je results
  0x83, 0xe1, 0x07,                                               // and ecx, 0x7
  0x41, 0x83, 0xe0, 0x07,                                         // and r8d, 0x7
  0xeb, 0x0c,                                                     // jmp set
  0x41, 0xf7, 0xc0, 0x18, 0x00, 0x00, 0x00,                       // results: test r8d, 0x18
  0x74, 0x03,                                                     // je set
  0x83, 0xe1, 0x1f,                                               // and ecx, 0x1f
  0x09, 0x8f, 0x10, 0x03, 0x00, 0x00,                             // set: or dword [rdi + MXCSR], ecx
  0x41, 0xf7, 0xc0, 0x3f, 0x00, 0x00, 0x00,                       // test r8d, 0x3f
  0x75, 0x01,                                                     // jne raise
  0xc3,                                                           // done: ret
  0x48, 0x83, 0xc4, 0x08,                                         // raise: add rsp, 0x8
  0xbe, 0x13, 0x00, 0x00, 0x00,                                   // mov esi, 0x13
  0xf7, 0x87, 0xc8, 0x01, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00,     // test dword [rdi+0x1c8], 0x400
  0x75, 0x05,                                                     // jne known
  0xbe, 0x06, 0x00, 0x00, 0x00,                                   // mov esi, 0x6
  0x44, 0x89, 0xc2,                                               // known: mov edx, r8d
  0x83, 0xe2, 0x18,                                               // and edx, 0x18
  0xc1, 0xe2, 0x0e,                                               // shl edx, 0xe
  0x48, 0x8b, 0x0c, 0x24,                                         // mov rcx, [rsp]
  0xff, 0x25, 0x44, 0x00, 0x00, 0x00,                             // jmp [RAISE]
];
/** FXRSTOR(rdi: env, rsi: address): #GP for reserved bits of MXCSR, otherwise calls QEMU's. */
// biome-ignore format: one instruction a line
const FXRSTOR = [
  0x48, 0x8b, 0x14, 0x24,             // mov rdx, [rsp]
  0x57,                               // push rdi
  0x56,                               // push rsi
  0x48, 0x83, 0xec, 0x08,             // sub rsp, 8
  0x48, 0x83, 0xc6, 0x18,             // add rsi, 24
  0xff, 0x15, 0x22, 0x00, 0x00, 0x00, // call [LOAD32]
  0x48, 0x83, 0xc4, 0x08,             // add rsp, 8
  0x5e,                               // pop rsi
  0x5f,                               // pop rdi
  0xc1, 0xe8, 0x10,                   // shr eax, 16
  0x75, 0x06,                         // jne bad
  0xff, 0x25, 0x19, 0x00, 0x00, 0x00, // jmp [ORIGINAL]
  0x48, 0x8b, 0x0c, 0x24,             // bad: mov rcx, [rsp]
  0xbe, 0x0d, 0x00, 0x00, 0x00,       // mov esi, 13
  0x31, 0xd2,                         // xor edx, edx
  0xff, 0x25, 0x10, 0x00, 0x00, 0x00, // jmp [RAISE]
];
/** Words after the code. */
const fxrstorWords = ["cpu_ldl_data_ra", "helper_fxrstor", "raise_exception_err_ra"];
const BEGIN = 0;
const FINISH = 0x2d;
const RAISE_AT = 0xf8;
const FIRST_HELPER = 0x100;
const BYTES = 0x4000;

/** Bits of the error code: an unmasked overflow or underflow. */
export const RESULT_FLAGS = 0x6_0000;

const LOAD = [0x0f, 0x10, 0x06, 0x0f, 0x10, 0x0a]; // movups xmm0, [rsi]; movups xmm1, [rdx]
const LOAD_64 = [0x0f, 0x10, 0x06, 0xf3, 0x0f, 0x7e, 0x0a]; // movups xmm0, [rsi]; movq xmm1, [rdx]
const STORE = [0x0f, 0x11, 0x06]; // movups [rsi], xmm0
const STORE_64 = [0x66, 0x0f, 0xd6, 0x06]; // movq [rsi], xmm0
const RETURN = 0xc3;

interface Helper {
  readonly name: string;
  readonly load: readonly number[];
  readonly operation: readonly number[];
  /** Code after the checks. */
  readonly end: readonly number[];
}

/** xmm0 = operation(xmm0, xmm1). */
const binary = (name: string, ...operation: number[]): Helper => ({
  name,
  load: LOAD,
  operation: [...operation, 0xc1],
  end: STORE,
});
const withPrefixes = (name: string, opcode: number): Helper[] => [
  binary(`${name}ps`, 0x0f, opcode),
  binary(`${name}pd`, 0x66, 0x0f, opcode),
  binary(`${name}ss`, 0xf3, 0x0f, opcode),
  binary(`${name}sd`, 0xf2, 0x0f, opcode),
];
const compare = (name: string, predicate: number): Helper[] =>
  withPrefixes(`cmp${name}`, 0xc2).map((helper) => ({ ...helper, operation: [...helper.operation, predicate] }));
/** Stores the flags in env.cc_src: ZF, PF and CF in the order of LAHF. */
const flags = (name: string, ...operation: number[]): Helper => ({
  name,
  load: LOAD,
  // lahf; movzx r10d, ah
  operation: [...operation, 0xc1, 0x9f, 0x0f, 0xb6, 0xc4, 0x41, 0x89, 0xc2],
  // and r10d, 0x45; mov [rdi + cc_src], r10
  end: [0x41, 0x83, 0xe2, 0x45, 0x4c, 0x89, 0x97, 0x98, 0x00, 0x00, 0x00],
});
/** From an integer in EDX or RDX to xmm0. */
const fromInteger = (name: string, ...operation: number[]): Helper => ({
  name,
  load: [0x0f, 0x10, 0x06],
  operation: [...operation, 0xc2],
  end: STORE,
});
/** From the register that RSI points to, to EAX or RAX. */
const toInteger = (name: string, wide: boolean, prefix: number, opcode: number): Helper => ({
  name,
  load: [0x0f, 0x10, 0x0e], // movups xmm1, [rsi]
  operation: [prefix, wide ? 0x4c : 0x44, 0x0f, opcode, 0xd1], // cvt… r10, xmm1
  end: wide ? [0x4c, 0x89, 0xd0] : [0x44, 0x89, 0xd0],
});
/** MMX registers: processed as the packed integers of an XMM register whose other half is zero. */
const narrow = (name: string, end: readonly number[], ...operation: number[]): Helper => ({
  name,
  load: LOAD_64,
  operation: [...operation, 0xc1],
  end,
});

// biome-ignore format: a table
const helpers: readonly Helper[] = [
  ...withPrefixes("add", 0x58), ...withPrefixes("mul", 0x59), ...withPrefixes("sub", 0x5c), ...withPrefixes("min", 0x5d),
  ...withPrefixes("div", 0x5e), ...withPrefixes("max", 0x5f), ...withPrefixes("sqrt", 0x51),
  ...["eq", "lt", "le", "unord", "neq", "nlt", "nle", "ord"].flatMap(compare),
  binary("haddpd", 0x66, 0x0f, 0x7c), binary("haddps", 0xf2, 0x0f, 0x7c), binary("hsubpd", 0x66, 0x0f, 0x7d), binary("hsubps", 0xf2, 0x0f, 0x7d),
  binary("addsubpd", 0x66, 0x0f, 0xd0), binary("addsubps", 0xf2, 0x0f, 0xd0),
  flags("ucomiss", 0x0f, 0x2e), flags("comiss", 0x0f, 0x2f), flags("ucomisd", 0x66, 0x0f, 0x2e), flags("comisd", 0x66, 0x0f, 0x2f),
  binary("cvtpd2ps", 0x66, 0x0f, 0x5a), binary("cvtss2sd", 0xf3, 0x0f, 0x5a), binary("cvtsd2ss", 0xf2, 0x0f, 0x5a),
  binary("cvtdq2ps", 0x0f, 0x5b), binary("cvtps2dq", 0x66, 0x0f, 0x5b), binary("cvttps2dq", 0xf3, 0x0f, 0x5b),
  binary("cvttpd2dq", 0x66, 0x0f, 0xe6), binary("cvtpd2dq", 0xf2, 0x0f, 0xe6),
  narrow("cvtps2pd", STORE, 0x0f, 0x5a), narrow("cvtdq2pd", STORE, 0xf3, 0x0f, 0xe6), narrow("cvtpi2pd", STORE, 0xf3, 0x0f, 0xe6),
  narrow("cvtpi2ps", STORE_64, 0x0f, 0x5b), narrow("cvtps2pi", STORE_64, 0x66, 0x0f, 0x5b), narrow("cvttps2pi", STORE_64, 0xf3, 0x0f, 0x5b),
  { ...binary("cvtpd2pi", 0xf2, 0x0f, 0xe6), end: STORE_64 }, { ...binary("cvttpd2pi", 0x66, 0x0f, 0xe6), end: STORE_64 },
  fromInteger("cvtsi2ss", 0xf3, 0x0f, 0x2a), fromInteger("cvtsi2sd", 0xf2, 0x0f, 0x2a),
  fromInteger("cvtsq2ss", 0xf3, 0x48, 0x0f, 0x2a), fromInteger("cvtsq2sd", 0xf2, 0x48, 0x0f, 0x2a),
  toInteger("cvtss2si", false, 0xf3, 0x2d), toInteger("cvtss2sq", true, 0xf3, 0x2d), toInteger("cvttss2si", false, 0xf3, 0x2c), toInteger("cvttss2sq", true, 0xf3, 0x2c),
  toInteger("cvtsd2si", false, 0xf2, 0x2d), toInteger("cvtsd2sq", true, 0xf2, 0x2d), toInteger("cvttsd2si", false, 0xf2, 0x2c), toInteger("cvttsd2sq", true, 0xf2, 0x2c),
];

/** Called once per process, before the first instance. */
export function interposeArithmetic(): void {
  const unicorn = binding();
  const base = unicorn.allocateCode(BYTES);
  const view = new DataView(viewMemory(base, BYTES));
  const bytes = new Uint8Array(view.buffer);
  bytes.set(ROUTINES, 0);
  view.setBigUint64(RAISE_AT, BigInt(Number(unicorn.library.symbol("raise_exception_err_ra_x86_64"))), true);
  let at = FIRST_HELPER;
  const put = (code: readonly number[]): void => {
    bytes.set(code, at);
    at += code.length;
  };
  const call = (target: number): void => {
    bytes[at] = 0xe8;
    view.setInt32(at + 1, target - (at + 5), true);
    at += 5;
  };
  for (const { name, load, operation, end } of helpers) {
    const entry: Address = base + at;
    call(BEGIN);
    put(load);
    put(operation);
    call(FINISH);
    put(end);
    put([RETURN]);
    interposeAddress(`helper_${name}_x86_64`, entry);
  }
  interposeAddress("helper_fxrstor_x86_64", base + at);
  put(FXRSTOR);
  for (const name of fxrstorWords) {
    view.setBigUint64(at, BigInt(Number(unicorn.library.symbol(`${name}_x86_64`))), true);
    at += 8;
  }
}
