export function f(): u64 {
  const a = asm<u64>`rdtsc`;
  asm`mov ${ret}, cr3`;
  return asm<u64>({ out: "rax" })`mov ${ret}, cr3`;
}
