export function start(): u64 {
  return 1;
}
