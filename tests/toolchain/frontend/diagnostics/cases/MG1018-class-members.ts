class Ring {
  static count: u64 = 0;
  #hidden: u64 = 0;
  constructor() {}
  get size(): u64 { return 1; }
  [key: number]: u64;
}
export function f(r: ptr<Ring>): void {
  const other = new Ring(1);
}
