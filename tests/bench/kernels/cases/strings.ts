/** String scan: length, comparison, search for a word, counting of words and digits in a text of bytes. */
const SIZE = 16384;
const text: arr<u8, 16385> = zeroed();

function length(s: ptr<u8>): u64 {
  let n: u64 = 0;
  while (s[n] !== 0) n++;
  return n;
}

function startsWith(s: ptr<u8>, prefix: ptr<u8>): boolean {
  let i: u64 = 0;
  while (prefix[i] !== 0) {
    if (s[i] !== prefix[i]) return false;
    i++;
  }
  return true;
}

function find(s: ptr<u8>, word: ptr<u8>): u64 {
  let found: u64 = 0;
  for (let i: u64 = 0; s[i] !== 0; i++) {
    if (startsWith(addr(s[i]), word)) found++;
  }
  return found;
}

function isSpace(c: u8): boolean {
  return c === 32 || c === 10 || c === 9;
}

function words(s: ptr<u8>): u64 {
  let count: u64 = 0;
  let inside = false;
  for (let p = s; p[0] !== 0; p = addr(p[1])) {
    if (isSpace(p[0])) inside = false;
    else if (!inside) {
      inside = true;
      count++;
    }
  }
  return count;
}

function numbers(s: ptr<u8>): u64 {
  let sum: u64 = 0;
  let n: u64 = 0;
  for (let i: u64 = 0; s[i] !== 0; i++) {
    const c: u8 = s[i];
    if (c >= 48 && c <= 57) n = n * 10 + u64(c - 48);
    else {
      sum += n;
      n = 0;
    }
  }
  return sum + n;
}

export function strings(): u64 {
  const alphabet = cstr("abc d12e\nab 9");
  let x: u64 = 11;
  for (let i: u64 = 0; i < SIZE; i++) {
    x = x * 6364136223846793005 + 1442695040888963407;
    text[i] = alphabet[(x >> 33) % 13];
  }
  text[SIZE] = 0;
  const s = cast<ptr<u8>>(addr(text));
  let sum: u64 = 0;
  for (let round: u64 = 0; round < 8; round++) {
    sum = sum * 7 + length(s) + find(s, cstr("ab ab")) + words(s) * 3 + numbers(s);
    text[round * 100] = 57;
  }
  return sum;
}
