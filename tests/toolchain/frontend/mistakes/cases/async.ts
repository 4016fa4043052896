declare function read(port: u32): u64;
export async function wait(port: u32): Promise<u64> {
  return await read(port);
}
