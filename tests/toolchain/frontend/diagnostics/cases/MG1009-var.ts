var total: u64 = 0;
export function f(): u64 {
  var n: u64 = total;
  return n;
}
