class Row { number: u32 = 0; kinds!: arr<u8, 2>; }
const tooMany: arr<Row, 1> = table([{ number: 1, kinds: [1, 2, 3] }]);
const tooFew: arr<Row, 2> = table([{ number: 1 }]);
export function sum(): u64 { return u64(tooMany[0].number + tooFew[0].number); }
