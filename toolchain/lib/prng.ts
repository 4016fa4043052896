/**
 * The toolchain's only source of randomness: xoshiro128** (Blackman, Vigna), seeded by splitmix32. Equal seeds give
 * equal sequences on every host. For tests and fuzzing; the compiler itself uses no randomness.
 */
export class Prng {
  #s: [number, number, number, number];

  constructor(seed: number) {
    let x = seed >>> 0;
    const next = (): number => {
      x = (x + 0x9e3779b9) >>> 0;
      let z = x;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return (z ^ (z >>> 15)) >>> 0;
    };
    this.#s = [next(), next(), next(), next()];
  }
  /** 32 bits, unsigned. */
  u32(): number {
    const s = this.#s;
    const product = Math.imul(s[1], 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 11) | (s[3] >>> 21);
    return result;
  }
  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }
  /** 0 … n−1. */
  below(n: number): number {
    return this.u32() % n;
  }
  /** low … high, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }
  /** True with probability p. */
  chance(p: number): boolean {
    return this.u32() < p * 2 ** 32;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }
}
