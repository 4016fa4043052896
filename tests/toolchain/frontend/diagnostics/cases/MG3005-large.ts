const HUGE = 1 << 500 << 500;
export function f(): u64 { return HUGE; }
export let big: arr<u64, 400000000> = zeroed();
