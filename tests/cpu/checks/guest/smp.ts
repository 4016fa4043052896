/**
 * The second core: INIT, STARTUP at the trampoline page, the first core's switch to long mode, then `secondCore` on a
 * separate stack. Intel SDM vol. 3A, 8.4.4.1. Interrupts stay off on both cores; the checks communicate through memory.
 */
import { Icr, Lapic, SVR_ENABLE } from "../../../../kernel/abi/lapic.ts";
import { AP_TRAMPOLINE, LAPIC_BASE } from "../../../../kernel/abi/memory.ts";
import { Cr0 } from "../../../../kernel/abi/x86.ts";
import { enterLongMode } from "./boot.ts";
import { exit, line, text } from "./console.ts";
import { type DescriptorPointer, GDT_LIMIT, gdt, Sel } from "./descriptors.ts";

const GDT_POINTER: u32 = 0x100;
const CODE_BYTES: u64 = 64;
const TRIES: u64 = 1000;
const SPINS: u64 = 20000;
/** @align 4096 */
const secondStack: arr<u8, 8192> = zeroed();
class Shared {
  online: u32 = 0;
}
const shared: Shared = new Shared();

/** Defined by each family that starts the core. */
declare function secondCore(): void;

function register(offset: u32): ptr<u32> {
  return cast<ptr<u32>>(LAPIC_BASE + u64(offset));
}
function send(command: u32): void {
  volatileWrite(register(Lapic.ICR_HIGH), u32(1 << 24));
  volatileWrite(register(Lapic.ICR_LOW), command | Icr.ASSERT);
}
export function pause(): void {
  asm`pause`;
}

export function startSecondCore(): void {
  volatileWrite(register(Lapic.SVR), SVR_ENABLE | 0xff);
  const page = cast<ptr<u8>>(AP_TRAMPOLINE);
  const code = cast<ptr<u8>>(cast<u64>(realModeEntry));
  for (let i: u64 = 0; i < CODE_BYTES; i++) page[i] = code[i];
  const pointer = cast<ptr<DescriptorPointer>>(AP_TRAMPOLINE + u64(GDT_POINTER));
  pointer.limit = u16(GDT_LIMIT);
  pointer.base = cast<u64>(addr(gdt));
  fence();
  send(Icr.INIT);
  for (let i: u64 = 0; i < SPINS; i++) pause();
  for (let tries: u64 = 0; tries < TRIES; tries++) {
    if (tries < 2) send(Icr.STARTUP | u32(AP_TRAMPOLINE >> 12));
    for (let i: u64 = 0; i < SPINS; i++) {
      if (atomicLoad(addr(shared.online)) !== 0) return;
      pause();
    }
  }
  text(cstr("the second core does not answer"));
  line();
  exit(2);
}

function realModeEntry(): void {
  attr({ naked: true, bits: 16, align: 64 });
  asm`
    cli
    cld
    mov ax, cs
    mov ds, ax
    lgdt [${GDT_POINTER}]
    mov eax, cr0
    or eax, ${Cr0.PE}
    mov cr0, eax
    ljmp ${Sel.CODE0_32}, ${protectedEntry}
  `;
}
function protectedEntry(): void {
  attr({ naked: true, bits: 32, align: 16 });
  asm`
    mov eax, ${Sel.DATA0}
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov ebp, ${entry64}
    mov eax, ${enterLongMode}
    jmp eax
  `;
}
function entry64(): void {
  attr({ naked: true });
  asm`
    mov rsp, ${secondStack} + 8192
    xor ebp, ebp
    call ${secondMain}
    ud2
  `;
}
function secondMain(): void {
  attr({ keep: true, inline: "never" });
  atomicStore(addr(shared.online), 1);
  secondCore();
  for (;;) asm`cli; hlt`;
}
