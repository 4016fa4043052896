# All cores in long mode, each with a periodic timer and IPIs to its neighbour, counting in shared memory; hlt in between.
# PVH entry (32-bit) → long mode with 2 MB identity pages for 4 GB; APs by INIT-SIPI-SIPI through a trampoline at 0x8000.
# Memory: 0x20000 counters (ipi, timer, locked), 0x21000 page tables, 0x30000 IDT, stacks below 0x80000 (4 KB a core).
# When core 0 has taken 40 of its timer interrupts, it prints a letter per 50 IPIs and ends by the debug exit with the count of cores.
.intel_syntax noprefix
.set PML4, 0x21000
.set PDPT, 0x22000
.set PD, 0x23000
.set IDT, 0x30000
.set LAPIC, 0xfee00000
.code32
.globl start
start:
    mov esp, 0x7c00
    mov dword ptr [PML4], PDPT + 3
    mov ecx, 0
1:  mov eax, ecx            # four page directories
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
    xor ecx, ecx            # all gates to `other`, then ours
3:  mov eax, offset other
    call gate
    inc ecx
    cmp ecx, 256
    jb 3b
    mov ecx, 0xe0
    mov eax, offset timer
    call gate
    mov ecx, 0xf1
    mov eax, offset ipi
    call gate
    jmp enter
gate:
    mov edx, eax
    and edx, 0xffff
    or edx, 0x00080000
    push edi
    mov edi, ecx
    shl edi, 4
    mov [IDT + edi], edx
    mov edx, eax
    and edx, 0xffff0000
    or edx, 0x8e00
    mov [IDT + edi + 4], edx
    pop edi
    ret
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
idt_pointer:
    .word 4095
    .quad IDT

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
    lidt [idt_pointer]
    mov ebx, LAPIC
    mov r15d, [rbx + 0x20]
    shr r15d, 24            # own id
    mov eax, r15d
    shl eax, 12
    mov esp, 0x80000
    sub esp, eax
    mov eax, 1
    cpuid
    shr ebx, 16
    movzx r14d, bl          # cores
    mov ebx, LAPIC
    mov dword ptr [rbx + 0xf0], 0x1ff
    mov dword ptr [rbx + 0x3e0], 0xb
    mov dword ptr [rbx + 0x320], 0x200e0
    imul eax, r15d, 777
    add eax, 2500
    mov [rbx + 0x380], eax
    test r15d, r15d
    jnz work
    cmp r14d, 1
    je work
    mov dword ptr [rbx + 0x300], 0xc4500
    mov dword ptr [rbx + 0x300], 0xc4608
    mov dword ptr [rbx + 0x300], 0xc4608
work:
    lea r13d, [r15 + 1]     # neighbour
    cmp r13d, r14d
    jb 1f
    xor r13d, r13d
1:  shl r13d, 24
    xor r12d, r12d
again:
    imul ecx, r15d, 13
    add ecx, 40
2:  lock inc dword ptr [0x20008]
    loop 2b
    cli
    mov [rbx + 0x310], r13d
    mov dword ptr [rbx + 0x300], 0x40f1
    mov ecx, 25
3:  pause
    loop 3b
    sti
    hlt
    test r15d, r15d
    jnz again
    cmp r12d, 40
    jb again
    cli
    mov eax, [0x20000]
    mov dx, 0x3f8
4:  sub eax, 50
    jb 5f
    mov ecx, eax
    mov al, 'i'
    out dx, al
    mov eax, ecx
    jmp 4b
5:  mov al, 10
    out dx, al
    mov eax, r14d
    out 0xf4, al
    hlt
timer:
    inc r12d
    lock inc dword ptr [0x20004]
    mov dword ptr [rbx + 0xb0], 0
    iretq
ipi:
    lock inc dword ptr [0x20000]
    mov dword ptr [rbx + 0xb0], 0
    iretq
other:
    mov al, 0x7f
    out 0xf4, al
    hlt
