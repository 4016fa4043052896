export const a: u64 = b + 1;
export const b: u64 = a + 1;
export const c = c + 1;
