class T { a: u64 = 0; }
export let t: T;
export let u;
export const list = [1, 2];
export const none = null;
export function f(): void { const x = zeroed(); }
