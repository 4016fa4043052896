/**
 * Page-table walk: four levels of 512 entries, 2 MB and 4 KB leaves, some not present; a translation is the entry's
 * frame and the offset.
 */
const PRESENT: u64 = 1;
const LARGE: u64 = 0x80;
const FRAME: u64 = 0x000f_ffff_ffff_f000;
const PAGES = 80;
const arena: arr<u64, 41472> = zeroed();
let used: u64 = 0;

function newTable(): ptr<u64> {
  const start: u64 = (cast<u64>(addr(arena)) + 4095) & FRAME;
  const table = cast<ptr<u64>>(start + used * 4096);
  for (let i: u64 = 0; i < 512; i++) table[i] = 0;
  used++;
  return table;
}

function tableAt(table: ptr<u64>, index: u64): ptr<u64> {
  if ((table[index] & PRESENT) === 0) table[index] = cast<u64>(newTable()) | PRESENT;
  return cast<ptr<u64>>(table[index] & FRAME);
}

function map(root: ptr<u64>, virtual: u64, frame: u64, large: boolean): void {
  const directories = tableAt(root, (virtual >> 39) & 511);
  const directory = tableAt(directories, (virtual >> 30) & 511);
  const at: u64 = (virtual >> 21) & 511;
  if (large) {
    directory[at] = frame | LARGE | PRESENT;
    return;
  }
  const table = tableAt(directory, at);
  table[(virtual >> 12) & 511] = frame | PRESENT;
}

function translate(root: ptr<u64>, virtual: u64): u64 {
  let table = root;
  for (let shift: u64 = 39; shift > 12; shift -= 9) {
    const entry: u64 = table[(virtual >> shift) & 511];
    if ((entry & PRESENT) === 0) return 0;
    if ((entry & LARGE) !== 0) {
      const mask: u64 = (1 << shift) - 1;
      return (entry & FRAME & ~mask) | (virtual & mask);
    }
    table = cast<ptr<u64>>(entry & FRAME);
  }
  const entry: u64 = table[(virtual >> 12) & 511];
  return (entry & PRESENT) !== 0 ? (entry & FRAME) | (virtual & 4095) : 0;
}

export function pagewalk(): u64 {
  used = 0;
  const root = newTable();
  for (let i: u64 = 0; i < 4096; i++) map(root, 0x7f00_0000_0000 + (i << 12), (i * 7 + 3) << 12, false);
  for (let i: u64 = 0; i < 256; i++) map(root, 0x4000_0000 + (i << 21), (i + 1) << 21, true);
  let x: u64 = 88172645463325252;
  let sum: u64 = used > PAGES ? 1 : 0;
  for (let n: u64 = 0; n < 250000; n++) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    const virtual: u64 = (n & 1) !== 0 ? 0x7f00_0000_0000 + (x & 0x1ff_ffff) : 0x4000_0000 + (x & 0x3fff_ffff);
    sum = sum * 3 + translate(root, virtual);
  }
  return sum;
}
