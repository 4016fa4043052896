class Ring {
  slots!: arr<u64, 8>;
}
export function total(ring: ptr<Ring>): u64 {
  let sum: u64 = 0;
  for (let i: u64 = 0; i < ring.slots.length; i++) sum += ring.slots[i];
  return sum;
}
