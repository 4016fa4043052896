/**
 * The instructions that end at a page's end, where the fetch of the next one faults: whatever they are, and however the
 * run is cut into pieces, a run retires no more than its budget, and the fault comes when the next one is due.
 */
import { expect, it } from "vitest";
import type { Core } from "../../emulator/cpu/engine.ts";
import { CODE, describeEngines, Guest, seeded, USER_DATA_PAGE } from "./guest.ts";

const PAGE = 4096;
/** A page of code, and what comes behind it. */
const LAST = 0x5000_0000;
const TOP = 0x7fff_ffff_f000n;
const FRAME = 0x30_0000;
const HANDLER = CODE + 0x800;
const HANDLER_RETIRES = 2;

/** Each retires once and goes on behind itself; RBX, RSI and RDI point to data. */
// biome-ignore format: one kind a line
const kinds: readonly (readonly [name: string, bytes: string, system?: true])[] = [
  ["nop", "90"],
  ["push sp", "6654"],
  ["push rax", "50"],
  ["pop rax", "58"],
  ["psubq xmm13, xmm11", "66450ffbeb"],
  ["psubq xmm5, xmm11", "66430ffbeb"],
  ["psubq mm1, mm2", "0ffbca"],
  ["add [rbx], eax", "0103"],
  ["lock add [rbx], eax", "f00103"],
  ["lock neg dword [rbx]", "f0f71b"],
  ["cmpxchg [rbx], ecx", "0fb10b"],
  ["cmpxchg ecx, edx", "0fb1d1"],
  ["cmpxchg16b [rbx]", "480fc70b"],
  ["setc [rbx]", "0f9203"],
  ["rcl dword [rbx], 1", "d113"],
  ["lahf with rex", "489f"],
  ["lahf", "9f"],
  ["sahf with rex", "489e"],
  ["rep bsf", "f30fbcc2"],
  ["rep bsr", "f30fbdc2"],
  ["mul rcx", "48f7e1"],
  ["movsb", "a4"],
  ["lodsq", "48ad"],
  ["fld1", "d9e8"],
  ["fadd", "d8c1"],
  ["fld tbyte [rbx]", "db2b"],
  ["fwait", "9b"],
  ["fnstsw ax", "dfe0"],
  ["fnsave [rbx]", "dd33"],
  ["fnstenv [rbx]", "d933"],
  ["addps xmm0, [rbx]", "0f5803"],
  ["divsd xmm1, xmm2", "f20f5eca"],
  ["cvtdq2pd xmm1, [rbx]", "f30fe60b"],
  ["movaps xmm1, [rbx]", "0f280b"],
  ["maskmovdqu", "660ff7c1"],
  ["fxsave [rbx]", "0fae03"],
  ["stmxcsr [rbx]", "0fae1b"],
  ["clflush [rbx]", "0fae3b"],
  ["mfence", "0faef0"],
  ["emms", "0f77"],
  ["pushfq", "9c"],
  ["jmp to the next", "eb00"],
  ["jz to the next", "7400"],
  ["cpuid", "0fa2"],
  ["rdtsc", "0f31"],
  ["mov ss, eax", "8ed0", true],
  ["sti", "fb", true],
  ["cli", "fa", true],
  ["mov rdx, cr0", "0f20c2", true],
  ["mov cr3, rbp", "0f22dd", true],
  ["invlpg [rbx]", "0f013b", true],
  ["mov rdx, dr7", "0f21fa", true],
  ["mov dr0, rdx", "0f23c2", true],
  ["lidt [r12]", "410f011c24", true],
  ["rdmsr", "0f32", true],
  ["rdfsbase rdx", "f3480faec2"],
  ["wrfsbase rdx", "f3480faed2"],
  ["out 0x80, al", "e680", true],
  ["in al, 0x80", "e480", true],
];

type Behind = readonly [name: string, user: boolean, top: boolean, entry: bigint];
const behinds: readonly Behind[] = [
  ["not present", false, false, 0n],
  ["not executable", false, false, (1n << 63n) | 0x31_0003n],
  ["a user page, with SMEP", false, false, 0x31_0007n],
  ["a supervisor page, for user code", true, false, 0x31_0003n],
  ["not canonical", false, true, 0n],
];

interface Program {
  readonly start: bigint;
  readonly core: Core;
  readonly guest: Guest;
  reset(bytes: Uint8Array): bigint;
}

