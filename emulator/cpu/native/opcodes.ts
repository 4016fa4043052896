/**
 * THE instruction table: every instruction that this processor has, by opcode, to be read beside Intel SDM vol. 2,
 * appendix A, and the "Flags Affected" of each page. What is not here is #UD: the CPU model is x86-64 with SSE3,
 * CMPXCHG16B and LAHF64, and FSGSBASE and SMAP where CR4 says so (emulator/devices/cpuid.ts).
 *
 * opcode   `0F` map; mandatory prefix before it (`NP`, `66`, `F3`, `F2`; none: any). `/n`: ModRM.reg. `:m`, `:r`: memory or register form.
 *          `:r.n`: register form with ModRM.rm = n. `+`: the low three bits name a register.
 * operands as in appendix A: E general register or memory, G register of ModRM.reg, M memory only, R register only, Z
 * register in the
 *          opcode, A accumulator, V W U XMM, P Q N MMX (reg, rm or memory, rm register), I immediate, J branch, O offset, S segment, C D
 *          control and debug registers. Size: b w d q 1 to 8 bytes, v operand size, z the same but at most 4, y 4 or 8, o 16 aligned, u 16,
 *          t 10 bytes, s sign-extended byte. `=` written, `*` read and written, else read.
 * flags    read > written ? undefined, of o s z a p c d (DF); `-`: none.
 * how      emit: the same instruction, registers renamed. Others by name: an emitter of its own in emit/, or interpret/. `L`: takes LOCK.
 */

// biome-ignore format: a table
const arithmetic = [["00", "ADD", "oszapc"], ["08", "OR", "oszpc?a"], ["10", "ADC", "c>oszapc"], ["18", "SBB", "c>oszapc"],
  ["20", "AND", "oszpc?a"], ["28", "SUB", "oszapc"], ["30", "XOR", "oszpc?a"], ["38", "CMP", "oszapc"]]
  .map(([opcode, name, flags], index) => {
    const at = (offset: number): string => (parseInt(opcode, 16) + offset).toString(16).padStart(2, "0");
    const rw = name === "CMP" ? "" : "*";
    const lock = name === "CMP" ? "" : " L";
    return `
${at(0)}        ${name} Eb${rw} Gb  ${flags} emit${lock}
${at(1)}        ${name} Ev${rw} Gv  ${flags} emit${lock}
${at(2)}        ${name} Gb${rw} Eb  ${flags} emit
${at(3)}        ${name} Gv${rw} Ev  ${flags} emit
${at(4)}        ${name} Ab${rw} Ib  ${flags} accumulator
${at(5)}        ${name} Av${rw} Iz  ${flags} accumulator
80/${index}     ${name} Eb${rw} Ib  ${flags} emit${lock}
82/${index}     ${name} Eb${rw} Ib  ${flags} emit${lock} 32
81/${index}     ${name} Ev${rw} Iz  ${flags} emit${lock}
83/${index}     ${name} Ev${rw} Is  ${flags} emit${lock}`;
  })
  .join("");

