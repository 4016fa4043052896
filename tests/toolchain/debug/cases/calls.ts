/** Calls: what lives across them, recursion, small functions that are inlined twice deep, parameters that change. */
function clamp(value: i64, low: i64, high: i64): i64 {
  if (value < low) return low;
  if (value > high) return high;
  return value;
}

function blend(from: i64, to: i64, part: i64): i64 {
  const whole: i64 = to - from;
  const moved: i64 = (whole * part) / 16;
  return clamp(from + moved, -100, 100);
}

function ways(left: u64, largest: u64): u64 {
  attr({ inline: "never" });
  if (left === 0) return 1;
  if (largest === 0) return 0;
  let count: u64 = ways(left, largest - 1);
  if (left >= largest) {
    const rest: u64 = left - largest;
    count += ways(rest, largest);
  }
  return count;
}

function mix(a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, g: u64, h: u64): u64 {
  attr({ inline: "never" });
  const low: u64 = a + b * 2 + c * 3 + d * 4;
  const high: u64 = e * 5 + f * 6 + g * 7 + h * 8;
  return low ^ (high << 8);
}

function shrink(count: u64): u64 {
  attr({ inline: "never" });
  let sum: u64 = 0;
  while (count > 2) {
    sum += count;
    count -= 2;
  }
  return sum * 10 + count;
}

export function calls(seed: u64): u64 {
  attr({ inline: "never" });
  let position: i64 = i64(seed);
  for (let i: i64 = 0; i < 3; i++) {
    const goal: i64 = i * 60 - 50;
    position = blend(position, goal, 8 + i);
  }
  const partitions: u64 = ways(4 + seed, 3);
  const mixed: u64 = mix(seed, 2, 3, partitions, 5, 6, 7, seed + 8);
  const shrunk: u64 = shrink(seed + 7);
  return mixed + partitions * 3 + shrunk + u64(position + 1000);
}
