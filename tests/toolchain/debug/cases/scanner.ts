/** Branches: a scanner of numbers and operators with a switch, short-circuit conditions and early returns. */
const enum Kind {
  End = 0,
  Number = 1,
  Plus = 2,
  Times = 3,
  Other = 4,
}
class Token {
  kind: Kind = Kind.End;
  value: u64 = 0;
}
const text: ptr<u8> = cstr("12+3*45 +6?");
let place: u64 = 0;

function isDigit(c: u8): boolean {
  return c >= 48 && c <= 57;
}

function next(token: ptr<Token>): boolean {
  let c: u8 = text[place];
  while (c === 32) {
    place++;
    c = text[place];
  }
  if (c === 0) {
    token.kind = Kind.End;
    return false;
  }
  if (isDigit(c)) {
    let number: u64 = 0;
    while (isDigit(c)) {
      const digit: u64 = u64(c) - 48;
      number = number * 10 + digit;
      place++;
      c = text[place];
    }
    token.kind = Kind.Number;
    token.value = number;
    return true;
  }
  place++;
  switch (c) {
    case 43:
      token.kind = Kind.Plus;
      break;
    case 42:
      token.kind = Kind.Times;
      break;
    default:
      token.kind = Kind.Other;
  }
  return true;
}

export function scanner(seed: u64): u64 {
  attr({ inline: "never" });
  let token: Token = new Token();
  let sum: u64 = seed;
  let tokens: u32 = 0;
  let times: boolean = false;
  while (next(addr(token))) {
    tokens++;
    const kind: Kind = token.kind;
    if (kind === Kind.Number && times) {
      sum = sum * token.value;
      times = false;
    } else if (kind === Kind.Number) {
      sum += token.value;
    } else {
      times = kind === Kind.Times;
    }
  }
  return sum * 100 + u64(tokens);
}