const integer = `
06        PUSH_ES -         -         pushseg 32
07        POP_ES  -         -         popseg 32
0E        PUSH_CS -         -         pushseg 32
16        PUSH_SS -         -         pushseg 32
17        POP_SS  -         -         popseg 32
1E        PUSH_DS -         -         pushseg 32
1F        POP_DS  -         -         popseg 32
27        DAA     -         ac>szapc?o adjust 32
2F        DAS     -         ac>szapc?o adjust 32
37        AAA     -         a>ac?oszp  adjust 32
3F        AAS     -         a>ac?oszp  adjust 32
40+       INC     Zv*       oszap     incdec 32
48+       DEC     Zv*       oszap     incdec 32
50+       PUSH    Zv        -         push
58+       POP     Zv=       -         pop
60        PUSHA   -         -         pusha 32
61        POPA    -         -         popa 32
63        MOVSXD  Gv= Ed    -         movsxd 64
68        PUSH    Iz        -         push
69        IMUL    Gv= Ev Iz oc?szap   mulmend
6A        PUSH    Is        -         push
6B        IMUL    Gv= Ev Is oc?szap   mulmend
6C        INS     -         d>        string
6D        INS     -         d>        string
6E        OUTS    -         d>        string
6F        OUTS    -         d>        string
84        TEST    Eb Gb     oszpc?a   emit
85        TEST    Ev Gv     oszpc?a   emit
86        XCHG    Eb* Gb*   -         emit L
87        XCHG    Ev* Gv*   -         emit L
88        MOV     Eb= Gb    -         emit
89        MOV     Ev= Gv    -         emit
8A        MOV     Gb= Eb    -         emit
8B        MOV     Gv= Ev    -         emit
8C        MOV     Ew= Sw    -         movfromseg
8D        LEA     Gv= Mv    -         lea
8E        MOV     Sw= Ew    -         movtoseg
8F/0      POP     Ev=       -         popmem
90+       XCHG    Zv* Av*   -         xchgacc
98        CBW     Av*       -         extend
99        CWD     Av        -         extend
9A        CALLF   -         -         far 32
9B        FWAIT   -         -         fwait
9C        PUSHF   -         oszapcd>  pushf
9D        POPF    -         oszapcd   popf
9E        SAHF    -         szapc     sahf
9F        LAHF    -         szapc>    lahf
A0        MOV     Ab= Ob    -         moffs
A1        MOV     Av= Ov    -         moffs
A2        MOV     Ob= Ab    -         moffs
A3        MOV     Ov= Av    -         moffs
A4        MOVS    -         d>        string
A5        MOVS    -         d>        string
A6        CMPS    -         d>oszapc  string
A7        CMPS    -         d>oszapc  string
A8        TEST    Ab Ib     oszpc?a   accumulator
A9        TEST    Av Iz     oszpc?a   accumulator
AA        STOS    -         d>        string
AB        STOS    -         d>        string
AC        LODS    -         d>        string
AD        LODS    -         d>        string
AE        SCAS    -         d>oszapc  string
AF        SCAS    -         d>oszapc  string
B0+       MOV     Zb= Ib    -         movimm
B8+       MOV     Zv= Iv    -         movimm
C2        RET     Iw        -         ret
C3        RET     -         -         ret
C4        LES     Gv= Mv    -         loadfar 32
C5        LDS     Gv= Mv    -         loadfar 32
C6/0      MOV     Eb= Ib    -         emit
C7/0      MOV     Ev= Iz    -         emit
C8        ENTER   Iw Ib     -         enter
C9        LEAVE   -         -         leave
CA        RETF    Iw        -         far
CB        RETF    -         -         far
CC        INT3    -         -         int
CD        INT     Ib        -         int
CE        INTO    -         o>        int 32
CF        IRET    -         oszapcd   far
D4        AAM     Ib        szp?oac   adjust 32
D5        AAD     Ib        szp?oac   adjust 32
D6        SALC    -         c>        adjust 32
D7        XLAT    -         -         xlat
E0        LOOPNE  Jb        z>        loop
E1        LOOPE   Jb        z>        loop
E2        LOOP    Jb        -         loop
E3        JCXZ    Jb        -         loop
E4        IN      Ib        -         port
E5        IN      Ib        -         port
E6        OUT     Ib        -         port
E7        OUT     Ib        -         port
E8        CALL    Jz        -         call
E9        JMP     Jz        -         jmp
EA        JMPF    -         -         far 32
EB        JMP     Jb        -         jmp
EC        IN      -         -         port
ED        IN      -         -         port
EE        OUT     -         -         port
EF        OUT     -         -         port
F1        INT1    -         -         int
F4        HLT     -         -         hlt
F5        CMC     -         c>c       bare
F6/0      TEST    Eb Ib     oszpc?a   emit
F6/1      TEST    Eb Ib     oszpc?a   emit
F6/2      NOT     Eb*       -         emit L
F6/3      NEG     Eb*       oszapc    emit L
F6/4      MUL     Eb        oc?szap   mul
F6/5      IMUL    Eb        oc?szap   mul
F6/6      DIV     Eb        ?oszapc   div
F6/7      IDIV    Eb        ?oszapc   div
F7/0      TEST    Ev Iz     oszpc?a   emit
F7/1      TEST    Ev Iz     oszpc?a   emit
F7/2      NOT     Ev*       -         emit L
F7/3      NEG     Ev*       oszapc    emit L
F7/4      MUL     Ev        oc?szap   mul
F7/5      IMUL    Ev        oc?szap   mul
F7/6      DIV     Ev        ?oszapc   div
F7/7      IDIV    Ev        ?oszapc   div
F8        CLC     -         c         bare
F9        STC     -         c         bare
FA        CLI     -         -         cli
FB        STI     -         -         sti
FC        CLD     -         d         cld
FD        STD     -         d         cld
FE/0      INC     Eb*       oszap     emit L
FE/1      DEC     Eb*       oszap     emit L
FF/0      INC     Ev*       oszap     emit L
FF/1      DEC     Ev*       oszap     emit L
FF/2      CALL    Ev        -         callind
FF/3      CALLF   Mv        -         far
FF/4      JMP     Ev        -         jmpind
FF/5      JMPF    Mv        -         far
FF/6      PUSH    Ev        -         pushmem
0F00/0    SLDT    Ew=       -         system
0F00/1    STR     Ew=       -         system
0F00/2    LLDT    Ew        -         system
0F00/3    LTR     Ew        -         system
0F00/4    VERR    Ew        z         system
0F00/5    VERW    Ew        z         system
0F01/0:m  SGDT    Mw=       -         system
0F01/1:m  SIDT    Mw=       -         system
0F01/2:m  LGDT    Mw        -         system
0F01/3:m  LIDT    Mw        -         system
0F01/4    SMSW    Ew=       -         system
0F01/6    LMSW    Ew        -         system
0F01/7:m  INVLPG  Mb        -         system
0F01/1:r.2 CLAC   -         -         system
0F01/1:r.3 STAC   -         -         system
0F01/7:r.0 SWAPGS -         -         swapgs 64
0F01/7:r.1 RDTSCP -         -         rdtsc
0F02      LAR     Gv* Ew    z         system
0F03      LSL     Gv* Ew    z         system
0F05      SYSCALL -         oszapcd>  syscall
0F06      CLTS    -         -         system
0F07      SYSRET  -         oszapcd   sysret
0F08      INVD    -         -         system
0F09      WBINVD  -         -         system
0F0B      UD2     -         -         ud
0F0D:m    PREFETCHW Mb      -         nop
0F18      PREFETCH Eb       -         nop
0F19      NOP     Ev        -         nop
0F1A      NOP     Ev        -         nop
0F1B      NOP     Ev        -         nop
0F1C      NOP     Ev        -         nop
0F1D      NOP     Ev        -         nop
0F1E      NOP     Ev        -         nop
0F1F      NOP     Ev        -         nop
0F20      MOV     Rq= Cq    -         control
0F21      MOV     Rq= Dq    -         control
0F22      MOV     Cq= Rq    -         control
0F23      MOV     Dq= Rq    -         control
0F30      WRMSR   -         -         system
0F31      RDTSC   -         -         rdtsc
0F32      RDMSR   -         -         system
0FA0      PUSH_FS -         -         pushseg
0FA1      POP_FS  -         -         popseg
0FA2      CPUID   -         -         system
0FA3      BT      Ev Gv     c         bt
0FA4      SHLD    Ev* Gv Ib oszapc    doubleshift
0FA5      SHLD    Ev* Gv    oszapc    doubleshift
0FA8      PUSH_GS -         -         pushseg
0FA9      POP_GS  -         -         popseg
0FAB      BTS     Ev* Gv    c         bt L
0FAC      SHRD    Ev* Gv Ib oszapc    doubleshift
0FAD      SHRD    Ev* Gv    oszapc    doubleshift
0FAF      IMUL    Gv* Ev    oc?szap   mulmend
0FB0      CMPXCHG Eb* Gb    oszapc    cmpxchg L
0FB1      CMPXCHG Ev* Gv    oszapc    cmpxchg L
0FB2      LSS     Gv= Mv    -         loadfar
0FB3      BTR     Ev* Gv    c         bt L
0FB4      LFS     Gv= Mv    -         loadfar
0FB5      LGS     Gv= Mv    -         loadfar
0FB6      MOVZX   Gv= Eb    -         emit
0FB7      MOVZX   Gv= Ew    -         emit
0FBA/4    BT      Ev Ib     c         emit
0FBA/5    BTS     Ev* Ib    c         emit L
0FBA/6    BTR     Ev* Ib    c         emit L
0FBA/7    BTC     Ev* Ib    c         emit L
0FBB      BTC     Ev* Gv    c         bt L
0FBC      BSF     Gv* Ev    z?osapc   scan
0FBD      BSR     Gv* Ev    z?osapc   scan
0FBE      MOVSX   Gv= Eb    -         emit
0FBF      MOVSX   Gv= Ew    -         emit
0FC0      XADD    Eb* Gb*   oszapc    emit L
0FC1      XADD    Ev* Gv*   oszapc    emit L
NP0FC3    MOVNTI  My= Gy    -         emit
0FC7/1:m  CMPXCHG8B Mq*     z         cmpxchg8b L
0FC8+     BSWAP   Zv*       -         bswap
F30FAE/0:r RDFSBASE Ry=     -         fsgsbase 64
F30FAE/1:r RDGSBASE Ry=     -         fsgsbase 64
F30FAE/2:r WRFSBASE Ry      -         fsgsbase 64
F30FAE/3:r WRGSBASE Ry      -         fsgsbase 64
NP0FAE/0:m FXSAVE  Mb=      -         fxsave
NP0FAE/1:m FXRSTOR Mb       -         fxsave
NP0FAE/2:m LDMXCSR Md       -         mxcsr
NP0FAE/3:m STMXCSR Md=      -         mxcsr
NP0FAE/5:r LFENCE -         -         nop
NP0FAE/6:r MFENCE -         -         nop
NP0FAE/7:r SFENCE -         -         nop
NP0FAE/7:m CLFLUSH Mb        -         clflush
`;

