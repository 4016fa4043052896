/**
 * A run that ends before an instruction leaves no trace of it: its page is not looked up, whether the branch to it has
 * been executed before or not. So what comes between two runs (an interrupt) meets the same TLB and accessed bits.
 */
import { describe, expect, it } from "vitest";
import { createNativeEngine } from "../../emulator/cpu/native/engine.ts";
import { skipReason } from "../engine.ts";
import { CODE, Guest } from "./guest.ts";

const FRAME = 0x30_0000;
const OTHER = 0x4000_0000;
const relative = OTHER - CODE - 5;
const bytes = [0xe9, ...[0, 8, 16, 24].map((bit) => (relative >> bit) & 0xff)];
const ENTRIES = { direct: "", indirect: `mov rax, ${OTHER}; jmp rax`, "by return": `push ${OTHER}; ret` };

describe.skipIf(skipReason("tests/cpu/budget", createNativeEngine))(
  "the page of an instruction that the budget does not cover",
  () => {
    for (const [how, code] of Object.entries(ENTRIES))
      it(`a branch, ${how}`, () => {
        const guest = new Guest({ create: createNativeEngine });
        const entry = guest.map(BigInt(OTHER), BigInt(FRAME) | 3n);
        if (code === "") guest.engine.ram.set(bytes, CODE);
        else guest.code(CODE, code);
        guest.code(FRAME, "inc rbx; hlt");
        const isKnown = (): boolean =>
          guest.core.save().tlb.some(({ virtual }) => virtual === BigInt(OTHER)) || (guest.quad(entry) & 0x20n) !== 0n;
        const instructions = code.split(";").length;
        // Not translated yet; translated; linked.
        for (let time = 0; time < 3; time++) {
          guest.start(guest.core, CODE);
          const state = guest.core.save();
          guest.core.restore({ ...state, tlb: [] });
          guest.setQuad(entry, BigInt(FRAME) | 3n);
          expect(guest.core.run(instructions)).toEqual({ reason: "budget", retired: instructions });
          expect(guest.core.rip).toBe(BigInt(OTHER));
          expect(isKnown(), `time ${time}`).toBe(false);
          guest.core.run(1);
          expect(isKnown()).toBe(true);
        }
        guest.close();
      });
  },
);
