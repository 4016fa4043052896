/** Numbers with a fraction: a small matrix product, a root by Newton's method, conversions. */
const a: arr<f64, 6> = [1.5, 2.0, -0.5, 4.0, 0.25, 3.0];
const b: arr<f64, 6> = [2.0, 1.0, 0.5, -1.0, 4.0, 8.0];

function cell(row: u64, column: u64): f64 {
  let sum: f64 = 0.0;
  for (let k: u64 = 0; k < 3; k++) {
    const left: f64 = a[row * 3 + k];
    const right: f64 = b[k * 2 + column];
    sum += left * right;
  }
  return sum;
}

function root(square: f64): f64 {
  let x: f64 = square;
  let turns: u32 = 0;
  while (turns < 6) {
    const quotient: f64 = square / x;
    x = (x + quotient) * 0.5;
    turns++;
  }
  return x;
}

export function floats(seed: u64): u64 {
  attr({ inline: "never" });
  const scale: f64 = f64(seed) + 0.5;
  let trace: f64 = 0.0;
  for (let i: u64 = 0; i < 2; i++) {
    const entry: f64 = cell(i, i);
    trace += entry * scale;
  }
  const side: f64 = root(trace * trace + 2.0);
  const cents: u64 = u64(side * 100.0);
  return cents;
}