/** Conditions in the order of their numbers (SDM vol. 2, appendix B.1.4), with the flags that they read. */
const conditions = ["o", "o", "c", "c", "z", "z", "zc", "zc", "s", "s", "p", "p", "so", "so", "zso", "zso"];
const conditional = conditions
  .map((flags, condition) => {
    const digit = condition.toString(16);
    return `
7${digit}     J${digit}      Jb        ${flags}>   jcc
0F8${digit}   J${digit}      Jz        ${flags}>   jcc
0F4${digit}   CMOV${digit}   Gv* Ev    ${flags}>   emit
0F9${digit}   SET${digit}    Eb=       ${flags}>   emit`;
  })
  .join("");

/**
 * Shifts and rotates: ModRM.reg of C0, C1 (by Ib), D0, D1 (by 1), D2, D3 (by CL). /6 is an alias of SHL that processors
 * accept.
 */
const shifts = [
  ["ROL", "oc"],
  ["ROR", "oc"],
  ["RCL", "c>oc"],
  ["RCR", "c>oc"],
  ["SHL", "oszpc?a"],
  ["SHR", "oszpc?a"],
  ["SHL", "oszpc?a"],
  ["SAR", "oszpc?a"],
]
  .map(
    ([name, flags], reg) => `
C0/${reg}  ${name}  Eb* Ib  ${flags}  shift
C1/${reg}  ${name}  Ev* Ib  ${flags}  shift
D0/${reg}  ${name}  Eb*     ${flags}  shift
D1/${reg}  ${name}  Ev*     ${flags}  shift
D2/${reg}  ${name}  Eb*     ${flags}  shift
D3/${reg}  ${name}  Ev*     ${flags}  shift`,
  )
  .join("");

