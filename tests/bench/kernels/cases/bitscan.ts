/**
 * Bit scan over a bitmap: lowest set bit by a de Bruijn table, population count by adding in fields, first clear run of
 * a size.
 */
const WORDS = 256;
const DE_BRUIJN: u64 = 0x03f7_9d71_b4cb_0a89;
const bitmap: arr<u64, 256> = zeroed();
const position: arr<u8, 64> = zeroed();

function lowestBit(x: u64): u64 {
  return position[((x & (~x + 1)) * DE_BRUIJN) >> 58];
}

function populationCount(word: u64): u64 {
  let x: u64 = word - ((word >> 1) & 0x5555_5555_5555_5555);
  x = (x & 0x3333_3333_3333_3333) + ((x >> 2) & 0x3333_3333_3333_3333);
  x = (x + (x >> 4)) & 0x0f0f_0f0f_0f0f_0f0f;
  return (x * 0x0101_0101_0101_0101) >> 56;
}

/** First of `size` clear bits in a row; the number of bits if there is none. */
function clearRun(size: u64): u64 {
  let run: u64 = 0;
  for (let bit: u64 = 0; bit < WORDS * 64; bit++) {
    if (((bitmap[bit >> 6] >> (bit & 63)) & 1) === 0) {
      if (++run === size) return bit + 1 - size;
    } else {
      run = 0;
    }
  }
  return WORDS * 64;
}

export function bitscan(): u64 {
  for (let i: u64 = 0; i < 64; i++) position[(DE_BRUIJN << i) >> 58] = u8(i);
  let sum: u64 = 0;
  let x: u64 = 3;
  for (let round: u64 = 0; round < 20; round++) {
    for (let i: u64 = 0; i < WORDS; i++) {
      x = x * 6364136223846793005 + 1442695040888963407;
      bitmap[i] = x ^ (x >> 29);
    }
    for (let i: u64 = 0; i < WORDS; i++) {
      sum += populationCount(bitmap[i]);
      for (let word: u64 = bitmap[i]; word !== 0; word &= word - 1) sum = sum * 3 + lowestBit(word) + i;
    }
    sum += clearRun(4 + round);
  }
  return sum;
}
