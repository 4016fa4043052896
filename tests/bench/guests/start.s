# Start-up of the speed guests: PVH entry (32-bit) → long mode with 2 MB identity pages for 4 GB; APs by INIT-SIPI-SIPI.
# Every core calls `body` (another file) with RSI = its 8 KB of data; body may change all registers but RSP, R14, R15.
# When all cores are done, the debug exit.
# Memory: 0x20000 count of cores that are done, 0x21000 page tables, 0x30000 8 KB of stack and 0x40000 8 KB of data a core.
.intel_syntax noprefix
.set PML4, 0x21000
.set PDPT, 0x22000
.set PD, 0x23000
.set LAPIC, 0xfee00000
.code32
.globl start
start:
    mov dword ptr [PML4], PDPT + 3
    xor ecx, ecx
1:  mov eax, ecx
    shl eax, 12
    add eax, PD + 3
    mov [PDPT + ecx * 8], eax
    inc ecx
    cmp ecx, 4
    jb 1b
    xor ecx, ecx
2:  mov eax, ecx
    shl eax, 21
    or eax, 0x83
    mov [PD + ecx * 8], eax
    inc ecx
    cmp ecx, 2048
    jb 2b
    mov esi, offset trampoline
    mov edi, 0x8000
    mov ecx, offset trampoline_end - trampoline
    rep movsb
enter:
    lgdt [gdt_pointer]
    mov eax, cr4
    or eax, 0x20
    mov cr4, eax
    mov eax, PML4
    mov cr3, eax
    mov ecx, 0xc0000080
    rdmsr
    or eax, 0x100
    wrmsr
    mov eax, cr0
    or eax, 0x80000001
    mov cr0, eax
    ljmp 8, offset long_mode
.align 8
gdt:
    .quad 0, 0x00209a0000000000, 0x0000920000000000, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdt_pointer:
    .word 39
    .long gdt

.code16
trampoline:
    cli
    .byte 0x66, 0x0f, 0x01, 0x16   # lgdt [gdt copy], 32-bit operand
    .word 0x8000 + trampoline_gdt - trampoline
    .byte 0x0f, 0x20, 0xc0          # mov eax, cr0
    .byte 0x0c, 0x01                # or al, 1
    .byte 0x0f, 0x22, 0xc0          # mov cr0, eax
    .byte 0x66, 0xea                # ljmp 0x18:protected
    .long protected
    .word 0x18
trampoline_gdt:
    .word 39
    .long gdt
trampoline_end:
.code32
protected:
    mov ax, 0x20
    mov ds, ax
    mov es, ax
    mov ss, ax
    jmp enter

.code64
long_mode:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov ebx, LAPIC
    mov r15d, [rbx + 0x20]
    shr r15d, 24            # own id
    mov eax, 1
    cpuid
    shr ebx, 16
    movzx r14d, bl          # cores; QEMU says 0 where there is one
    cmp r14d, 1
    adc r14d, 0
    mov ebx, LAPIC
    test r15d, r15d
    jnz work
    cmp r14d, 1
    je work
    mov dword ptr [rbx + 0x300], 0xc4500
    mov dword ptr [rbx + 0x300], 0xc4608
    mov dword ptr [rbx + 0x300], 0xc4608
work:
    mov esi, r15d
    shl esi, 13
    lea esp, [rsi + 0x32000]
    add esi, 0x40000
    call body
    lock inc dword ptr [0x20000]
    test r15d, r15d
    jz 3f
    cli
    hlt
3:  pause
    cmp [0x20000], r14d
    jne 3b
    mov eax, r14d
    out 0xf4, al
    hlt