const sse = `
NP0F10    MOVUPS   Vo= Wu   - emit
660F10    MOVUPD   Vo= Wu   - emit
F30F10    MOVSS    Vd* Wd   - emit
F20F10    MOVSD    Vq* Wq   - emit
NP0F11    MOVUPS   Wu= Vo   - emit
660F11    MOVUPD   Wu= Vo   - emit
F30F11    MOVSS    Wd= Vd   - emit
F20F11    MOVSD    Wq= Vq   - emit
NP0F12    MOVLPS   Vq* Wq   - emit
660F12:m  MOVLPD   Vq* Mq   - emit
F30F12    MOVSLDUP Vo= Wo   - emit
F20F12    MOVDDUP  Vo= Wq   - emit
NP0F13:m  MOVLPS   Mq= Vq   - emit
660F13:m  MOVLPD   Mq= Vq   - emit
NP0F14    UNPCKLPS Vo* Wo   - emit
660F14    UNPCKLPD Vo* Wo   - emit
NP0F15    UNPCKHPS Vo* Wo   - emit
660F15    UNPCKHPD Vo* Wo   - emit
NP0F16    MOVHPS   Vq* Wq   - emit
660F16:m  MOVHPD   Vq* Mq   - emit
F30F16    MOVSHDUP Vo= Wo   - emit
NP0F17:m  MOVHPS   Mq= Vq   - emit
660F17:m  MOVHPD   Mq= Vq   - emit
NP0F28    MOVAPS   Vo= Wo   - emit
660F28    MOVAPD   Vo= Wo   - emit
NP0F29    MOVAPS   Wo= Vo   - emit
660F29    MOVAPD   Wo= Vo   - emit
NP0F2A    CVTPI2PS Vq* Qq   - mmx
660F2A    CVTPI2PD Vo= Qq   - mmx
F30F2A    CVTSI2SS Vd* Ey   - emit
F20F2A    CVTSI2SD Vq* Ey   - emit
NP0F2B:m  MOVNTPS  Mo= Vo   - emit
660F2B:m  MOVNTPD  Mo= Vo   - emit
NP0F2C    CVTTPS2PI Pq= Wq  - mmx
660F2C    CVTTPD2PI Pq= Wo  - mmx
F30F2C    CVTTSS2SI Gy= Wd  - emit
F20F2C    CVTTSD2SI Gy= Wq  - emit
NP0F2D    CVTPS2PI Pq= Wq   - mmx
660F2D    CVTPD2PI Pq= Wo   - mmx
F30F2D    CVTSS2SI Gy= Wd   - emit
F20F2D    CVTSD2SI Gy= Wq   - emit
NP0F2E    UCOMISS  Vd Wd    oszapc emit
660F2E    UCOMISD  Vq Wq    oszapc emit
NP0F2F    COMISS   Vd Wd    oszapc emit
660F2F    COMISD   Vq Wq    oszapc emit
NP0F50:r  MOVMSKPS Gd= Uo   - emit
660F50:r  MOVMSKPD Gd= Uo   - emit
NP0F52    RSQRTPS  Vo= Wo   - reciprocal
F30F52    RSQRTSS  Vd* Wd   - reciprocal
NP0F53    RCPPS    Vo= Wo   - reciprocal
F30F53    RCPSS    Vd* Wd   - reciprocal
NP0F5A    CVTPS2PD Vo= Wq   - emit
660F5A    CVTPD2PS Vo= Wo   - emit
F30F5A    CVTSS2SD Vq* Wd   - emit
F20F5A    CVTSD2SS Vd* Wq   - emit
NP0F5B    CVTDQ2PS Vo= Wo   - emit
660F5B    CVTPS2DQ Vo= Wo   - emit
F30F5B    CVTTPS2DQ Vo= Wo  - emit
660F6C    PUNPCKLQDQ Vo* Wo - emit
660F6D    PUNPCKHQDQ Vo* Wo - emit
NP0F6E    MOVD     Pq= Ey   - mmx
660F6E    MOVD     Vo= Ey   - emit
NP0F6F    MOVQ     Pq= Qq   - mmx
660F6F    MOVDQA   Vo= Wo   - emit
F30F6F    MOVDQU   Vo= Wu   - emit
NP0F70    PSHUFW   Pq= Qq Ib - mmx
660F70    PSHUFD   Vo= Wo Ib - emit
F30F70    PSHUFHW  Vo= Wo Ib - emit
F20F70    PSHUFLW  Vo= Wo Ib - emit
660F73/3:r PSRLDQ  Uo* Ib   - emit
660F73/7:r PSLLDQ  Uo* Ib   - emit
NP0F77    EMMS     -        - mmx
660F7C    HADDPD   Vo* Wo   - emit
F20F7C    HADDPS   Vo* Wo   - emit
660F7D    HSUBPD   Vo* Wo   - emit
F20F7D    HSUBPS   Vo* Wo   - emit
NP0F7E    MOVD     Ey= Pq   - mmx
660F7E    MOVD     Ey= Vo   - emit
F30F7E    MOVQ     Vo= Wq   - emit
NP0F7F    MOVQ     Qq= Pq   - mmx
660F7F    MOVDQA   Wo= Vo   - emit
F30F7F    MOVDQU   Wu= Vo   - emit
NP0FC2    CMPPS    Vo* Wo Ib - emit
660FC2    CMPPD    Vo* Wo Ib - emit
F30FC2    CMPSS    Vd* Wd Ib - emit
F20FC2    CMPSD    Vq* Wq Ib - emit
NP0FC4    PINSRW   Pq* Ew Ib - mmx
660FC4    PINSRW   Vo* Ew Ib - emit
NP0FC5:r  PEXTRW   Gd= Nq Ib - mmx
660FC5:r  PEXTRW   Gd= Uo Ib - emit
NP0FC6    SHUFPS   Vo* Wo Ib - emit
660FC6    SHUFPD   Vo* Wo Ib - emit
660FD0    ADDSUBPD Vo* Wo   - emit
F20FD0    ADDSUBPS Vo* Wo   - emit
660FD6    MOVQ     Wq= Vq   - emit
F30FD6:r  MOVQ2DQ  Vo= Nq   - mmx
F20FD6:r  MOVDQ2Q  Pq= Uo   - mmx
NP0FD7:r  PMOVMSKB Gd= Nq   - mmx
660FD7:r  PMOVMSKB Gd= Uo   - emit
660FE6    CVTTPD2DQ Vo= Wo  - emit
F30FE6    CVTDQ2PD Vo= Wq   - emit
F20FE6    CVTPD2DQ Vo= Wo   - emit
NP0FE7:m  MOVNTQ   Mq= Pq   - mmx
660FE7:m  MOVNTDQ  Mo= Vo   - emit
F20FF0:m  LDDQU    Vo= Mu   - emit
NP0FF7:r  MASKMOVQ Pq Nq    - maskmov
660FF7:r  MASKMOVDQU Vo Uo  - maskmov
`;

