export enum State { READY = 0, RUNNING = 1 }
export function f(): u32 { return State.READY; }
