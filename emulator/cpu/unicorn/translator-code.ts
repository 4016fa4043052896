/**
 * Machine code that stands between Unicorn's translator and its parts (translator.ts), one instruction a line. Calls
 * into JavaScript would cost more than translating an instruction does, so the common case is decided here.
 *
 * loop      translator_loop(rdi: operations, rsi: block, rdx: CPU, …): with our operations instead
 * translate operations.translate_insn(rdi: block, rsi: CPU): skips prefixes, looks opcodes up in TABLE1 (0: translate,
 *           1: prefix, 2: a second byte follows, 3: ask) and TABLE2, and does what CALLBACK(address, flags of the block)
 *           says: action + operand × 256
 * emit      a call of a helper in the code being translated: r13 = its address, r12 = its second argument
 * ld32, …   tcg_gen_qemu_ld_i32, …: (r8: MemOp) with the alignment that the instruction asks for
 * unaligned CPUClass.do_unaligned_access(rdi: CPU, …, r8: return address): raises #GP with the error code UNALIGNED
 * compute   helper (rdi: env, esi: QEMU's cc_op, 0: as in env): computes the flags, which are lazy, once and for all
 * note      helper (rdi: env, rsi: RIP): keeps RIP, RSP and the counter of instructions at a branch
 * before, after  helpers (rdi: env, esi: register) around CMPXCHG of 32 bits: the upper halves that it must not write;
 *           esi + 0x100: around BSF and BSR of 32 bits, which leave the register alone where the source is 0
 */
