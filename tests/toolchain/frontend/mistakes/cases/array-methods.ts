class Ring {
  slots!: arr<u64, 8>;
  used: u64 = 0;
}
export function put(ring: ptr<Ring>, value: u64): void {
  ring.slots.push(value);
}
