/**
 * Machine code that stands between Unicorn's translator and its parts (translator.ts), one instruction a line. Calls
 * into JavaScript would cost more than translating an instruction does, so the common case is decided here.
 *
 * loop      translator_loop(rdi: operations, rsi: block, rdx: CPU, …): with our operations instead
 * translate operations.translate_insn(rdi: block, rsi: CPU): skips prefixes, looks opcodes up in TABLE1 (0: translate,
 *           1: prefix, 2: a second byte follows, 3: ask, 4: ask if GROUPS has the bit of ModRM.reg) and TABLE2, and
 *           does what CALLBACK(address, flags of the block) says: action + operand × 256. The upper bits of a prefix
 *           in TABLE1 are collected in R15: unusual combinations ask, and so does all code within 2 GB of the end of
 *           the canonical addresses
 * emit      a call of a helper in the code being translated: r13 = its address, r12 = its second argument
 * ld32, …   tcg_gen_qemu_ld_i32, …: (r8: MemOp) with the alignment that the instruction asks for
 * both      tcg_gen_qemu_ld_i64(rdi: context, rsi: value, rdx: address, …) of a load of 16 bytes: at the first call
 *           both halves are loaded, at the second nothing is
 * fetch     cpu_ldub_code(rdi: env, rsi: address): bytes of CHANGED in place of the memory's,
 *           which is read, too
 * unaligned CPUClass.do_unaligned_access(rdi: CPU, rsi: address, …, r8: return address): raises #GP with the error code
 *           UNALIGNED
 * compute   helper (rdi: env, esi: QEMU's cc_op, 0: as in env): computes the flags, which are lazy, once and for all
 * note      helper (rdi: env, rsi: RIP): keeps RIP, RSP and the counter of instructions at a branch
 * before, after  helpers (rdi: env, esi: register) around CMPXCHG of 32 bits: the upper halves that it must not write;
 *           esi + 0x100: around BSF and BSR of 32 bits, which leave the register alone where the source is 0
 * step, recheck  helper_single_step, helper_rechecking_single_step(rdi: env): #DB with DR6.BS and no other change;
 *           keep DR6
 * sysret    helper_sysret(rdi: env, esi: operand size): VM is not taken from R11
 * software, overflow  helper_raise_interrupt(rdi: env, esi: vector, edx: length), helper_into(rdi: env, esi: length):
 *           keep the length, with prefixes
 * protect, unprotect  tlb_protect_code, tlb_unprotect_code(rdi: uc_struct, rsi: offset in RAM): a page has code now, or
 *           none any more: a bit at env.vm_hsave
 * written   tb_invalidate_phys_page_fast(rdi: uc_struct, …, rdx: offset in RAM, ecx: bytes): a noticed write. QEMU
 *           stores a misaligned value by bytes: the first one must begin the instruction again, so that none is stored
 * dirty     tlb_set_dirty(rdi: CPU, rsi: page): not as long as the page has code, else the next write is not noticed
 * restart   cpu_loop_exit_noexc(rdi: CPU): an instruction that has written to its own block begins again, and counts
 *           once
 */
