/** CLC, STC and CMC where the flags are saved and in the host at once: after an instruction that leaves them alone. */
import { expect, it } from "vitest";
import { describeEngines, Guest } from "./guest.ts";

const CODE = 0x10_0000;
const MEMORY = 0x20_1000;

describeEngines("the carry flag", () => {
  it.each([
    ["sbb rsi, rcx; cwde; cmc; mov eax, 0", "4819ce98f5b800000000f4", 0x207],
    ["mov dh, 221; stc; adc ch, [rsi]", "b6ddf9122ef4", 0x202],
    ["xor eax, eax; cwde; stc", "31c098f9f4", 0x247],
    ["stc; cwde; clc", "f998f8f4", 0x216],
  ])("%s", (_name, bytes, flags) => {
    const guest = new Guest();
    const { core } = guest;
    guest.engine.ram.set(Buffer.from(bytes, "hex"), CODE);
    guest.start(core, BigInt(CODE), { rflags: 0x216n });
    const state = core.save();
    core.restore({ ...state, gpr: { ...state.gpr, rsi: BigInt(MEMORY), rcx: 0n } });
    expect(core.run(100).reason).toBe("halt");
    expect(core.register("rflags").toString(16)).toBe(flags.toString(16));
    guest.close();
  });
});
