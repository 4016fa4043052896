/** Runs the cases of one seed on the host's processor and on an engine, and compares. */
import type { CreateEngine } from "../../../emulator/cpu/engine.ts";
import { Prng } from "../../../emulator/machine/prng.ts";
import { difference } from "./compare.ts";
import { Emulated } from "./emulated.ts";
import { type Case, Generator } from "./generate.ts";
import type { families } from "./instructions.ts";
import { isListed } from "./listed.ts";
import { Oracle } from "./oracle.ts";

const BATCH = 4096;

export interface Difference {
  /** Instructions without their operands. */
  readonly kind: string;
  /** The case, the difference, and the command to repeat it. */
  readonly text: string;
}

export class Campaign {
  constructor(
    private readonly createEngine: CreateEngine,
    private readonly seed: number,
  ) {}

  run(family: keyof typeof families, count: number): { cases: number; differences: Difference[]; listed: number } {
    const generator = new Generator(new Prng(this.seed, ["integer", "sse", "x87"].indexOf(family)));
    const contents = generator.contents();
    const oracle = new Oracle(contents);
    const emulated = new Emulated(this.createEngine, contents);
    const differences: Difference[] = [];
    let listed = 0;
    try {
      for (let done = 0; done < count; ) {
        const cases = Array.from({ length: Math.min(BATCH, count - done) }, () => generator.next(family));
        const native = oracle.run(cases);
        cases.forEach((one, index) => {
          const actual = emulated.run(one);
          const text = difference(one, native[index], actual);
          if (text === undefined) return;
          if (isListed(one, native[index], actual, text)) listed++;
          else
            differences.push({
              kind: one.text,
              text: `${text}\n  ${describe(one)} (case ${done + index} of seed ${this.seed}, ${family})`,
            });
        });
        done += cases.length;
      }
    } finally {
      oracle.close();
      emulated.close();
    }
    return { cases: count, differences, listed };
  }
}

function describe(one: Case): string {
  const registers = [...one.gpr].map((value) => value.toString(16)).join(" ");
  const fx = Buffer.from(one.fx);
  return `code ${Buffer.from(one.code).toString("hex")} gpr ${registers} flags ${one.rflags.toString(16)} fcw ${fx.readUInt16LE(0).toString(16)} fsw ${fx.readUInt16LE(2).toString(16)} mxcsr ${fx.readUInt32LE(24).toString(16)}`;
}
