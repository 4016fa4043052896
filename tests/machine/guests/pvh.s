# Shows what a PVH guest is given and what its devices say at reset, over the UART; ends by the debug exit with 0x2a.
# Printed alike on QEMU's microvm and on our machine, so the test can compare them line by line.
.intel_syntax noprefix
.code32
.globl start
start:
    mov esp, 0x7c00
    mov ebp, ebx
    mov eax, [ebp]          # magic, version, modules
    call hex
    mov eax, [ebp+4]
    call hex
    mov eax, [ebp+12]
    call hex
    call nl
    mov esi, [ebp+40]       # memory map: address, bytes, type; QEMU lists an empty entry at the end
    mov ecx, [ebp+48]
1:  mov eax, [esi+16]
    test eax, eax
    jz 2f
    call hex
    mov eax, [esi+4]
    call hex
    mov eax, [esi]
    call hex
    mov eax, [esi+12]
    call hex
    mov eax, [esi+8]
    call hex
    call nl
2:  add esi, 24
    loop 1b
    mov esi, [ebp+24]       # command line
    call text
    cmp dword ptr [ebp+12], 0
    je 3f
    mov esi, [ebp+16]       # module: address, bytes, text
    mov eax, [esi]
    call hex
    mov eax, [esi+8]
    call hex
    call nl
    mov esi, [esi]
    call text
3:  mov esi, offset registers
4:  lodsd
    test eax, eax
    jz 5f
    call hex
    mov eax, [eax]
    call hex
    call nl
    jmp 4b
5:  mov dword ptr [0xfec00000], 1
    mov eax, [0xfec00010]
    call hex
    mov dword ptr [0xfec00000], 0x10
    mov eax, [0xfec00010]
    call hex
    call nl
    mov dx, 0x510           # fw_cfg: number of processors
    mov ax, 5
    out dx, ax
    xor eax, eax
    inc dx
    in al, dx
    call hex
    in al, 0x64
    call hex
    call nl
    mov eax, 0xb0b0         # CPUID 1 and 80000001: signature, then features that a kernel may rely on
    mov eax, 1
    cpuid
    call hex
    mov eax, edx
    and eax, 0x078bfbff
    call hex
    mov eax, ecx
    and eax, 0x00202001
    call hex
    mov eax, 0x80000001
    cpuid
    mov eax, edx
    and eax, 0x20100800
    call hex
    call nl
    mov ecx, 0x1b
    rdmsr
    call hex
    call nl
    mov al, 0x2a
    out 0xf4, al
6:  hlt
    jmp 6b

registers:
    .long 0xfee00020, 0xfee00030, 0xfee00080, 0xfee000a0, 0xfee000d0, 0xfee000e0, 0xfee000f0, 0xfee00300, 0xfee00320, 0xfee00350
    .long 0xfee00360, 0xfee00370, 0xfee00380, 0xfee00390, 0xfee003e0, 0xfee00100, 0xfee00270
    .long 0xfeb00000, 0xfeb00004, 0xfeb00008, 0xfeb00e00, 0xfeb00e04, 0xfeb00e08, 0xfeb00e0c, 0xfeb00e34, 0xfeb00e44, 0xfeb00e60, 0xfeb00e70
    .long 0xfeb00f00, 0

text:
    lodsb
    test al, al
    jz nl
    call putc
    jmp text
hex:
    push ecx
    push eax
    mov ecx, 8
1:  rol eax, 4
    push eax
    and al, 15
    cmp al, 10
    jb 2f
    add al, 39
2:  add al, 48
    call putc
    pop eax
    loop 1b
    mov al, 32
    call putc
    pop eax
    pop ecx
    ret
nl:
    mov al, 10
putc:
    push edx
    mov dx, 0x3f8
    out dx, al
    pop edx
    ret
