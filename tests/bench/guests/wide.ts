/**
 * Wide code: 57,000 different instructions in 2,000 functions, executed ITERATIONS times. Its speed depends on how a
 * translator handles rarely executed code and how it stores translations. Registers and memory as in start.s; data from
 * RSI on.
 */
import { Prng } from "../../../emulator/machine/prng.ts";

const FUNCTIONS = 2000;
const BLOCKS = 3;
const SEED = 42;
const REGISTERS = ["ax", "dx", "cx", "bx"] as const;

/** The assembly of `body`, identical in every run. */
export function wideBody(): string {
  const prng = new Prng(SEED);
  const register = (width: 32 | 64): string => `${width === 64 ? "r" : "e"}${REGISTERS[prng.below(REGISTERS.length)]}`;
  const memory = (): string => `[rsi + ${prng.below(500) * 8}]`;
  const forms: readonly (() => string)[] = [
    () => `add ${register(64)}, ${register(64)}`,
    () => `sub ${register(32)}, ${register(32)}`,
    () => `xor ${register(64)}, ${register(64)}`,
    () => `lea ${register(64)}, [${register(64)} + ${register(64)} * 4 + ${prng.below(1000)}]`,
    () => `mov ${register(64)}, ${memory()}`,
    () => `mov ${memory()}, ${register(64)}`,
    () => `mov ${register(32)}, ${memory()}`,
    () => `add ${memory()}, ${register(64)}`,
    () => `imul ${register(64)}, ${register(64)}, ${prng.below(1000)}`,
    () => `shr ${register(64)}, ${prng.below(20) + 1}`,
    () => `movzx ${register(32)}, byte ptr ${memory()}`,
    () => `add ${register(64)}, ${prng.below(1000)}`,
  ];
  const some = (least: number, more: number): string[] =>
    Array.from({ length: least + prng.below(more) }, () => forms[prng.below(forms.length)]!());
  const lines = ["body:", "mov edi, ITERATIONS", "1:"];
  for (let i = 0; i < FUNCTIONS; i++) lines.push(`call f${i}`);
  lines.push("dec edi", "jnz 1b", "ret");
  for (let i = 0; i < FUNCTIONS; i++) {
    lines.push(`f${i}:`, "push rbp");
    for (let b = 0; b < BLOCKS; b++) {
      const branch = prng.below(2) === 0 ? "jz" : "jnz";
      lines.push(...some(3, 5), `test ${register(32)}, ${1 << prng.below(8)}`, `${branch} 2f`, ...some(1, 4), "2:");
    }
    lines.push("pop rbp", "ret");
  }
  return `${lines.join("\n")}\n`;
}