// biome-ignore format: one instruction a line
export const TRANSLATOR_CODE = [
  0x48, 0x89, 0x3d, 0xf9, 0x03, 0x00, 0x00,                       // loop: mov [OPS], rdi
  0x48, 0x8d, 0x3d, 0xca, 0x04, 0x00, 0x00,                       // lea rdi, [MYOPS]
  0xff, 0x25, 0xf4, 0x03, 0x00, 0x00,                             // jmp [LOOP]
  0x48, 0x8b, 0x05, 0xe5, 0x03, 0x00, 0x00,                       // init: mov rax, [OPS]
  0xff, 0x20,                                                     // jmp [rax]
  0x48, 0x8b, 0x05, 0xdc, 0x03, 0x00, 0x00,                       // tbstart: mov rax, [OPS]
  0xff, 0x60, 0x08,                                               // jmp [rax+0x8]
  0x48, 0x8b, 0x05, 0xd2, 0x03, 0x00, 0x00,                       // insnstart: mov rax, [OPS]
  0xff, 0x60, 0x10,                                               // jmp [rax+0x10]
  0x48, 0x8b, 0x05, 0xc8, 0x03, 0x00, 0x00,                       // bpcheck: mov rax, [OPS]
  0xff, 0x60, 0x18,                                               // jmp [rax+0x18]
  0x48, 0x8b, 0x05, 0xbe, 0x03, 0x00, 0x00,                       // tbstop: mov rax, [OPS]
  0xff, 0x60, 0x28,                                               // jmp [rax+0x28]
  0x53,                                                           // translate: push rbx
  0x55,                                                           // push rbp
  0x41, 0x54,                                                     // push r12
  0x41, 0x55,                                                     // push r13
  0x48, 0x83, 0xec, 0x18,                                         // sub rsp, 0x18
  0x48, 0x89, 0xfb,                                               // mov rbx, rdi
  0x48, 0x89, 0xf5,                                               // mov rbp, rsi
  0xc7, 0x05, 0x51, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,     // mov dword [ONCE], 0x0
  0xc7, 0x05, 0x4f, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,     // mov dword [HALF], 0x0
  0x48, 0x8b, 0x03,                                               // mov rax, [rbx]
  0x44, 0x8b, 0x68, 0x10,                                         // mov r13d, dword [rax+0x10]
  0x31, 0xc0,                                                     // xor eax, eax
  0x44, 0x89, 0xe9,                                               // mov ecx, r13d
  0x81, 0xe1, 0x03, 0x00, 0x04, 0x08,                             // and ecx, 0x8040003
  0x81, 0xf9, 0x03, 0x00, 0x04, 0x08,                             // cmp ecx, 0x8040003
  0x75, 0x05,                                                     // jne at_88
  0xb8, 0x70, 0x00, 0x00, 0x00,                                   // mov eax, 0x70
  0x89, 0x05, 0x26, 0x04, 0x00, 0x00,                             // at_88: mov dword [ALWAYS], eax
  0x4c, 0x8b, 0x63, 0x10,                                         // mov r12, [rbx+0x10]
  0x48, 0x8d, 0xbd, 0x50, 0x8a, 0x00, 0x00,                       // at_92: lea rdi, [rbp+0x8a50]
  0x4c, 0x89, 0xe6,                                               // mov rsi, r12
  0xff, 0x15, 0x6e, 0x03, 0x00, 0x00,                             // call [LDUB]
  0x49, 0xff, 0xc4,                                               // inc r12
  0x0f, 0xb6, 0xc0,                                               // movzx eax, al
  0x48, 0x8d, 0x0d, 0x51, 0x05, 0x00, 0x00,                       // lea rcx, [TABLE1]
  0x0f, 0xb6, 0x04, 0x01,                                         // movzx eax, byte [rcx+rax*1]
  0x83, 0xf8, 0x02,                                               // cmp eax, 0x2
  0x77, 0x34,                                                     // ja at_ec
  0x74, 0x12,                                                     // je at_cc
  0x85, 0xc0,                                                     // test eax, eax
  0x74, 0x56,                                                     // je plain
  0x4c, 0x89, 0xe1,                                               // mov rcx, r12
  0x48, 0x2b, 0x4b, 0x10,                                         // sub rcx, [rbx+0x10]
  0x83, 0xf9, 0x0e,                                               // cmp ecx, 0xe
  0x72, 0xc8,                                                     // jb at_92
  0xeb, 0x48,                                                     // jmp plain
  0x48, 0x8d, 0xbd, 0x50, 0x8a, 0x00, 0x00,                       // at_cc: lea rdi, [rbp+0x8a50]
  0x4c, 0x89, 0xe6,                                               // mov rsi, r12
  0xff, 0x15, 0x34, 0x03, 0x00, 0x00,                             // call [LDUB]
  0x0f, 0xb6, 0xc0,                                               // movzx eax, al
  0x48, 0x8d, 0x0d, 0x1a, 0x06, 0x00, 0x00,                       // lea rcx, [TABLE2]
  0x80, 0x3c, 0x01, 0x00,                                         // cmp byte [rcx+rax*1], 0x0
  0x74, 0x28,                                                     // je plain
  0x48, 0x8b, 0x7b, 0x10,                                         // at_ec: mov rdi, [rbx+0x10]
  0x44, 0x89, 0xee,                                               // mov esi, r13d
  0xff, 0x15, 0x1f, 0x03, 0x00, 0x00,                             // call [CALLBACK]
  0x41, 0x89, 0xc4,                                               // mov r12d, eax
  0x41, 0xc1, 0xec, 0x08,                                         // shr r12d, 0x8
  0x3c, 0x02,                                                     // cmp al, 0x2
  0x77, 0x4f,                                                     // ja bracket
  0x74, 0x29,                                                     // je exit
  0x84, 0xc0,                                                     // test al, al
  0x74, 0x0a,                                                     // je plain
  0xc7, 0x05, 0x9c, 0x03, 0x00, 0x00, 0x40, 0x00, 0x00, 0x00,     // mov dword [ONCE], 0x40
  0x48, 0x89, 0xdf,                                               // plain: mov rdi, rbx
  0x48, 0x89, 0xee,                                               // mov rsi, rbp
  0x48, 0x8b, 0x05, 0xdf, 0x02, 0x00, 0x00,                       // mov rax, [OPS]
  0xff, 0x50, 0x20,                                               // call [rax+0x20]
  0x48, 0x83, 0xc4, 0x18,                                         // out: add rsp, 0x18
  0x41, 0x5d,                                                     // pop r13
  0x41, 0x5c,                                                     // pop r12
  0x5d,                                                           // pop rbp
  0x5b,                                                           // pop rbx
  0xc3,                                                           // ret
  0x4c, 0x8b, 0x6b, 0x10,                                         // exit: mov r13, [rbx+0x10]
  0x4d, 0x01, 0xe5,                                               // add r13, r12
  0x48, 0x89, 0xdf,                                               // mov rdi, rbx
  0x48, 0x89, 0xee,                                               // mov rsi, rbp
  0x48, 0x8d, 0x15, 0xcd, 0x03, 0x00, 0x00,                       // lea rdx, [FAKE]
  0x48, 0x8b, 0x05, 0xb6, 0x02, 0x00, 0x00,                       // mov rax, [OPS]
  0xff, 0x50, 0x18,                                               // call [rax+0x18]
  0x4c, 0x89, 0x6b, 0x10,                                         // mov [rbx+0x10], r13
  0xeb, 0xd1,                                                     // jmp out
  0x3c, 0x04,                                                     // bracket: cmp al, 0x4
  0x74, 0x3c,                                                     // je mark
  0x72, 0x10,                                                     // jb at_169
  0x3c, 0x06,                                                     // cmp al, 0x6
  0x72, 0x6d,                                                     // jb flags
  0xc7, 0x05, 0x51, 0x03, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00,     // mov dword [HALF], 0x2
  0xeb, 0xab,                                                     // jmp plain
  0x4c, 0x8b, 0x2d, 0xe8, 0x02, 0x00, 0x00,                       // at_169: mov r13, [BEFORE]
  0xe8, 0x7f, 0x00, 0x00, 0x00,                                   // call emit
  0x48, 0x89, 0xdf,                                               // mov rdi, rbx
  0x48, 0x89, 0xee,                                               // mov rsi, rbp
  0x48, 0x8b, 0x05, 0x7e, 0x02, 0x00, 0x00,                       // mov rax, [OPS]
  0xff, 0x50, 0x20,                                               // call [rax+0x20]
  0x4c, 0x8b, 0x2d, 0xd4, 0x02, 0x00, 0x00,                       // mov r13, [AFTER]
  0xe8, 0x63, 0x00, 0x00, 0x00,                                   // call emit
  0xeb, 0x91,                                                     // jmp out
  0x48, 0x8b, 0x85, 0xa8, 0x81, 0x00, 0x00,                       // mark: mov rax, [rbp+0x81a8]
  0x4c, 0x8b, 0xa8, 0xe8, 0x02, 0x00, 0x00,                       // mov r13, [rax+0x2e8]
  0x4c, 0x89, 0xef,                                               // mov rdi, r13
  0x48, 0x8b, 0x73, 0x10,                                         // mov rsi, [rbx+0x10]
  0xff, 0x15, 0xc2, 0x02, 0x00, 0x00,                             // call [CONST64]
  0x4c, 0x8b, 0x25, 0xc3, 0x02, 0x00, 0x00,                       // mov r12, [NOTE]
  0x4c, 0x89, 0xea,                                               // mov rdx, r13
  0x48, 0x01, 0xd0,                                               // add rax, rdx
  0x48, 0x89, 0x44, 0x24, 0x08,                                   // mov [rsp+0x8], rax
  0xe8, 0x25, 0x00, 0x00, 0x00,                                   // call emit2
  0xe9, 0x4a, 0xff, 0xff, 0xff,                                   // jmp plain
  0x44, 0x8b, 0x63, 0x74,                                         // flags: mov r12d, dword [rbx+0x74]
  0x4c, 0x8b, 0x2d, 0xab, 0x02, 0x00, 0x00,                       // mov r13, [COMPUTE]
  0xe8, 0x1a, 0x00, 0x00, 0x00,                                   // call emit
  0xc7, 0x43, 0x74, 0x01, 0x00, 0x00, 0x00,                       // mov dword [rbx+0x74], 0x1
  0xc6, 0x43, 0x78, 0x00,                                         // mov byte [rbx+0x78], 0x0
  0xe9, 0x2a, 0xff, 0xff, 0xff,                                   // jmp plain
  0x41, 0x56,                                                     // emit2: push r14
  0x4d, 0x89, 0xee,                                               // mov r14, r13
  0x4d, 0x89, 0xe5,                                               // mov r13, r12
  0xeb, 0x24,                                                     // jmp emit3
  0x41, 0x56,                                                     // emit: push r14
  0x48, 0x8b, 0x85, 0xa8, 0x81, 0x00, 0x00,                       // mov rax, [rbp+0x81a8]
  0x4c, 0x8b, 0xb0, 0xe8, 0x02, 0x00, 0x00,                       // mov r14, [rax+0x2e8]
  0x4c, 0x89, 0xf7,                                               // mov rdi, r14
  0x44, 0x89, 0xe6,                                               // mov esi, r12d
  0xff, 0x15, 0x10, 0x02, 0x00, 0x00,                             // call [CONST]
  0x4c, 0x01, 0xf0,                                               // add rax, r14
  0x48, 0x89, 0x44, 0x24, 0x18,                                   // mov [rsp+0x18], rax
  0x49, 0x8b, 0x86, 0xf0, 0x98, 0x00, 0x00,                       // emit3: mov rax, [r14+0x98f0]
  0x4c, 0x01, 0xf0,                                               // add rax, r14
  0x48, 0x89, 0x44, 0x24, 0x10,                                   // mov [rsp+0x10], rax
  0x4c, 0x89, 0xf7,                                               // mov rdi, r14
  0x4c, 0x89, 0xee,                                               // mov rsi, r13
  0x31, 0xd2,                                                     // xor edx, edx
  0xb9, 0x02, 0x00, 0x00, 0x00,                                   // mov ecx, 0x2
  0x4c, 0x8d, 0x44, 0x24, 0x10,                                   // lea r8, [rsp+0x10]
  0xff, 0x15, 0xe9, 0x01, 0x00, 0x00,                             // call [CALLN]
  0x4c, 0x89, 0xf7,                                               // mov rdi, r14
  0x48, 0x8b, 0x74, 0x24, 0x18,                                   // mov rsi, [rsp+0x18]
  0xff, 0x15, 0x1b, 0x02, 0x00, 0x00,                             // call [FREE]
  0x41, 0x5e,                                                     // pop r14
  0xc3,                                                           // ret
  0xe8, 0x48, 0x00, 0x00, 0x00,                                   // ld32: call memop
  0xff, 0x25, 0xd5, 0x01, 0x00, 0x00,                             // jmp [LD32]
  0xe8, 0x3d, 0x00, 0x00, 0x00,                                   // st32: call memop
  0xff, 0x25, 0xd2, 0x01, 0x00, 0x00,                             // jmp [ST32]
  0xe8, 0x32, 0x00, 0x00, 0x00,                                   // ld64: call memop
  0x83, 0x3d, 0x46, 0x02, 0x00, 0x00, 0x00,                       // cmp dword [HALF], 0x0
  0x74, 0x18,                                                     // je at_28c
  0xff, 0x0d, 0x3e, 0x02, 0x00, 0x00,                             // dec dword [HALF]
  0x74, 0x09,                                                     // je at_285
  0x48, 0x89, 0x15, 0x3d, 0x02, 0x00, 0x00,                       // mov [FIRST], rdx
  0xeb, 0x07,                                                     // jmp at_28c
  0x48, 0x8b, 0x15, 0x34, 0x02, 0x00, 0x00,                       // at_285: mov rdx, [FIRST]
  0xff, 0x25, 0xae, 0x01, 0x00, 0x00,                             // at_28c: jmp [LD64]
  0xe8, 0x06, 0x00, 0x00, 0x00,                                   // st64: call memop
  0xff, 0x25, 0xab, 0x01, 0x00, 0x00,                             // jmp [ST64]
  0x8b, 0x05, 0x0d, 0x02, 0x00, 0x00,                             // memop: mov eax, dword [ONCE]
  0x85, 0xc0,                                                     // test eax, eax
  0x75, 0x08,                                                     // jne at_2af
  0x44, 0x0b, 0x05, 0x06, 0x02, 0x00, 0x00,                       // or r8d, dword [ALWAYS]
  0xc3,                                                           // ret
  0xc7, 0x05, 0xf7, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,     // at_2af: mov dword [ONCE], 0x0
  0x41, 0x09, 0xc0,                                               // or r8d, eax
  0xc3,                                                           // ret
  0x48, 0x8d, 0xbf, 0x50, 0x8a, 0x00, 0x00,                       // unaligned: lea rdi, [rdi+0x8a50]
  0xbe, 0x0d, 0x00, 0x00, 0x00,                                   // mov esi, 0xd
  0xba, 0x00, 0x00, 0x01, 0x00,                                   // mov edx, UNALIGNED
  0x4c, 0x89, 0xc1,                                               // mov rcx, r8
  0xff, 0x25, 0x79, 0x01, 0x00, 0x00,                             // jmp [RAISE]
  0x53,                                                           // compute: push rbx
  0x48, 0x89, 0xfb,                                               // mov rbx, rdi
  0x85, 0xf6,                                                     // test esi, esi
  0x0f, 0x44, 0xb7, 0xa8, 0x00, 0x00, 0x00,                       // cmove esi, dword [rdi+0xa8]
  0xff, 0x15, 0x9e, 0x01, 0x00, 0x00,                             // call [CCALL]
  0x89, 0xc0,                                                     // mov eax, eax
  0x48, 0x89, 0x05, 0x9d, 0x01, 0x00, 0x00,                       // mov [COMPUTED], rax
  0x48, 0x89, 0x83, 0x98, 0x00, 0x00, 0x00,                       // mov [rbx+0x98], rax
  0xc7, 0x83, 0xa8, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,     // mov dword [rbx+0xa8], 0x1
  0x5b,                                                           // pop rbx
  0xc3,                                                           // ret
  0x48, 0x89, 0x35, 0x8b, 0x01, 0x00, 0x00,                       // note: mov [LASTPC], rsi
  0x48, 0x8b, 0x47, 0x20,                                         // mov rax, [rdi+0x20]
  0x48, 0x89, 0x05, 0x88, 0x01, 0x00, 0x00,                       // mov [LASTSP], rax
  0x48, 0x8b, 0x87, 0x58, 0xf7, 0xff, 0xff,                       // mov rax, [rdi-0x8a8]
  0x8b, 0x80, 0x40, 0x05, 0x00, 0x00,                             // mov eax, dword [rax+0x540]
  0x48, 0x89, 0x05, 0x7c, 0x01, 0x00, 0x00,                       // mov [LASTCOUNT], rax
  0xc3,                                                           // ret
  0x48, 0x8b, 0x07,                                               // before: mov rax, [rdi]
  0x48, 0x89, 0x05, 0x91, 0x01, 0x00, 0x00,                       // mov [SAVEDA], rax
  0x40, 0x0f, 0xb6, 0xc6,                                         // movzx eax, sil
  0x48, 0x8b, 0x04, 0xc7,                                         // mov rax, [rdi+rax*8]
  0x48, 0x89, 0x05, 0x8a, 0x01, 0x00, 0x00,                       // mov [SAVEDR], rax
  0xc3,                                                           // ret
  0xf7, 0xc6, 0x00, 0x01, 0x00, 0x00,                             // after: test esi, 0x100
  0x75, 0x0f,                                                     // jne scan
  0x48, 0x8b, 0x05, 0x72, 0x01, 0x00, 0x00,                       // mov rax, [SAVEDA]
  0x3b, 0x07,                                                     // cmp eax, dword [rdi]
  0x75, 0x0e,                                                     // jne restore
  0x48, 0x89, 0x07,                                               // mov [rdi], rax
  0xc3,                                                           // ret
  0x48, 0x83, 0xbf, 0x90, 0x00, 0x00, 0x00, 0x00,                 // scan: cmp [rdi+0x90], 0x0
  0x75, 0x0f,                                                     // jne done
  0x40, 0x0f, 0xb6, 0xc6,                                         // restore: movzx eax, sil
  0x48, 0x8b, 0x0d, 0x5d, 0x01, 0x00, 0x00,                       // mov rcx, [SAVEDR]
  0x48, 0x89, 0x0c, 0xc7,                                         // mov [rdi+rax*8], rcx
  0xc3,                                                           // done: ret
];
/** Offsets of the routines. */
export const Entry = {
  LOOP: 0x0,
  INIT: 0x14,
  TB_START: 0x1d,
  INSN_START: 0x27,
  BREAKPOINT_CHECK: 0x31,
  TB_STOP: 0x3b,
  TRANSLATE: 0x45,
  LD32: 0x250,
  ST32: 0x25b,
  LD64: 0x266,
  ST64: 0x292,
  UNALIGNED: 0x2bd,
  COMPUTE: 0x2d7,
  NOTE: 0x306,
  BEFORE: 0x32d,
  AFTER: 0x347,
} as const;
/** Words that the code uses. */
export const Data = {
  LOOP: 0x408,
  FETCH: 0x410,
  CALLBACK: 0x418,
  CONSTANT32: 0x420,
  CALL: 0x428,
  LD32: 0x430,
  ST32: 0x438,
  LD64: 0x440,
  ST64: 0x448,
  RAISE: 0x450,
  BEFORE: 0x458,
  AFTER: 0x460,
  FREE: 0x468,
  CONSTANT64: 0x470,
  NOTE: 0x478,
  COMPUTE: 0x480,
  FLAGS: 0x488,
  COMPUTED: 0x490,
  NOTED_RIP: 0x498,
  NOTED_RSP: 0x4a0,
  NOTED_COUNT: 0x4a8,
  OPERATIONS: 0x4d8,
  BREAKPOINT: 0x510,
  TABLE1: 0x600,
  TABLE2: 0x700,
  BYTES: 0x1000,
} as const;
/** Error code of `unaligned`; error codes of the processor have 16 bits. */
export const UNALIGNED = 0x1_0000;
