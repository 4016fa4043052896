const owners = new Map<u64, u64>();
export function ownerOf(page: u64): u64 {
  return owners.get(page);
}
