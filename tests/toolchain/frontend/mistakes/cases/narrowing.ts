class Header {
  length: u32 = 0;
}
export function fill(header: ptr<Header>, bytes: u64): void {
  header.length = bytes;
}
