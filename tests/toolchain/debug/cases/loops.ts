/** Loops: what changes each turn, what a branch changes, what only lives for a while. */
function gcd(a: u64, b: u64): u64 {
  let x: u64 = a;
  let y: u64 = b;
  while (y !== 0) {
    const rest: u64 = x % y;
    x = y;
    y = rest;
  }
  return x;
}

function steps(start: u64): u64 {
  let n: u64 = start;
  let count: u64 = 0;
  let highest: u64 = start;
  while (n !== 1) {
    if ((n & 1) === 0) {
      n = n >> 1;
    } else {
      n = n * 3 + 1;
    }
    if (n > highest) highest = n;
    count++;
  }
  return count * 1000 + highest;
}

export function loops(seed: u64): u64 {
  attr({ inline: "never" });
  let sum: u64 = 0;
  for (let i: u64 = 1; i < 4; i++) {
    const divisor: u64 = gcd(seed * 12 * i, 18);
    const length: u64 = steps(seed + i + 2);
    sum = sum * 7 + divisor;
    sum += length;
  }
  const half: u64 = sum >> 1;
  return half ^ sum;
}
