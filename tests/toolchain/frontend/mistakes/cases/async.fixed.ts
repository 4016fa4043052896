declare function read(port: u32): u64;
export function wait(port: u32): u64 {
  return read(port);
}
