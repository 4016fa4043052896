export function f(p: ptr<u64>, n: u64, b: boolean): u64 {
  switch (b) {
    case true: return 1;
  }
  switch (n) {
    case p[0]: return 2;
    case 7: return 3;
    case 7: return 4;
  }
  return 0;
}
