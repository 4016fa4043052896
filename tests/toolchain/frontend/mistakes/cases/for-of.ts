class Ring {
  slots!: arr<u64, 8>;
}
export function total(ring: ptr<Ring>): u64 {
  let sum: u64 = 0;
  for (const slot of ring.slots) sum += slot;
  return sum;
}
