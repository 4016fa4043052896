export function* f(): u64 { yield 1; }
export async function g(): void { await 1; }