// biome-ignore format: one instruction a line
export const TRANSLATOR_CODE = [
  0x48, 0x89, 0x3d, 0xf9, 0x07, 0x00, 0x00,                      // loop: mov [OPS], rdi
  0x48, 0x8d, 0x3d, 0x22, 0x09, 0x00, 0x00,                      // lea rdi, [MYOPS]
  0xff, 0x25, 0xf4, 0x07, 0x00, 0x00,                            // jmp [LOOP]
  0x48, 0x8b, 0x05, 0xe5, 0x07, 0x00, 0x00,                      // init: mov rax, [OPS]
  0xff, 0x20,                                                    // jmp [rax]
  0x48, 0x8b, 0x05, 0xdc, 0x07, 0x00, 0x00,                      // tbstart: mov rax, [OPS]
  0xff, 0x60, 0x08,                                              // jmp [rax+0x8]
  0x48, 0x8b, 0x05, 0xd2, 0x07, 0x00, 0x00,                      // insnstart: mov rax, [OPS]
  0xff, 0x60, 0x10,                                              // jmp [rax+0x10]
  0x48, 0x8b, 0x05, 0xc8, 0x07, 0x00, 0x00,                      // bpcheck: mov rax, [OPS]
  0xff, 0x60, 0x18,                                              // jmp [rax+0x18]
  0x48, 0x8b, 0x05, 0xbe, 0x07, 0x00, 0x00,                      // tbstop: mov rax, [OPS]
  0xff, 0x60, 0x28,                                              // jmp [rax+0x28]
  0x53,                                                          // translate: push rbx
  0x55,                                                          // push rbp
  0x41, 0x54,                                                    // push r12
  0x41, 0x55,                                                    // push r13
  0x41, 0x56,                                                    // push r14
  0x41, 0x57,                                                    // push r15
  0x48, 0x83, 0xec, 0x18,                                        // sub rsp, 0x18
  0x48, 0x89, 0xfb,                                              // mov rbx, rdi
  0x48, 0x89, 0xf5,                                              // mov rbp, rsi
  0x45, 0x31, 0xff,                                              // xor r15d, r15d
  0x4c, 0x89, 0x3d, 0x85, 0x08, 0x00, 0x00,                      // mov [ONCE], r15
  0x44, 0x89, 0x3d, 0x8a, 0x08, 0x00, 0x00,                      // mov [WIDE], r15d
  0x4c, 0x89, 0x3d, 0xa7, 0x08, 0x00, 0x00,                      // mov [CHANGEDBYTES], r15
  0x48, 0x8b, 0x03,                                              // mov rax, [rbx]
  0x44, 0x8b, 0x68, 0x10,                                        // mov r13d, [rax+0x10]
  0x31, 0xc0,                                                    // xor eax, eax
  0x44, 0x89, 0xe9,                                              // mov ecx, r13d
  0x81, 0xe1, 0x03, 0x00, 0x04, 0x08,                            // and ecx, 0x8040003
  0x81, 0xf9, 0x03, 0x00, 0x04, 0x08,                            // cmp ecx, 0x8040003
  0x75, 0x05,                                                    // jne plain_access
  0xb8, 0x70, 0x00, 0x00, 0x00,                                  // mov eax, 0x70
  0x89, 0x05, 0x5a, 0x08, 0x00, 0x00,                            // plain_access: mov [ALWAYS], eax
  0x4c, 0x8b, 0x63, 0x10,                                        // mov r12, [rbx+0x10]
  0x4c, 0x89, 0xe0,                                              // mov rax, r12
  0x48, 0xc1, 0xe8, 0x1f,                                        // shr rax, 31
  0x3d, 0xff, 0xff, 0x00, 0x00,                                  // cmp eax, 0xffff
  0x0f, 0x84, 0xc7, 0x00, 0x00, 0x00,                            // je ask
  0x48, 0xb9, 0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0x00,    // mov rcx, 0x1ffff0000
  0x48, 0x39, 0xc8,                                              // cmp rax, rcx
  0x0f, 0x84, 0xb4, 0x00, 0x00, 0x00,                            // je ask
  0x48, 0x8d, 0xbd, 0x50, 0x8a, 0x00, 0x00,                      // next: lea rdi, [rbp+0x8a50]
  0x4c, 0x89, 0xe6,                                              // mov rsi, r12
  0xff, 0x15, 0x41, 0x07, 0x00, 0x00,                            // call [LDUB]
  0x49, 0xff, 0xc4,                                              // inc r12
  0x44, 0x0f, 0xb6, 0xf0,                                        // movzx r14d, al
  0x48, 0x8d, 0x0d, 0x23, 0x09, 0x00, 0x00,                      // lea rcx, [TABLE1]
  0x42, 0x0f, 0xb6, 0x04, 0x31,                                  // movzx eax, byte [rcx+r14]
  0x89, 0xc1,                                                    // mov ecx, eax
  0x83, 0xe0, 0x07,                                              // and eax, 7
  0x83, 0xf8, 0x02,                                              // cmp eax, 2
  0x77, 0x46,                                                    // ja opcode
  0x74, 0x18,                                                    // je escape
  0x85, 0xc0,                                                    // test eax, eax
  0x74, 0x78,                                                    // je known
  0x41, 0x09, 0xcf,                                              // or r15d, ecx
  0x4c, 0x89, 0xe1,                                              // mov rcx, r12
  0x48, 0x2b, 0x4b, 0x10,                                        // sub rcx, [rbx+0x10]
  0x83, 0xf9, 0x0e,                                              // cmp ecx, 0xe
  0x72, 0xbe,                                                    // jb next
  0xe9, 0x95, 0x00, 0x00, 0x00,                                  // jmp plain
  0x48, 0x8d, 0xbd, 0x50, 0x8a, 0x00, 0x00,                      // escape: lea rdi, [rbp+0x8a50]
  0x4c, 0x89, 0xe6,                                              // mov rsi, r12
  0xff, 0x15, 0xfa, 0x06, 0x00, 0x00,                            // call [LDUB]
  0x0f, 0xb6, 0xc0,                                              // movzx eax, al
  0x48, 0x8d, 0x0d, 0xe0, 0x09, 0x00, 0x00,                      // lea rcx, [TABLE2]
  0x80, 0x3c, 0x01, 0x00,                                        // cmp byte [rcx+rax], 0
  0x75, 0x4d,                                                    // jne ask
  0x41, 0x83, 0xe7, 0x70,                                        // and r15d, 0x70
  0x41, 0x83, 0xff, 0x30,                                        // cmp r15d, 0x30
  0x72, 0x6b,                                                    // jb plain
  0xeb, 0x41,                                                    // jmp ask
  0x83, 0xf8, 0x03,                                              // opcode: cmp eax, 3
  0x74, 0x3c,                                                    // je ask
  0x41, 0xf7, 0xc7, 0x08, 0x00, 0x00, 0x00,                      // test r15d, 8
  0x75, 0x33,                                                    // jne ask
  0x48, 0x8d, 0xbd, 0x50, 0x8a, 0x00, 0x00,                      // lea rdi, [rbp+0x8a50]
  0x4c, 0x89, 0xe6,                                              // mov rsi, r12
  0xff, 0x15, 0xc0, 0x06, 0x00, 0x00,                            // call [LDUB]
  0x0f, 0xb6, 0xc0,                                              // movzx eax, al
  0xc1, 0xe8, 0x03,                                              // shr eax, 3
  0x83, 0xe0, 0x07,                                              // and eax, 7
  0x48, 0x8d, 0x0d, 0xa0, 0x0a, 0x00, 0x00,                      // lea rcx, [GROUPS]
  0x42, 0x0f, 0xb6, 0x0c, 0x31,                                  // movzx ecx, byte [rcx+r14]
  0x0f, 0xa3, 0xc1,                                              // bt ecx, eax
  0x72, 0x09,                                                    // jc ask
  0x41, 0xf7, 0xc7, 0x40, 0x00, 0x00, 0x00,                      // known: test r15d, 0x40
  0x74, 0x28,                                                    // je plain
  0x48, 0x8b, 0x7b, 0x10,                                        // ask: mov rdi, [rbx+0x10]
  0x44, 0x89, 0xee,                                              // mov esi, r13d
  0xff, 0x15, 0x98, 0x06, 0x00, 0x00,                            // call [CALLBACK]
  0x41, 0x89, 0xc4,                                              // mov r12d, eax
  0x41, 0xc1, 0xec, 0x08,                                        // shr r12d, 8
  0x3c, 0x02,                                                    // cmp al, 2
  0x77, 0x53,                                                    // ja others
  0x74, 0x2d,                                                    // je exit
  0x84, 0xc0,                                                    // test al, al
  0x74, 0x0a,                                                    // je plain
  0xc7, 0x05, 0x4d, 0x07, 0x00, 0x00, 0x40, 0x00, 0x00, 0x00,    // mov dword [ONCE], 0x40
  0x48, 0x89, 0xdf,                                              // plain: mov rdi, rbx
  0x48, 0x89, 0xee,                                              // mov rsi, rbp
  0x48, 0x8b, 0x05, 0x58, 0x06, 0x00, 0x00,                      // mov rax, [OPS]
  0xff, 0x50, 0x20,                                              // call [rax+0x20]
  0x48, 0x83, 0xc4, 0x18,                                        // out: add rsp, 0x18
  0x41, 0x5f,                                                    // pop r15
  0x41, 0x5e,                                                    // pop r14
  0x41, 0x5d,                                                    // pop r13
  0x41, 0x5c,                                                    // pop r12
  0x5d,                                                          // pop rbp
  0x5b,                                                          // pop rbx
  0xc3,                                                          // ret
  0x4c, 0x8b, 0x6b, 0x10,                                        // exit: mov r13, [rbx+0x10]
  0x4d, 0x01, 0xe5,                                              // add r13, r12
  0x48, 0x89, 0xdf,                                              // mov rdi, rbx
  0x48, 0x89, 0xee,                                              // mov rsi, rbp
  0x48, 0x8d, 0x15, 0x92, 0x07, 0x00, 0x00,                      // lea rdx, [FAKE]
  0x48, 0x8b, 0x05, 0x2b, 0x06, 0x00, 0x00,                      // mov rax, [OPS]
  0xff, 0x50, 0x18,                                              // call [rax+0x18]
  0x4c, 0x89, 0x6b, 0x10,                                        // mov [rbx+0x10], r13
  0xeb, 0xcd,                                                    // jmp out
  0x3c, 0x04,                                                    // others: cmp al, 4
  0x74, 0x60,                                                    // je mark
  0x72, 0x31,                                                    // jb bracket
  0x3c, 0x06,                                                    // cmp al, 6
  0x0f, 0x82, 0x8d, 0x00, 0x00, 0x00,                            // jb flags
  0x77, 0x0c,                                                    // ja wide
  0xc7, 0x05, 0xf4, 0x06, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00,    // mov dword [HALF], 2
  0xeb, 0xa1,                                                    // jmp plain
  0xc7, 0x05, 0xf0, 0x06, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00,    // wide: mov dword [WIDE], 2
  0x8b, 0x05, 0xe6, 0x06, 0x00, 0x00,                            // mov eax, [ALWAYS]
  0x83, 0xe0, 0x40,                                              // and eax, 0x40
  0x89, 0x05, 0xd5, 0x06, 0x00, 0x00,                            // mov [ONCE], eax
  0xeb, 0x86,                                                    // jmp plain
  0x4c, 0x8b, 0x2d, 0x3c, 0x06, 0x00, 0x00,                      // bracket: mov r13, [BEFORE]
  0xe8, 0x82, 0x00, 0x00, 0x00,                                  // call emit
  0x48, 0x89, 0xdf,                                              // mov rdi, rbx
  0x48, 0x89, 0xee,                                              // mov rsi, rbp
  0x48, 0x8b, 0x05, 0xd2, 0x05, 0x00, 0x00,                      // mov rax, [OPS]
  0xff, 0x50, 0x20,                                              // call [rax+0x20]
  0x4c, 0x8b, 0x2d, 0x28, 0x06, 0x00, 0x00,                      // mov r13, [AFTER]
  0xe8, 0x66, 0x00, 0x00, 0x00,                                  // call emit
  0xe9, 0x69, 0xff, 0xff, 0xff,                                  // jmp out
  0x48, 0x8b, 0x85, 0xa8, 0x81, 0x00, 0x00,                      // mark: mov rax, [rbp+0x81a8]
  0x4c, 0x8b, 0xa8, 0xe8, 0x02, 0x00, 0x00,                      // mov r13, [rax+0x2e8]
  0x4c, 0x89, 0xef,                                              // mov rdi, r13
  0x48, 0x8b, 0x73, 0x10,                                        // mov rsi, [rbx+0x10]
  0xff, 0x15, 0x13, 0x06, 0x00, 0x00,                            // call [CONST64]
  0x4c, 0x8b, 0x25, 0x14, 0x06, 0x00, 0x00,                      // mov r12, [NOTE]
  0x4c, 0x89, 0xea,                                              // mov rdx, r13
  0x48, 0x01, 0xd0,                                              // add rax, rdx
  0x48, 0x89, 0x44, 0x24, 0x08,                                  // mov [rsp+0x8], rax
  0xe8, 0x25, 0x00, 0x00, 0x00,                                  // call emit2
  0xe9, 0x22, 0xff, 0xff, 0xff,                                  // jmp plain
  0x44, 0x8b, 0x63, 0x74,                                        // flags: mov r12d, [rbx+0x74]
  0x4c, 0x8b, 0x2d, 0xfc, 0x05, 0x00, 0x00,                      // mov r13, [COMPUTE]
  0xe8, 0x1a, 0x00, 0x00, 0x00,                                  // call emit
  0xc7, 0x43, 0x74, 0x01, 0x00, 0x00, 0x00,                      // mov dword [rbx+0x74], 1
  0xc6, 0x43, 0x78, 0x00,                                        // mov byte [rbx+0x78], 0
  0xe9, 0x02, 0xff, 0xff, 0xff,                                  // jmp plain
  0x41, 0x56,                                                    // emit2: push r14
  0x4d, 0x89, 0xee,                                              // mov r14, r13
  0x4d, 0x89, 0xe5,                                              // mov r13, r12
  0xeb, 0x24,                                                    // jmp emit3
  0x41, 0x56,                                                    // emit: push r14
  0x48, 0x8b, 0x85, 0xa8, 0x81, 0x00, 0x00,                      // mov rax, [rbp+0x81a8]
  0x4c, 0x8b, 0xb0, 0xe8, 0x02, 0x00, 0x00,                      // mov r14, [rax+0x2e8]
  0x4c, 0x89, 0xf7,                                              // mov rdi, r14
  0x44, 0x89, 0xe6,                                              // mov esi, r12d
  0xff, 0x15, 0x61, 0x05, 0x00, 0x00,                            // call [CONST]
  0x4c, 0x01, 0xf0,                                              // add rax, r14
  0x48, 0x89, 0x44, 0x24, 0x18,                                  // mov [rsp+0x18], rax
  0x49, 0x8b, 0x86, 0xf0, 0x98, 0x00, 0x00,                      // emit3: mov rax, [r14+0x98f0]
  0x4c, 0x01, 0xf0,                                              // add rax, r14
  0x48, 0x89, 0x44, 0x24, 0x10,                                  // mov [rsp+0x10], rax
  0x4c, 0x89, 0xf7,                                              // mov rdi, r14
  0x4c, 0x89, 0xee,                                              // mov rsi, r13
  0x31, 0xd2,                                                    // xor edx, edx
  0xb9, 0x02, 0x00, 0x00, 0x00,                                  // mov ecx, 2
  0x4c, 0x8d, 0x44, 0x24, 0x10,                                  // lea r8, [rsp+0x10]
  0xff, 0x15, 0x3a, 0x05, 0x00, 0x00,                            // call [CALLN]
  0x4c, 0x89, 0xf7,                                              // mov rdi, r14
  0x48, 0x8b, 0x74, 0x24, 0x18,                                  // mov rsi, [rsp+0x18]
  0xff, 0x15, 0x6c, 0x05, 0x00, 0x00,                            // call [FREE]
  0x41, 0x5e,                                                    // pop r14
  0xc3,                                                          // ret
  0xe8, 0x25, 0x01, 0x00, 0x00,                                  // ld32: call memop
  0xff, 0x25, 0x26, 0x05, 0x00, 0x00,                            // jmp [LD32]
  0xe8, 0x1a, 0x01, 0x00, 0x00,                                  // st32: call memop
  0xff, 0x25, 0x23, 0x05, 0x00, 0x00,                            // jmp [ST32]
  0xe8, 0x0f, 0x01, 0x00, 0x00,                                  // ld64: call memop
  0x83, 0x3d, 0xd3, 0x05, 0x00, 0x00, 0x00,                      // cmp dword [WIDE], 0
  0x75, 0x27,                                                    // jne both
  0x83, 0x3d, 0xc2, 0x05, 0x00, 0x00, 0x00,                      // cmp dword [HALF], 0
  0x74, 0x18,                                                    // je load
  0xff, 0x0d, 0xba, 0x05, 0x00, 0x00,                            // dec dword [HALF]
  0x74, 0x09,                                                    // je again
  0x48, 0x89, 0x15, 0xbd, 0x05, 0x00, 0x00,                      // mov [FIRST], rdx
  0xeb, 0x07,                                                    // jmp load
  0x48, 0x8b, 0x15, 0xb4, 0x05, 0x00, 0x00,                      // again: mov rdx, [FIRST]
  0xff, 0x25, 0xf6, 0x04, 0x00, 0x00,                            // load: jmp [LD64]
  0x53,                                                          // both: push rbx
  0x55,                                                          // push rbp
  0x41, 0x54,                                                    // push r12
  0x41, 0x55,                                                    // push r13
  0x41, 0x56,                                                    // push r14
  0x41, 0x57,                                                    // push r15
  0x50,                                                          // push rax
  0x48, 0x89, 0xfb,                                              // mov rbx, rdi
  0x48, 0x89, 0xf5,                                              // mov rbp, rsi
  0xff, 0x0d, 0x93, 0x05, 0x00, 0x00,                            // dec dword [WIDE]
  0x74, 0x65,                                                    // je second
  0x49, 0x89, 0xd4,                                              // mov r12, rdx
  0x49, 0x89, 0xcd,                                              // mov r13, rcx
  0x45, 0x89, 0xc6,                                              // mov r14d, r8d
  0xe8, 0x88, 0x00, 0x00, 0x00,                                  // call temporary
  0x49, 0x89, 0xc7,                                              // mov r15, rax
  0x48, 0x89, 0xc6,                                              // mov rsi, rax
  0x4c, 0x89, 0xe2,                                              // mov rdx, r12
  0xe8, 0x90, 0x00, 0x00, 0x00,                                  // call fetchone
  0xe8, 0x75, 0x00, 0x00, 0x00,                                  // call temporary
  0x48, 0x89, 0xc6,                                              // mov rsi, rax
  0x4c, 0x89, 0xe2,                                              // mov rdx, r12
  0x49, 0x89, 0xc4,                                              // mov r12, rax
  0xb9, 0x08, 0x00, 0x00, 0x00,                                  // mov ecx, 8
  0x48, 0x89, 0xdf,                                              // mov rdi, rbx
  0xff, 0x15, 0x1d, 0x05, 0x00, 0x00,                            // call [ADD64]
  0xe8, 0x59, 0x00, 0x00, 0x00,                                  // call temporary
  0x48, 0x89, 0x05, 0x51, 0x05, 0x00, 0x00,                      // mov [FIRST], rax
  0x48, 0x89, 0xc6,                                              // mov rsi, rax
  0x4c, 0x89, 0xe2,                                              // mov rdx, r12
  0x41, 0x83, 0xe6, 0x8f,                                        // and r14d, 0xffffff8f
  0xe8, 0x59, 0x00, 0x00, 0x00,                                  // call fetchone
  0x48, 0x89, 0xdf,                                              // mov rdi, rbx
  0x4a, 0x8d, 0x34, 0x23,                                        // lea rsi, [rbx+r12]
  0xff, 0x15, 0xa5, 0x04, 0x00, 0x00,                            // call [FREE]
  0x4c, 0x89, 0xfa,                                              // mov rdx, r15
  0xeb, 0x0a,                                                    // jmp give
  0x48, 0x8b, 0x15, 0x29, 0x05, 0x00, 0x00,                      // second: mov rdx, [FIRST]
  0x49, 0x89, 0xd7,                                              // mov r15, rdx
  0x48, 0x89, 0xdf,                                              // give: mov rdi, rbx
  0x48, 0x89, 0xee,                                              // mov rsi, rbp
  0x31, 0xc9,                                                    // xor ecx, ecx
  0xff, 0x15, 0xd8, 0x04, 0x00, 0x00,                            // call [ADD64]
  0x48, 0x89, 0xdf,                                              // mov rdi, rbx
  0x4a, 0x8d, 0x34, 0x3b,                                        // lea rsi, [rbx+r15]
  0xff, 0x15, 0x7b, 0x04, 0x00, 0x00,                            // call [FREE]
  0x58,                                                          // pop rax
  0x41, 0x5f,                                                    // pop r15
  0x41, 0x5e,                                                    // pop r14
  0x41, 0x5d,                                                    // pop r13
  0x41, 0x5c,                                                    // pop r12
  0x5d,                                                          // pop rbp
  0x5b,                                                          // pop rbx
  0xc3,                                                          // ret
  0x50,                                                          // temporary: push rax
  0x48, 0x89, 0xdf,                                              // mov rdi, rbx
  0xbe, 0x01, 0x00, 0x00, 0x00,                                  // mov esi, 1
  0x31, 0xd2,                                                    // xor edx, edx
  0xff, 0x15, 0xa6, 0x04, 0x00, 0x00,                            // call [NEW]
  0x48, 0x29, 0xd8,                                              // sub rax, rbx
  0x59,                                                          // pop rcx
  0xc3,                                                          // ret
  0x48, 0x89, 0xdf,                                              // fetchone: mov rdi, rbx
  0x4c, 0x89, 0xe9,                                              // mov rcx, r13
  0x45, 0x89, 0xf0,                                              // mov r8d, r14d
  0xff, 0x25, 0x22, 0x04, 0x00, 0x00,                            // jmp [LD64]
  0xe8, 0x06, 0x00, 0x00, 0x00,                                  // st64: call memop
  0xff, 0x25, 0x1f, 0x04, 0x00, 0x00,                            // jmp [ST64]
  0x8b, 0x05, 0xb9, 0x04, 0x00, 0x00,                            // memop: mov eax, [ONCE]
  0x85, 0xc0,                                                    // test eax, eax
  0x75, 0x08,                                                    // jne once
  0x44, 0x0b, 0x05, 0xb6, 0x04, 0x00, 0x00,                      // or r8d, [ALWAYS]
  0xc3,                                                          // ret
  0xc7, 0x05, 0xa3, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,    // once: mov dword [ONCE], 0
  0x41, 0x09, 0xc0,                                              // or r8d, eax
  0xc3,                                                          // ret
  0x56,                                                          // fetch: push rsi
  0xff, 0x15, 0xc0, 0x03, 0x00, 0x00,                            // call [LDUB]
  0x59,                                                          // pop rcx
  0x48, 0x2b, 0x0d, 0xb8, 0x04, 0x00, 0x00,                      // sub rcx, [CHANGEDAT]
  0x48, 0x3b, 0x0d, 0xb9, 0x04, 0x00, 0x00,                      // cmp rcx, [CHANGEDBYTES]
  0x73, 0x0b,                                                    // jae fetched
  0x48, 0x8d, 0x15, 0x78, 0x05, 0x00, 0x00,                      // lea rdx, [CHANGED]
  0x0f, 0xb6, 0x04, 0x0a,                                        // movzx eax, byte [rdx+rcx]
  0xc3,                                                          // fetched: ret
  0x48, 0x89, 0x35, 0x34, 0x05, 0x00, 0x00,                      // unaligned: mov [MISALIGNED], rsi
  0x48, 0x8d, 0xbf, 0x50, 0x8a, 0x00, 0x00,                      // lea rdi, [rdi+0x8a50]
  0xbe, 0x0d, 0x00, 0x00, 0x00,                                  // mov esi, 0xd
  0xba, 0x00, 0x00, 0x01, 0x00,                                  // mov edx, 0x10000
  0x4c, 0x89, 0xc1,                                              // mov rcx, r8
  0xff, 0x25, 0xc2, 0x03, 0x00, 0x00,                            // jmp [RAISE]
  0x53,                                                          // compute: push rbx
  0x48, 0x89, 0xfb,                                              // mov rbx, rdi
  0x85, 0xf6,                                                    // test esi, esi
  0x0f, 0x44, 0xb7, 0xa8, 0x00, 0x00, 0x00,                      // cmove esi, [rdi+0xa8]
  0xff, 0x15, 0xe7, 0x03, 0x00, 0x00,                            // call [CCALL]
  0x89, 0xc0,                                                    // mov eax, eax
  0x48, 0x89, 0x05, 0xe6, 0x03, 0x00, 0x00,                      // mov [COMPUTED], rax
  0x48, 0x89, 0x83, 0x98, 0x00, 0x00, 0x00,                      // mov [rbx+0x98], rax
  0xc7, 0x83, 0xa8, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,    // mov dword [rbx+0xa8], 1
  0x5b,                                                          // pop rbx
  0xc3,                                                          // ret
  0x48, 0x89, 0x35, 0xd4, 0x03, 0x00, 0x00,                      // note: mov [LASTPC], rsi
  0x48, 0x8b, 0x47, 0x20,                                        // mov rax, [rdi+0x20]
  0x48, 0x89, 0x05, 0xd1, 0x03, 0x00, 0x00,                      // mov [LASTSP], rax
  0x48, 0x8b, 0x87, 0x58, 0xf7, 0xff, 0xff,                      // mov rax, [rdi-0x8a8]
  0x8b, 0x80, 0x40, 0x05, 0x00, 0x00,                            // mov eax, [rax+0x540]
  0x48, 0x89, 0x05, 0xc5, 0x03, 0x00, 0x00,                      // mov [LASTCOUNT], rax
  0xc3,                                                          // ret
  0x48, 0x8b, 0x07,                                              // before: mov rax, [rdi]
  0x48, 0x89, 0x05, 0x12, 0x04, 0x00, 0x00,                      // mov [SAVEDA], rax
  0x40, 0x0f, 0xb6, 0xc6,                                        // movzx eax, sil
  0x48, 0x8b, 0x04, 0xc7,                                        // mov rax, [rdi+rax*8]
  0x48, 0x89, 0x05, 0x0b, 0x04, 0x00, 0x00,                      // mov [SAVEDR], rax
  0xc3,                                                          // ret
  0xf7, 0xc6, 0x00, 0x01, 0x00, 0x00,                            // after: test esi, 0x100
  0x75, 0x0f,                                                    // jne scan
  0x48, 0x8b, 0x05, 0xf3, 0x03, 0x00, 0x00,                      // mov rax, [SAVEDA]
  0x3b, 0x07,                                                    // cmp eax, [rdi]
  0x75, 0x0e,                                                    // jne restore
  0x48, 0x89, 0x07,                                              // mov [rdi], rax
  0xc3,                                                          // ret
  0x48, 0x83, 0xbf, 0x90, 0x00, 0x00, 0x00, 0x00,                // scan: cmp qword [rdi+0x90], 0
  0x75, 0x0f,                                                    // jne done
  0x40, 0x0f, 0xb6, 0xc6,                                        // restore: movzx eax, sil
  0x48, 0x8b, 0x0d, 0xde, 0x03, 0x00, 0x00,                      // mov rcx, [SAVEDR]
  0x48, 0x89, 0x0c, 0xc7,                                        // mov [rdi+rax*8], rcx
  0xc3,                                                          // done: ret
  0xf7, 0x87, 0x88, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00,    // recheck: test dword [rdi+0x88], 0x100
  0x74, 0xf3,                                                    // je done
  0x48, 0x8b, 0x87, 0x28, 0x15, 0x00, 0x00,                      // step: mov rax, [rdi+0x1528]
  0x48, 0x89, 0x05, 0x67, 0x04, 0x00, 0x00,                      // mov [STATUS], rax
  0x81, 0x8f, 0x28, 0x15, 0x00, 0x00, 0x00, 0x40, 0x00, 0x00,    // or dword [rdi+0x1528], 0x4000
  0xbe, 0x01, 0x00, 0x00, 0x00,                                  // mov esi, 1
  0xff, 0x25, 0x62, 0x03, 0x00, 0x00,                            // jmp [RAISED]
  0xf6, 0x47, 0x5a, 0x02,                                        // sysret: test byte [rdi+0x5a], 2
  0x74, 0x2e,                                                    // je leavering
  0xf6, 0x87, 0xa8, 0x01, 0x00, 0x00, 0x01,                      // test byte [rdi+0x1a8], 1
  0x74, 0x25,                                                    // je leavering
  0xf6, 0x87, 0xb0, 0x00, 0x00, 0x00, 0x03,                      // test byte [rdi+0xb0], 3
  0x75, 0x1c,                                                    // jne leavering
  0xf6, 0x87, 0x30, 0x02, 0x00, 0x00, 0x01,                      // test byte [rdi+0x230], 1
  0x74, 0x13,                                                    // je leavering
  0x57,                                                          // push rdi
  0xff, 0x15, 0x42, 0x03, 0x00, 0x00,                            // call [SYSRET]
  0x5f,                                                          // pop rdi
  0x81, 0xa7, 0x88, 0x00, 0x00, 0x00, 0xff, 0xff, 0xfd, 0xff,    // and dword [rdi+0x88], 0xfffdffff
  0xc3,                                                          // ret
  0xff, 0x25, 0x30, 0x03, 0x00, 0x00,                            // leavering: jmp [SYSRET]
  0x89, 0x15, 0x42, 0x03, 0x00, 0x00,                            // software: mov [INSNLEN], edx
  0xff, 0x25, 0x2c, 0x03, 0x00, 0x00,                            // jmp [SOFT]
  0x89, 0x35, 0x36, 0x03, 0x00, 0x00,                            // overflow: mov [INSNLEN], esi
  0xff, 0x25, 0x70, 0x03, 0x00, 0x00,                            // jmp [INTO]
  0x48, 0x8b, 0x87, 0xa8, 0x81, 0x00, 0x00,                      // restart: mov rax, [rdi+0x81a8]
  0xff, 0x88, 0x40, 0x05, 0x00, 0x00,                            // dec dword [rax+0x540]
  0xff, 0x25, 0x15, 0x03, 0x00, 0x00,                            // jmp [LEAVE]
  0x48, 0x8b, 0x87, 0xa0, 0x01, 0x00, 0x00,                      // protect: mov rax, [rdi+0x1a0]
  0x48, 0x8b, 0x80, 0x28, 0x01, 0x00, 0x00,                      // mov rax, [rax+0x128]
  0x48, 0x8b, 0x80, 0xc0, 0x12, 0x00, 0x00,                      // mov rax, [rax+0x12c0]
  0x48, 0x89, 0xf1,                                              // mov rcx, rsi
  0x48, 0xc1, 0xe9, 0x0c,                                        // shr rcx, 12
  0x48, 0x0f, 0xab, 0x08,                                        // bts [rax], rcx
  0xff, 0x25, 0xaf, 0x03, 0x00, 0x00,                            // jmp [PROTECT]
  0x48, 0x8b, 0x87, 0xa0, 0x01, 0x00, 0x00,                      // unprotect: mov rax, [rdi+0x1a0]
  0x48, 0x8b, 0x80, 0x28, 0x01, 0x00, 0x00,                      // mov rax, [rax+0x128]
  0x48, 0x8b, 0x80, 0xc0, 0x12, 0x00, 0x00,                      // mov rax, [rax+0x12c0]
  0x48, 0x89, 0xf1,                                              // mov rcx, rsi
  0x48, 0xc1, 0xe9, 0x0c,                                        // shr rcx, 12
  0x48, 0x0f, 0xb3, 0x08,                                        // btr [rax], rcx
  0xff, 0x25, 0x91, 0x03, 0x00, 0x00,                            // jmp [UNPROTECT]
  0x48, 0x89, 0x15, 0x6a, 0x03, 0x00, 0x00,                      // written: mov [WRITTEN], rdx
  0x89, 0xd0,                                                    // mov eax, edx
  0x0d, 0x00, 0xf0, 0xff, 0xff,                                  // or eax, 0xfffff000
  0xf7, 0xd8,                                                    // neg eax
  0x41, 0xb9, 0x10, 0x00, 0x00, 0x00,                            // mov r9d, 16
  0x44, 0x39, 0xc8,                                              // cmp eax, r9d
  0x41, 0x0f, 0x47, 0xc1,                                        // cmova eax, r9d
  0x39, 0xc1,                                                    // cmp ecx, eax
  0x0f, 0x42, 0xc8,                                              // cmovb ecx, eax
  0xff, 0x25, 0x59, 0x03, 0x00, 0x00,                            // jmp [INVALIDATE]
  0x48, 0x8b, 0x87, 0x28, 0x01, 0x00, 0x00,                      // dirty: mov rax, [rdi+0x128]
  0x48, 0x8b, 0x80, 0xc0, 0x12, 0x00, 0x00,                      // mov rax, [rax+0x12c0]
  0x48, 0x8b, 0x0d, 0x34, 0x03, 0x00, 0x00,                      // mov rcx, [WRITTEN]
  0x48, 0xc1, 0xe9, 0x0c,                                        // shr rcx, 12
  0x48, 0x0f, 0xa3, 0x08,                                        // bt [rax], rcx
  0x72, 0x06,                                                    // jc kept
  0xff, 0x25, 0x2c, 0x03, 0x00, 0x00,                            // jmp [DIRTY]
  0xc3,                                                          // kept: ret
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
  LD32: 0x2ff,
  ST32: 0x30a,
  LD64: 0x315,
  ST64: 0x41e,
  FETCH: 0x449,
  UNALIGNED: 0x46d,
  COMPUTE: 0x48e,
  NOTE: 0x4bd,
  BEFORE: 0x4e4,
  AFTER: 0x4fe,
  RECHECK: 0x52f,
  STEP: 0x53b,
  SYSRET: 0x55e,
  SOFTWARE: 0x598,
  OVERFLOW: 0x5a4,
  RESTART: 0x5b0,
  PROTECT: 0x5c3,
  UNPROTECT: 0x5e9,
  WRITTEN: 0x60f,
  DIRTY: 0x637,
} as const;
/** Words that the code uses. */
export const Data = {
  LOOP: 0x808,
  FETCH: 0x810,
  CALLBACK: 0x818,
  CONSTANT32: 0x820,
  CALL: 0x828,
  LD32: 0x830,
  ST32: 0x838,
  LD64: 0x840,
  ST64: 0x848,
  RAISE: 0x850,
  BEFORE: 0x858,
  AFTER: 0x860,
  FREE: 0x868,
  CONSTANT64: 0x870,
  NOTE: 0x878,
  COMPUTE: 0x880,
  FLAGS: 0x888,
  COMPUTED: 0x890,
  NOTED_RIP: 0x898,
  NOTED_RSP: 0x8a0,
  NOTED_COUNT: 0x8a8,
  TEMPORARY: 0x8b0,
  ADD64: 0x8b8,
  RAISE_PLAIN: 0x8c0,
  SYSRET: 0x8c8,
  SOFTWARE: 0x8d0,
  LEAVE: 0x8d8,
  WRITTEN: 0x990,
  DIRTY: 0x988,
  PROTECT: 0x998,
  UNPROTECT: 0x9a0,
  OVERFLOW: 0x920,
  SOFTWARE_BYTES: 0x8e0,
  MISALIGNED: 0x9a8,
  STATUS: 0x9b0,
  CHANGED_AT: 0x910,
  CHANGED_BYTES: 0x918,
  CHANGED: 0x9e0,
  OPERATIONS: 0x930,
  BREAKPOINT: 0x960,
  TABLE1: 0xa00,
  TABLE2: 0xb00,
  GROUPS: 0xc00,
  BYTES: 0x1000,
} as const;
/** Error code of `unaligned`; error codes of the processor have 16 bits. */
export const UNALIGNED = 0x1_0000;
