const LIMIT: u64 = 5;
export function f(): void {
  const n: u64 = 3;
  n = 4;
  LIMIT = 6;
  n++;
}
