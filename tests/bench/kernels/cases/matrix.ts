/** Matrix product, f64, 80 × 80, row times column. */
const N = 80;
const a: arr<f64, 6400> = zeroed();
const b: arr<f64, 6400> = zeroed();
const c: arr<f64, 6400> = zeroed();

function multiply(to: ptr<f64>, x: ptr<f64>, y: ptr<f64>): void {
  for (let i: u64 = 0; i < N; i++) {
    for (let j: u64 = 0; j < N; j++) {
      let sum: f64 = 0;
      for (let k: u64 = 0; k < N; k++) sum += x[i * N + k] * y[k * N + j];
      to[i * N + j] = sum;
    }
  }
}

export function matrix(): u64 {
  for (let i: u64 = 0; i < N * N; i++) {
    a[i] = f64(i % 17) * 0.25;
    b[i] = f64(i % 23) - 11.5;
  }
  const pa = cast<ptr<f64>>(addr(a));
  const pb = cast<ptr<f64>>(addr(b));
  const pc = cast<ptr<f64>>(addr(c));
  multiply(pc, pa, pb);
  multiply(pa, pc, pb);
  multiply(pc, pa, pb);
  let sum: f64 = 0;
  for (let i: u64 = 0; i < N * N; i++) sum += c[i];
  return bitsOfF64(sum);
}
