export let x: u64 = 0;
export const low: u64 = cast<u64>(addr(x));
export let table: arr<u32, 1> = [u32(cast<u64>(addr(x)))];
