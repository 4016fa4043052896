export function align(address: u64, to: u64): u64 {
  return (address + to - 1) & ~(to - 1);
}
export function page(address: u64): u64 {
  return align(address, 4096);
}
