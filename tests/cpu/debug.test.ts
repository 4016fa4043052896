/**
 * Breakpoints by the debug registers between runs: what is pending at the end of a run (RF, a trap that a load of SS
 * holds back, the iterations of a string instruction) is a part of the core's state. What they do is checked against
 * the manual and QEMU in tests/cpu/checks (family debug).
 */
import { expect, it } from "vitest";
import { CODE, describeEngines, fingerprint, Guest, seeded } from "./guest.ts";

const DATA = 0x20_0000;
const LOG = 0x21_0000;
/**
 * The handler logs RIP, DR6, RFLAGS and RCX, and returns with RF set. Breakpoints: DR0 execution, DR1 writes, DR2
 * accesses, DR3 port 0x80.
 */
const PROGRAM = `
  start: mov rbp, ${LOG}; mov rbx, ${DATA}; lea rax, [rip + site]; mov dr0, rax; lea rax, [rbx + 16]; mov dr1, rax
    lea rax, [rbx + 32]; mov dr2, rax; mov eax, 0x80; mov dr3, rax; mov rax, cr4; or eax, 8; mov cr4, rax
    mov eax, 0x27d00055; mov dr7, rax; mov qword ptr [rbx + 32], 0x10; mov r12d, 2
  site: mov eax, 7; mov [rbx + 16], eax; mov rdi, rbx; mov ecx, 24; rep stosb; mov ss, [rbx + 32]; nop
    out 0x80, al; lea rax, [rip + again]; mov dr0, rax; mov ecx, 3; lea rdi, [rbx + 64]
  again: rep stosb; lea rax, [rip + site]; mov dr0, rax; mov qword ptr [rbx + 32], 0x10; dec r12d; jnz site
    mov eax, 0x400; mov dr7, rax; mov [rbx + 16], eax; hlt
  db: push rax; mov rax, [rsp + 8]; mov [rbp], rax; mov rax, dr6; mov [rbp + 8], rax; mov rax, [rsp + 24]
    mov [rbp + 16], rax; mov [rbp + 24], rcx; add rbp, 32; mov eax, 0xffff0ff0; mov dr6, rax
    or dword ptr [rsp + 24], 0x10000; pop rax; iretq
`;

function prepare(): Guest {
  const guest = new Guest();
  const at = guest.code(CODE, PROGRAM);
  guest.gate(1, at("db"));
  guest.start(guest.core, at("start"));
  return guest;
}

function finish(piece: () => number, moves: boolean): { text: string; log: bigint[] } {
  let guest = prepare();
  let runs = 0;
  for (let reason = "budget"; reason !== "halt"; ) {
    const result = guest.core.run(piece());
    ({ reason } = result);
    expect(["budget", "halt"]).toContain(reason);
    if (!moves || runs++ % 8) continue;
    const next = prepare();
    next.engine.ram.set(guest.engine.ram);
    next.core.restore(guest.core.save());
    guest.close();
    guest = next;
  }
  const log = Array.from({ length: 40 }, (_, index) => guest.quad(LOG + 8 * index));
  const text = fingerprint(guest.engine);
  guest.close();
  return { text, log };
}

describeEngines("debug registers between runs", () => {
  it("traps come where they should, in runs of any length, saved and restored between them", () => {
    const whole = finish(() => 1_000_000, false);
    // The word of MOV SS, written; then the site, its write, four bytes of the string, MOV SS one later, the port.
    expect(whole.log.filter((_, index) => index % 4 === 1).slice(0, 9)).toEqual(
      [4, 1, 2, 2, 2, 2, 2, 4, 8].map((bits) => 0xffff_0ff0n | BigInt(bits)),
    );
    const random = seeded(7);
    for (const [piece, moves] of [
      [() => 1, false],
      [() => 2, false],
      [() => 3, true],
      [() => 1 + random(9), true],
    ] as const)
      expect(finish(piece, moves)).toEqual(whole);
  });
});
