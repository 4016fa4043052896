# A loop of arithmetic, loads, stores and branches, ITERATIONS times (a symbol that the benchmark defines in front).
body:
    xor ecx, ecx
    mov edx, 12345
    mov edi, ITERATIONS
1:  mov rax, [rsi + rcx * 8]
    add rax, rdx
    imul rdx, rdx, 17
    xor rdx, rax
    mov [rsi + rcx * 8], rax
    add ecx, 1
    and ecx, 1023
    test dl, 3
    jz 2f
    add rdx, 7
2:  dec edi
    jnz 1b
    ret
