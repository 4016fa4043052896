/**
 * Known deviations of a machine from the manual: one row per difference, with the reason. `check` is the line's name,
 * or a RegExp for several; `gives` is the rest of the line there. An unlisted difference fails the test, and so does a
 * row that matches nothing.
 */
export interface KnownDifference {
  readonly family: string;
  readonly check: string | RegExp;
  /** "both": Unicorn and QEMU. */
  readonly where: "unicorn" | "native" | "qemu" | "both";
  /** Start of the text after `check: `. */
  readonly gives: string;
  readonly reason: string;
}

const TCG = "QEMU's translator, which Unicorn carries, does not do it";
const VECTOR_16 = "QEMU 7.2 makes the error code of an IDT fault in long mode with 16 × vector";
const NO_EXT = "QEMU does not set EXT for a fault met while an exception is delivered";
const NO_P = "QEMU leaves P out of the error code of a reserved bit";
const UNCHECKED = "QEMU does not check the value";
const NEAR = "a near branch is finished first; the fault is the target's";
const DIRECT = "a direct branch across the end of the canonical addresses: the fault is the target's";
const FAR = "a far return or IRETQ is finished first; the fault is the target's";

// biome-ignore format: a table
export const knownDifferences: readonly KnownDifference[] = [
  // ---- QEMU's, and some also Unicorn's
  { family: "faults",   check: /stack not canonical$/,                     where: "qemu", gives: "#GP e=0 rip=ok", reason: "#GP instead of #SS for the stack segment: the translator does not tell the segment" },
  { family: "faults",   check: "misaligned am ac",                         where: "qemu", gives: "done",           reason: `#AC: ${TCG}` },
  { family: "faults",   check: /^sse divide by zero/,                      where: "qemu", gives: "done",           reason: `unmasked SSE exceptions: ${TCG}` },
  { family: "faults",   check: /icebp$/,                                   where: "qemu", gives: "#UD rip=ok",     reason: `INT1 (F1): ${TCG}` },
  { family: "paging",   check: /of a missing page$/,                       where: "qemu", gives: "#PF e=4",        reason: "a read-modify-write reads first, and faults as a read" },
  { family: "syscall",  check: "sysretq, many flags",                      where: "qemu", gives: "#GP e=0 rip=elsewhere", reason: "QEMU takes VM from R11" },
  { family: "syscall",  check: "sysretq, many flags / rf, vm and reserved bits are not taken", where: "qemu", gives: "found 274ed7", reason: "as above" },
  { family: "syscall",  check: "wrgsbase not canonical",                   where: "qemu", gives: "done",           reason: `WRFSBASE, WRGSBASE check no address: ${TCG}` },
  { family: "segments", check: "ss null, rpl 3 at cpl 0",                  where: "qemu", gives: "done",           reason: `RPL of a null SS: ${TCG}` },
  { family: "segments", check: "ltr null",                                 where: "qemu", gives: "done",           reason: `LTR with a null selector: ${TCG}` },
  { family: "segments", check: /^(lretq, cs with l and d|ljmp l and d)$/,  where: "qemu", gives: "done",           reason: `L and D together in far transfers: ${TCG}` },
  { family: "segments", check: /^lretq to ring 3, ss not present$/, where: "qemu", gives: "#NP e=68 rip=ok", reason: "#NP instead of #SS for a stack segment that is not present" },
  { family: "segments", check: /^iretq to ring 3, ss not present$/, where: "both", gives: "#NP e=68 rip=ok", reason: "#NP instead of #SS for a stack segment that is not present" },
  { family: "segments", check: /^lretq, rip not canonical$/,       where: "qemu", gives: "#GP e=0 rip=elsewhere", reason: FAR },
  { family: "segments", check: /^iretq, rip not canonical$/,       where: "both", gives: "#GP e=0 rip=elsewhere", reason: FAR },
  { family: "system",   check: /beyond the end/,                           where: "qemu", gives: "#GP e=0 rip=elsewhere", reason: DIRECT },
  // ---- QEMU's only
  { family: "system",   check: /^(lgdt|lidt|ltr|lldt), base not canonical/, where: "qemu", gives: "done",          reason: UNCHECKED },
  { family: "system",   check: /reserved bit of mxcsr/,                    where: "qemu", gives: "done",           reason: UNCHECKED },
  { family: "system",   check: /^cpl. (jmp|call|ret)\b.*not canonical( \(2\))?$/, where: "qemu", gives: "#GP e=0 rip=elsewhere", reason: NEAR },
  { family: "system",   check: /^cpl. (call|ret).* rsp stays$/,            where: "qemu", gives: "found ",         reason: NEAR },
  { family: "system",   check: /^(rdmsr|wrmsr) (unknown|apic base, )/,     where: "qemu", gives: "done",           reason: UNCHECKED },
  { family: "system",   check: "the window, disabled",                     where: "qemu", gives: "found 50014",    reason: "QEMU leaves the registers of a disabled APIC readable" },
  { family: "faults",   check: /int, (gate of dpl 0|gate not present|beyond the idt)$/, where: "qemu", gives: "#",    reason: VECTOR_16 },
  { family: "faults",   check: "cpl0 lock mov",                            where: "qemu", gives: "done",           reason: "QEMU takes LOCK before MOV" },
  { family: "faults",   check: "ldmxcsr reserved",                         where: "qemu", gives: "done",           reason: UNCHECKED },
  { family: "faults",   check: /^(mov cr8 beyond 15|wrmsr .*|rdmsr unknown)$/, where: "qemu", gives: "done",       reason: UNCHECKED },
  { family: "nested",   check: "cpl0 ud2, ist1 / handler's ss stays",      where: "qemu", gives: "found 0",        reason: "QEMU makes SS null with every IST" },
  { family: "nested",   check: "interrupt gate / pushed flags, rf",        where: "qemu", gives: "found 4602",     reason: "QEMU pushes no RF" },
  { family: "nested",   check: "int, gate's offset not canonical",         where: "qemu", gives: "#GP e=0 rip=elsewhere", reason: UNCHECKED },
  { family: "nested",   check: /^int, (task|16-bit) gate$/,                where: "qemu", gives: "#GP e=822",      reason: VECTOR_16 },
  { family: "nested",   check: /^(ud2, gate('s selector null| to absent code| to data| not present)|ud then np)$/, where: "qemu", gives: "#", reason: `${NO_EXT}; ${VECTOR_16}` },
  { family: "paging",   check: /(bit (51|40|7|13), cpl|^nxe off, no-execute set)/, where: "qemu", gives: "#PF",     reason: NO_P },
  { family: "debug",    check: /^rep stosb with rf( \/ dr6)?$/,              where: "qemu", gives: "",               reason: "QEMU drops RF after the first iteration" },
  { family: "debug",    check: /^rep stosb, the third byte \/ rf$/,         where: "qemu", gives: "found 0",        reason: "QEMU pushes no RF between iterations" },
  { family: "debug",    check: "rep stosb, the last byte",                 where: "qemu", gives: "#DB rip=-2",     reason: "the test that ends a repeated instruction is one more there" },
  { family: "debug",    check: /^execute, behind mov ss( \/ dr6)?$/,        where: "qemu", gives: "",               reason: `a load of SS holds no breakpoint back: ${TCG}` },
  { family: "debug",    check: "mov ss from watched memory",               where: "qemu", gives: "#DB rip=-1",     reason: `a load of SS holds no breakpoint back: ${TCG}` },
  { family: "debug",    check: /low bits? ignored( \/ dr6)?$/,              where: "qemu", gives: "",               reason: "QEMU takes the address of a breakpoint as it stands" },
  { family: "debug",    check: /^misaligned read, behind( \/ dr6)?$/,       where: "qemu", gives: "",               reason: "QEMU reads two aligned words instead of a misaligned one" },
  { family: "debug",    check: "three at once / dr6",                      where: "qemu", gives: "found ffff0ff1", reason: "QEMU reports the first breakpoint of an instruction" },
  { family: "debug",    check: "a write and a step",                       where: "qemu", gives: "#DB rip=elsewhere", reason: "QEMU reports step and breakpoint one after the other" },
  { family: "debug",    check: "an instruction that faults / rf",          where: "qemu", gives: "found 0",        reason: "QEMU pushes no RF" },
  { family: "debug",    check: "dr6 is not cleared / dr6",                 where: "qemu", gives: "found ffff0ff1", reason: "QEMU clears the breakpoint bits of DR6" },
  { family: "debug",    check: /^out, without de( \/ dr6)?$/,               where: "qemu", gives: "",               reason: "QEMU looks at port breakpoints whatever CR4.DE is" },
  { family: "debug",    check: /^gd, mov (from|to) dr\d( \/ .*)?$/,         where: "qemu", gives: "",               reason: `DR7.GD: ${TCG}` },
  { family: "debug",    check: "int1",                                     where: "qemu", gives: "#UD rip=ok",     reason: `INT1 (F1): ${TCG}` },
  { family: "syscall",  check: "cpl3 syscall, masked / rflags",            where: "qemu", gives: "found 2",        reason: "QEMU loses the status flags in SYSCALL" },
];

/**
 * Checks that QEMU does not survive: it accepts the value and switches to the resulting mode. Their run has the variant
 * `q`.
 */
export const notOnQemu: ReadonlySet<string> = new Set([
  "mov cr0 high half",
  "mov cr0 pg without pe",
  "mov cr0 nw without cd",
  "mov cr0 pg off in 64-bit code",
  "mov cr4 pae off",
  "mov cr4 reserved",
]);
