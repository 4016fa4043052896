/**
 * Start-up self-test. Another build of the library may have other private offsets or call its helpers directly; that
 * must end in a clear message and not in a wrong result. A few instructions, in the PVH start state, use every offset
 * and every replaced helper that a kernel needs during boot; their effects are compared with the processor manual.
 */
import { TRANSLATION_BUFFER_BYTES } from "./instance.ts";
import type { Bus, CreateEngine } from "../engine.ts";
import { binding, RegisterId } from "./binding.ts";
import { UnicornUnavailable } from "./library.ts";
import type { UnicornCore } from "./core.ts";

/** 32-bit code, at address 0; the comments are the instructions. */
// biome-ignore format: one instruction a line
const PROGRAM = [
  0xb8, 0x00, 0x10, 0x00, 0x00, // mov eax, 0x1000
  0x0f, 0x22, 0xd8,             // mov cr3, eax
  0x0f, 0x01, 0x38,             // invlpg [eax]
  0x0f, 0xa2,                   // cpuid
  0xb9, 0x1b, 0x00, 0x00, 0x00, // mov ecx, 0x1b
  0x0f, 0x32,                   // rdmsr
  0x0f, 0x30,                   // wrmsr
  0x0f, 0x31,                   // rdtsc
  0xe6, 0x80,                   // out 0x80, al: asks for a stop
  0xa1, 0x00, 0x00, 0x00, 0xf0, // mov eax, [0xf0000000]
  0x0f, 0xa2,                   // cpuid
  0xfb,                         // sti
  0x90,                         // nop: the window opens behind it
  0xcd, 0x80,                   // int 0x80: the IDT is empty, so this ends in shutdown
];
/** At 0x100, for a breakpoint and a watchpoint. */
// biome-ignore format: one instruction a line
const WATCHED = [
  0xa1, 0x00, 0x20, 0x00, 0x00, // mov eax, [0x2000]
  0xa3, 0x01, 0x20, 0x00, 0x00, // mov [0x2001], eax
  0x90,                         // nop
];
const WATCHED_AT = 0x100;
/** At 0x200: lazy flags that the translator's own code computes when they are needed (DisasContext.cc_op). */
// biome-ignore format: one instruction a line
const LATE_FLAGS = [
  0xb8, 0x01, 0x00, 0x00, 0x00,             // mov eax, 1
  0x83, 0xf8, 0x02,                         // cmp eax, 2
  0x0f, 0x92, 0x05, 0x00, 0x30, 0x00, 0x00, // setc [0x3000]
  0x83, 0xf8, 0x01,                         // cmp eax, 1
  0x0f, 0x94, 0x05, 0x01, 0x30, 0x00, 0x00, // setz [0x3001]
  0x0f, 0x92, 0x05, 0x02, 0x30, 0x00, 0x00, // setc [0x3002]
  0x0f, 0x28, 0x05, 0x01, 0x20, 0x00, 0x00, // movaps xmm0, [0x2001]: not aligned, so this ends in shutdown
  0xf4,                                     // hlt
];
const LATE_FLAGS_AT = 0x200;
const CR4_OSFXSR = 0x200n;
const RAM_BYTES = 1 << 16;

/** Throws UnicornUnavailable. */
export function selfTest(create: CreateEngine): void {
  const seen: string[] = [];
  const bus: Bus = {
    readMemory: (core, address, size) => note(core.time, `read ${address.toString(16)} ${size}`, 0x5a5a_1234),
    writeMemory: () => {},
    readPort: () => 0,
    writePort: (core, port, size, value) => {
      note(core.time, `out ${port} ${size} ${value}`, 0);
      core.requestStop();
    },
    readMsr: (core, index) => BigInt(note(core.time, `rdmsr ${index}`, 7)),
    writeMsr: (core, index, value) => note(core.time, `wrmsr ${index} ${value}`, 1) === 1,
    cpuid: (core, leaf) => [note(core.time, `cpuid ${leaf.toString(16)}`, 1), 2, 3, 4],
    readTaskPriority: () => 0,
    writeTaskPriority: () => {},
  };
  function note(time: number, text: string, result: number): number {
    seen.push(`${time} ${text}`);
    return result;
  }

  const engine = create({ ramBytes: RAM_BYTES, cores: 1, bus });
  try {
    engine.ram.set(PROGRAM);
    const core = engine.cores[0] as UnicornCore;
    const expect = (what: string, actual: unknown, expected: unknown): void => {
      if (actual !== expected)
        throw new UnicornUnavailable(
          `this build of the library differs (self-test, ${what}: ${String(actual)} instead of ${String(expected)})`,
        );
    };
    core.startPvh(0, 0x5000);
    seen.length = 0;
    const word = new BigUint64Array(1);
    binding().readRegister(core.env.handle, RegisterId.RBX, word);
    expect("offset of RBX", word[0], 0x5000n);
    expect("CPUState", core.env.selfPointerHolds(), true);
    expect("list of breakpoints", core.env.breakpointListHolds(), true);
    core.time = 100;
    const first = core.run(1000);
    expect("soft stop", `${first.reason} ${first.retired}`, "stop 9");
    expect("control registers", core.cr3, 0x1000);
    expect("callbacks", seen.join(", "), "103 cpuid 1000, 105 rdmsr 27, 106 wrmsr 27 7, 108 out 128 1 107");
    const window = core.runToWindow(1000);
    expect("interrupt window", `${window.reason} ${window.retired} ${core.rip}`, `window 4 ${PROGRAM.length - 2}`);
    expect("device access", seen.slice(4).join(", "), "109 read f0000000 4, 110 cpuid 5a5a1234");
    const last = core.run(1000);
    expect("software interrupt", `${last.reason} ${last.retired}`, "shutdown 1");
    engine.ram.set(WATCHED, WATCHED_AT);
    core.startPvh(WATCHED_AT, 0);
    const anywhere = (address: number) => ({ virtual: BigInt(address), space: null });
    engine.addWatchpoint(anywhere(0x2002), 1, "write");
    engine.addBreakpoint(anywhere(WATCHED_AT + 10));
    const watched = core.run(1000);
    expect("watchpoint", `${watched.reason} ${watched.retired} ${watched.accessed?.virtual}`, `watchpoint 2 ${0x2002}`);
    const stopped = core.run(1000);
    expect("breakpoint", `${stopped.reason} ${stopped.retired} ${core.rip}`, `breakpoint 0 ${WATCHED_AT + 10}`);
    expect("passing a breakpoint", core.run(1).retired, 1);
    engine.ram.set(LATE_FLAGS, LATE_FLAGS_AT);
    core.startPvh(LATE_FLAGS_AT, 0);
    core.setRegister("cr4", CR4_OSFXSR);
    const late = core.run(1000);
    expect("late flags", engine.ram.subarray(0x3000, 0x3003).join(), "1,1,0");
    expect("alignment", `${late.reason} ${late.retired}`, "shutdown 6");
    const { translationSpace } = core.env;
    const plausible = translationSpace > TRANSLATION_BUFFER_BYTES / 2 && translationSpace < TRANSLATION_BUFFER_BYTES;
    expect("translation buffer", plausible, true);
  } finally {
    engine.close();
  }
}
