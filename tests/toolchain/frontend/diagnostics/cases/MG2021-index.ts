class T { rows!: arr<u64, 4>; }
export function f(t: ptr<T>): u64 { return t.rows[4] + t.rows[3] + t.rows[-1]; }