function prepare([, user, top, entry]: Behind): Program {
  const guest = new Guest();
  const { core } = guest;
  const page = top ? TOP : BigInt(LAST);
  const rights = user ? 7n : 3n;
  guest.map(page, BigInt(FRAME) | rights);
  if (!top) guest.map(page + BigInt(PAGE), entry);
  guest.code(HANDLER, "nop; hlt");
  guest.gate(13, HANDLER);
  guest.gate(14, HANDLER);
  guest.engine.ram.fill(0x90, 0x31_0000, 0x31_1000);
  const reset = (bytes: Uint8Array): bigint => {
    const at = FRAME + PAGE - bytes.length;
    guest.engine.ram.fill(0xcc, FRAME, at);
    guest.engine.ram.set(bytes, at);
    guest.engine.invalidateCode(FRAME, PAGE);
    const rip = page + BigInt(PAGE - bytes.length);
    guest.start(core, rip, { user, cr4: 0x1_0620 | (user ? 0 : 0x10_0000) });
    const data = user ? BigInt(USER_DATA_PAGE + 0x1000) : 0x20_1000n;
    const { gpr } = core.save();
    const registers = {
      ...gpr,
      rbx: data,
      rsi: data + 0x100n,
      rdi: data + 0x200n,
      rbp: 0x1_0000n,
      rax: 0x10n,
      rcx: 0x10n,
    };
    guest.setQuad(0x20_3000, 0x0000_2000_0fffn);
    guest.setQuad(0x20_3008, 0n);
    core.restore({ ...core.save(), gpr: { ...registers, r12: 0x20_3000n }, time: 0 });
    return rip;
  };
  return { start: page, core, guest, reset };
}

const hexBytes = (text: string): number[] => [...Buffer.from(text, "hex")];

describeEngines("a fetch that faults behind a run's last instruction", () => {
  for (const behind of behinds) {
    it(`${behind[0]}: the count is exact`, () => {
      const { core, guest, reset } = prepare(behind);
      const random = seeded(11);
      // A branch to the end of the canonical addresses faults itself (checks/guest/system.ts).
      const branches = behind[2] ? ["jmp to the next", "jz to the next"] : [];
      const usable = kinds.filter(([name, , system]) => !(behind[1] && system) && !branches.includes(name));
      const plain = usable.filter(([name]) => name !== "cpuid"); // it writes RBX
      for (const [index, last] of usable.entries()) {
        const before = [0, 1].map(() => plain[random(plain.length)]);
        const chosen = [...before, last];
        const encoded = chosen.map(([, bytes]) => hexBytes(bytes));
        const name = `${index} ${chosen.map(([text]) => text).join("; ")}`;
        const bytes = Uint8Array.from(encoded.flat());
        // By one: each ends where it should.
        let rip = reset(bytes);
        for (const one of encoded) {
          rip += BigInt(one.length);
          expect(`${name}: ${JSON.stringify(core.run(1))} ${core.rip.toString(16)}`).toBe(
            `${name}: {"reason":"budget","retired":1} ${rip.toString(16)}`,
          );
        }
        // Then the fault, and the first instruction of its handler.
        expect(`${name}: ${core.run(1).retired} ${core.rip.toString(16)}`).toBe(
          `${name}: 1 ${(HANDLER + 1).toString(16)}`,
        );
        const whole = chosen.length + HANDLER_RETIRES;
        for (const piece of [2, 3, 4, 0]) {
          reset(bytes);
          let retired = 0;
          for (let reason = "budget"; reason === "budget"; ) {
            const budget = piece || 1 + random(4);
            const result = core.run(budget);
            ({ reason } = result);
            expect(`${name}, by ${piece}: ${result.retired <= budget}`).toBe(`${name}, by ${piece}: true`);
            if (reason === "budget") expect(`${name}: ${result.retired}`).toBe(`${name}: ${budget}`);
            retired += result.retired;
            const at = Math.min(retired, encoded.length);
            const expected =
              retired <= encoded.length
                ? rip - BigInt(encoded.slice(at).reduce((sum, { length }) => sum + length, 0))
                : BigInt(HANDLER + retired - encoded.length);
            expect(`${name}, by ${piece}: ${core.rip.toString(16)}`).toBe(
              `${name}, by ${piece}: ${expected.toString(16)}`,
            );
          }
          expect(`${name}: ${retired} ${core.time}`).toBe(`${name}: ${whole} ${whole}`);
        }
      }
      guest.close();
    });

    it(`${behind[0]}: an instruction that straddles faults itself`, () => {
      const { core, guest, reset } = prepare(behind);
      for (const [name, text, system] of kinds) {
        const bytes = hexBytes(text);
        if (bytes.length === 1 || (behind[1] && system)) continue;
        for (let inside = 1; inside < bytes.length; inside++) {
          for (const piece of [1, 2, 100]) {
            const start = reset(Uint8Array.from([0x90, ...bytes.slice(0, inside)]));
            let retired = 0;
            for (let reason = "budget"; reason === "budget"; ) {
              const result = core.run(piece);
              ({ reason } = result);
              retired += result.retired;
              expect(result.retired).toBeLessThanOrEqual(piece);
            }
            const where = guest.quad(Number(core.register("rsp")) + 8);
            const cr2 = behind[2] ? 0n : BigInt(LAST + PAGE);
            expect(`${name} ${inside} ${piece}: ${retired} ${where.toString(16)} ${core.register("cr2")}`).toBe(
              `${name} ${inside} ${piece}: 3 ${(start + 1n).toString(16)} ${cr2}`,
            );
          }
        }
      }
      guest.close();
    });
  }
});
