/** Narrow and signed integers, shifts, structs on the stack, many values that live at once. */
class Point {
  x: i32 = 0;
  y: i32 = 0;
}
class Box {
  low: Point = new Point();
  high: Point = new Point();
  area: u64 = 0;
}

function checksum(data: u64): u16 {
  let sum: u32 = 0;
  for (let i: u64 = 0; i < 4; i++) {
    const part: u16 = u16(data >> (i * 16));
    sum += u32(part);
  }
  const folded: u16 = u16(sum & 0xffff) + u16(sum >> 16);
  return ~folded;
}

function extend(byte: i8, word: i16): i64 {
  const wide: i64 = i64(byte);
  const scaled: i64 = wide * 16;
  const result: i64 = scaled - i64(word);
  return result;
}

function grow(box: ptr<Box>, by: i32): u64 {
  const width: i32 = box.high.x - box.low.x + by;
  const height: i32 = box.high.y - box.low.y + by;
  box.high.x += by;
  box.high.y += by;
  box.area = u64(u32(width * height));
  return box.area;
}

function many(seed: u64): u64 {
  attr({ inline: "never" });
  let a: u64 = seed;
  let b: u64 = a + 1;
  let c: u64 = b * 2;
  let d: u64 = c ^ a;
  let e: u64 = d + 5;
  let f: u64 = e * 3;
  let g: u64 = f - b;
  let h: u64 = g ^ 77;
  for (let i: u64 = 0; i < 3; i++) {
    const t: u64 = a + h;
    a = b ^ i;
    b = c + 1;
    c = d * 3;
    d = e + t;
    e = f ^ a;
    f = g + b;
    g = h - c;
    h = t;
  }
  return a + b + c + d + e + f + g + h;
}

export function narrow(seed: u64): u64 {
  attr({ inline: "never" });
  const sum: u16 = checksum(seed * 0x1234_5678_9abc_def1);
  const extended: i64 = extend(i8(-3), i16(seed) * 100);
  let box: Box = new Box();
  box.low.x = i32(seed);
  box.high.x = 9;
  box.high.y = i32(u32(sum) & 15);
  const area: u64 = grow(addr(box), 2);
  let corner: Point = new Point();
  corner.x = box.high.x;
  corner.y = box.high.y - 1;
  const diagonal: i32 = corner.x * corner.x + corner.y * corner.y;
  const mixed: u64 = many(seed);
  return u64(sum) + u64(extended) + area * 7 + u64(u32(diagonal)) + mixed;
}
