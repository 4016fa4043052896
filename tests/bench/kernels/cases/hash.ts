/** Hash table: open addressing with linear probing, FNV-1a over the bytes of the key; inserts, then hits and misses. */
const SLOTS = 16384;
const keys: arr<u64, 16384> = zeroed();
const values: arr<u64, 16384> = zeroed();

function fnv1a(key: u64): u64 {
  let h: u64 = 0xcbf2_9ce4_8422_2325;
  for (let i: u64 = 0; i < 64; i += 8) {
    h ^= (key >> i) & 255;
    h *= 0x100_0000_01b3;
  }
  return h;
}

/** Slot of the key, or the free one where it belongs; key 0 means free. */
function slotOf(key: u64): u64 {
  let slot: u64 = fnv1a(key) & (SLOTS - 1);
  while (keys[slot] !== 0 && keys[slot] !== key) slot = (slot + 1) & (SLOTS - 1);
  return slot;
}

export function hash(): u64 {
  for (let i: u64 = 0; i < SLOTS; i++) keys[i] = 0;
  let x: u64 = 7;
  for (let n: u64 = 0; n < 10000; n++) {
    x = x * 6364136223846793005 + 1442695040888963407;
    const key: u64 = (x >> 40) | 1;
    const slot: u64 = slotOf(key);
    if (keys[slot] === 0) {
      keys[slot] = key;
      values[slot] = n;
    } else {
      values[slot] += n;
    }
  }
  let sum: u64 = 0;
  x = 7;
  for (let n: u64 = 0; n < 100000; n++) {
    x = n % 10000 === 0 ? 7 + (n & 1) : x * 6364136223846793005 + 1442695040888963407;
    const key: u64 = (x >> 40) | 1;
    const slot: u64 = slotOf(key);
    sum = sum * 3 + (keys[slot] === key ? values[slot] : slot);
  }
  return sum;
}
