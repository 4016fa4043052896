export function f(n: u64): u64 {
  if (n > 3) throw n;
  try { return n; } catch { return 0; }
}
