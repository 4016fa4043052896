export function isReady(state: u32): boolean {
  return state === 1 || state !== 4;
}