/** Packed and scalar arithmetic: one row each for PS, PD, SS, SD. */
const floating = ["51 SQRT =", "58 ADD *", "59 MUL *", "5C SUB *", "5D MIN *", "5E DIV *", "5F MAX *"]
  .map((line) => {
    const [opcode, name, access] = line.split(" ");
    return `
NP0F${opcode} ${name}PS Vo${access} Wo - emit
660F${opcode} ${name}PD Vo${access} Wo - emit
F30F${opcode} ${name}SS Vd* Wd - emit
F20F${opcode} ${name}SD Vq* Wq - emit`;
  })
  .join("");
const logical = ["54 AND", "55 ANDN", "56 OR", "57 XOR"]
  .map((line) => {
    const [opcode, name] = line.split(" ");
    return `
NP0F${opcode} ${name}PS Vo* Wo - emit
660F${opcode} ${name}PD Vo* Wo - emit`;
  })
  .join("");

/** MMX instructions that SSE2 also defines for XMM registers. */
const packed =
  `60 PUNPCKLBW d|61 PUNPCKLWD d|62 PUNPCKLDQ d|63 PACKSSWB|64 PCMPGTB|65 PCMPGTW|66 PCMPGTD|67 PACKUSWB|68 PUNPCKHBW|69 PUNPCKHWD
6A PUNPCKHDQ|6B PACKSSDW|74 PCMPEQB|75 PCMPEQW|76 PCMPEQD|D1 PSRLW|D2 PSRLD|D3 PSRLQ|D4 PADDQ|D5 PMULLW|D8 PSUBUSB|D9 PSUBUSW|DA PMINUB
DB PAND|DC PADDUSB|DD PADDUSW|DE PMAXUB|DF PANDN|E0 PAVGB|E1 PSRAW|E2 PSRAD|E3 PAVGW|E4 PMULHUW|E5 PMULHW|E8 PSUBSB|E9 PSUBSW|EA PMINSW
EB POR|EC PADDSB|ED PADDSW|EE PMAXSW|EF PXOR|F1 PSLLW|F2 PSLLD|F3 PSLLQ|F4 PMULUDQ|F5 PMADDWD|F6 PSADBW|F8 PSUBB|F9 PSUBW|FA PSUBD
FB PSUBQ|FC PADDB|FD PADDW|FE PADDD`
    .split(/[|\n]/)
    .map((line) => {
      const [opcode, name, size = "q"] = line.split(" ");
      return `
NP0F${opcode} ${name} Pq* Q${size} - mmx
660F${opcode} ${name} Vo* Wo - emit`;
    })
    .join("");
