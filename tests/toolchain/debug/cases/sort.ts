/** Arrays: insertion sort, binary search; indices, bounds, a value that is held while others move. */
const COUNT = 10;
const values: arr<u32, 10> = zeroed();

function fill(seed: u64): u32 {
  let x: u64 = seed;
  let last: u32 = 0;
  for (let i: u64 = 0; i < COUNT; i++) {
    x = x * 6364136223846793005 + 1442695040888963407;
    last = u32(x >> 33) % 100;
    values[i] = last;
  }
  return last;
}

function insertionSort(): u64 {
  let moves: u64 = 0;
  for (let i: u64 = 1; i < COUNT; i++) {
    const key: u32 = values[i];
    let j: u64 = i;
    while (j > 0 && values[j - 1] > key) {
      values[j] = values[j - 1];
      j--;
      moves++;
    }
    values[j] = key;
  }
  return moves;
}

function find(wanted: u32): u64 {
  let low: u64 = 0;
  let high: u64 = COUNT;
  while (low < high) {
    const middle: u64 = (low + high) / 2;
    const at: u32 = values[middle];
    if (at === wanted) return middle;
    if (at < wanted) low = middle + 1;
    else high = middle;
  }
  return COUNT;
}

export function sort(seed: u64): u64 {
  attr({ inline: "never" });
  const wanted: u32 = fill(seed);
  const moves: u64 = insertionSort();
  const place: u64 = find(wanted);
  const absent: u64 = find(101);
  return moves * 100 + place * 10 + absent;
}
