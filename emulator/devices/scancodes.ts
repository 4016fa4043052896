/**
 * Text → keys of a US keyboard in scan code set 1. Source: IBM PS/2 Technical Reference, "Keyboards", scan code set 1
 * (figure "Scan code set 1 for all keyboards"); break code = make code | 0x80. Left out: keys without a character
 * (function keys, keypad).
 */

/** Make codes, row by row from Escape; the characters are in the order of their codes. */
// biome-ignore format: one row of keys a line: first make code, plain, with shift
const rows: readonly (readonly [number, string, string])[] = [
  [0x01, "\x1b1234567890-=\b\t", "\0!@#$%^&*()_+\0\0"],
  [0x10, "qwertyuiop[]\n",       "QWERTYUIOP{}\0"],
  [0x1e, "asdfghjkl;'`",         "ASDFGHJKL:\"~"],
  [0x2b, "\\zxcvbnm,./",         "|ZXCVBNM<>?"],
  [0x39, " ",                    "\0"],
];
const LEFT_SHIFT = 0x2a;
const BREAK = 0x80;

const keys = new Map<string, { readonly code: number; readonly shift: boolean }>();
for (const [first, plain, shifted] of rows) {
  for (let i = 0; i < plain.length; i++) {
    keys.set(plain[i]!, { code: first + i, shift: false });
    if (shifted[i] !== "\0") keys.set(shifted[i]!, { code: first + i, shift: true });
  }
}

/** No key makes this character. */
export class UnknownKey extends Error {}

/**
 * The make and break codes of the keys that type each character. `\n`, `\t`, `\b`, `\e` (Escape) and `\\` stand for
 * their keys.
 * @throws UnknownKey
 */
export function scanCodes(text: string): readonly (readonly number[])[] {
  const escapes: Readonly<Record<string, string>> = { n: "\n", t: "\t", b: "\b", e: "\x1b", "\\": "\\" };
  const characters = [...text.matchAll(/\\(.)|([^\\])|\\$/gsu)].map((m) =>
    m[1] === undefined ? m[0] : (escapes[m[1]] ?? `\\${m[1]}`),
  );
  return characters.map((character) => {
    const key = keys.get(character);
    if (key === undefined) throw new UnknownKey(`'${character}' is on no key`);
    const stroke = [key.code, key.code | BREAK];
    return key.shift ? [LEFT_SHIFT, ...stroke, LEFT_SHIFT | BREAK] : stroke;
  });
}
