class T { a: u64 = 0; b: u64 = 0; }
export let t: T = { a: 1, b: 2, c: 3 };
