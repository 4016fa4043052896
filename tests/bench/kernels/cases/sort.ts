/** Quicksort (median of three, recursion on both sides) down to 16 elements, then insertion sort; u32 keys. */
const COUNT = 20000;
const items: arr<u32, 20000> = zeroed();

function insertionSort(a: ptr<u32>, low: i64, high: i64): void {
  for (let i: i64 = low + 1; i <= high; i++) {
    const x: u32 = a[i];
    let j: i64 = i - 1;
    while (j >= low && a[j] > x) {
      a[j + 1] = a[j];
      j--;
    }
    a[j + 1] = x;
  }
}

function swap(a: ptr<u32>, i: i64, j: i64): void {
  const x: u32 = a[i];
  a[i] = a[j];
  a[j] = x;
}

function quicksort(a: ptr<u32>, low: i64, high: i64): void {
  if (high - low < 16) {
    insertionSort(a, low, high);
    return;
  }
  const middle: i64 = low + (high - low) / 2;
  if (a[middle] < a[low]) swap(a, middle, low);
  if (a[high] < a[low]) swap(a, high, low);
  if (a[high] < a[middle]) swap(a, high, middle);
  const pivot: u32 = a[middle];
  let i: i64 = low;
  let j: i64 = high;
  while (i <= j) {
    while (a[i] < pivot) i++;
    while (a[j] > pivot) j--;
    if (i <= j) {
      swap(a, i, j);
      i++;
      j--;
    }
  }
  quicksort(a, low, j);
  quicksort(a, i, high);
}

export function sort(): u64 {
  let x: u32 = 2463534242;
  for (let i: u64 = 0; i < COUNT; i++) {
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    items[i] = x;
  }
  quicksort(cast<ptr<u32>>(addr(items)), 0, COUNT - 1);
  let sum: u64 = 0;
  for (let i: u64 = 1; i < COUNT; i++) {
    if (items[i - 1] > items[i]) return 0;
    sum = sum * 31 + items[i];
  }
  return sum;
}
