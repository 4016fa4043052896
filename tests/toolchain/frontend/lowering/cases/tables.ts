// Tables: rows leave out fields, and arrays their last elements; what is left out is as in a new struct.
class Row {
  number: u32 = 0;
  kind: u8 = 7;
  kinds!: arr<u8, 3>;
  limits!: arr<u32, 3>;
  name: ptr<u8> | null = null;
}
const rows: arr<Row, 3> = table([
  { number: 1, kinds: [5, 6], limits: [0, 1000], name: cstr("ab") },
  { number: 2, kind: 9 },
  { limits: [1, 2, 3] },
]);

// expect 1
export function given(): u64 { return u64(rows[0].number); }
// expect 7
export function fieldLeftOut(): u64 { return u64(rows[0].kind); }
// expect 9
export function fieldGiven(): u64 { return u64(rows[1].kind); }
// expect 560
export function elementsLeftOut(): u64 { return u64(rows[0].kinds[0]) * 100 + u64(rows[0].kinds[1]) * 10 + u64(rows[0].kinds[2]); }
// expect 1000
export function limit(): u64 { return u64(rows[0].limits[0]) + u64(rows[0].limits[1]) + u64(rows[0].limits[2]); }
// expect 6
export function whole(): u64 { return u64(rows[2].number) + u64(rows[2].limits[0]) + u64(rows[2].limits[1]) + u64(rows[2].limits[2]); }
// expect 98
export function text(): u64 { const name = rows[0].name; return name === null ? 0 : u64(name[1]); }
// expect 1
export function nothing(): u64 { return u64(rows[1].name === null); }
// expect 12
export function local(): u64 { const own: arr<Row, 2> = table([{ number: 5 }, {}]); return u64(own[0].number) + u64(own[1].kind) + u64(own[0].kinds[2]); }
