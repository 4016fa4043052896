const owners: arr<u64, 1024> = zeroed();
export function ownerOf(page: u64): u64 {
  return owners[page];
}