const packedShifts = [
  "71/2 PSRLW",
  "71/4 PSRAW",
  "71/6 PSLLW",
  "72/2 PSRLD",
  "72/4 PSRAD",
  "72/6 PSLLD",
  "73/2 PSRLQ",
  "73/6 PSLLQ",
]
  .map((line) => {
    const [opcode, name] = line.split(" ");
    return `
NP0F${opcode}:r ${name} Nq* Ib - mmx
660F${opcode}:r ${name} Uo* Ib - emit`;
  })
  .join("");

const x87 = `
D8:m      F       Md        - x87
D8:r      F       -         - x87
D9/0:m    FLD     Md        - x87
D9/2:m    FST     Md=       - x87
D9/3:m    FSTP    Md=       - x87
D9/4:m    FLDENV  Mb        - x87state
D9/5:m    FLDCW   Mw        - x87state
D9/6:m    FNSTENV Mb=       - x87state
D9/7:m    FNSTCW  Mw=       - x87state
D9/0:r    FLD     -         - x87
D9/1:r    FXCH    -         - x87
D9/2:r.0  FNOP    -         - x87
D9/3:r    FSTP    -         - x87
D9/4:r.0  FCHS    -         - x87
D9/4:r.1  FABS    -         - x87
D9/4:r.4  FTST    -         - x87
D9/4:r.5  FXAM    -         - x87
D9/5:r.0  FLD1    -         - x87
D9/5:r.1  FLDL2T  -         - x87
D9/5:r.2  FLDL2E  -         - x87
D9/5:r.3  FLDPI   -         - x87
D9/5:r.4  FLDLG2  -         - x87
D9/5:r.5  FLDLN2  -         - x87
D9/5:r.6  FLDZ    -         - x87
D9/6:r.0  F2XM1   -         - x87
D9/6:r.1  FYL2X   -         - x87
D9/6:r.2  FPTAN   -         - x87
D9/6:r.3  FPATAN  -         - x87
D9/6:r.4  FXTRACT -         - x87
D9/6:r.5  FPREM1  -         - x87
D9/6:r.6  FDECSTP -         - x87
D9/6:r.7  FINCSTP -         - x87
D9/7:r.0  FPREM   -         - x87
D9/7:r.1  FYL2XP1 -         - x87
D9/7:r.2  FSQRT   -         - x87
D9/7:r.3  FSINCOS -         - x87
D9/7:r.4  FRNDINT -         - x87
D9/7:r.5  FSCALE  -         - x87
D9/7:r.6  FSIN    -         - x87
D9/7:r.7  FCOS    -         - x87
DA:m      FI      Md        - x87
DA/0:r    FCMOVB  -         c> x87
DA/1:r    FCMOVE  -         z> x87
DA/2:r    FCMOVBE -         zc> x87
DA/3:r    FCMOVU  -         p> x87
DA/5:r.1  FUCOMPP -         - x87
DB/0:m    FILD    Md        - x87
DB/1:m    FISTTP  Md=       - x87
DB/2:m    FIST    Md=       - x87
DB/3:m    FISTP   Md=       - x87
DB/5:m    FLD     Mt        - x87
DB/7:m    FSTP    Mt=       - x87
DB/0:r    FCMOVNB -         c> x87
DB/1:r    FCMOVNE -         z> x87
DB/2:r    FCMOVNBE -        zc> x87
DB/3:r    FCMOVNU -         p> x87
DB/4:r.0  FNENI   -         - nop
DB/4:r.1  FNDISI  -         - nop
DB/4:r.2  FNCLEX  -         - x87
DB/4:r.3  FNINIT  -         - x87state
DB/4:r.4  FNSETPM -         - nop
DB/5:r    FUCOMI  -         oszapc x87
DB/6:r    FCOMI   -         oszapc x87
DC:m      F       Mq        - x87
DC:r      F       -         - x87
DD/0:m    FLD     Mq        - x87
DD/1:m    FISTTP  Mq=       - x87
DD/2:m    FST     Mq=       - x87
DD/3:m    FSTP    Mq=       - x87
DD/4:m    FRSTOR  Mb        - x87state
DD/6:m    FNSAVE  Mb=       - x87state
DD/7:m    FNSTSW  Mw=       - x87
DD/0:r    FFREE   -         - x87
DD/1:r    FXCH    -         - x87
DD/2:r    FST     -         - x87
DD/3:r    FSTP    -         - x87
DD/4:r    FUCOM   -         - x87
DD/5:r    FUCOMP  -         - x87
DE:m      FI      Mw        - x87
DE/0:r    FADDP   -         - x87
DE/1:r    FMULP   -         - x87
DE/2:r    FCOMP   -         - x87
DE/3:r.1  FCOMPP  -         - x87
DE/4:r    FSUBRP  -         - x87
DE/5:r    FSUBP   -         - x87
DE/6:r    FDIVRP  -         - x87
DE/7:r    FDIVP   -         - x87
DF/0:m    FILD    Mw        - x87
DF/1:m    FISTTP  Mw=       - x87
DF/2:m    FIST    Mw=       - x87
DF/3:m    FISTP   Mw=       - x87
DF/4:m    FBLD    Mt        - x87
DF/5:m    FILD    Mq        - x87
DF/6:m    FBSTP   Mt=       - x87
DF/7:m    FISTP   Mq=       - x87
DF/0:r    FFREEP  -         - x87
DF/1:r    FXCH    -         - x87
DF/2:r    FSTP    -         - x87
DF/3:r    FSTP    -         - x87
DF/4:r.0  FNSTSW  -         - fnstsw
DF/5:r    FUCOMIP -         oszapc x87
DF/6:r    FCOMIP  -         oszapc x87
`;

export const instructionTable = [
  arithmetic,
  integer,
  conditional,
  shifts,
  sse,
  floating,
  logical,
  packed,
  packedShifts,
  x87,
].join("");
