class Table { rows!: arr<u64, 4>; }
export function f(t: ptr<Table>): u64 {
  let sum: u64 = 0;
  for (const row of t.rows) sum += row;
  for (const key in t) sum++;
  return sum;
}
