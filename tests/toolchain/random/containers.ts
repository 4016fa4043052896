/**
 * Generic classes with counts, and a generic function over them, as text in both languages: in ours one generic
 * declaration, in C one definition per instance. An empty container returns the contents of its first element.
 */
import type { Container } from "./program.ts";

export const instanceName = ({ of, t, count }: Container): string => `${of}_${t}_${count}`;
export const instanceType = ({ of, t, count }: Container): string => `${of}<${t}, ${count}>`;

export const CONTAINERS_TS: Readonly<Record<Container["of"], string>> = {
  Stack: `class Stack<T, N extends number> {
  depth!: u32;
  items!: arr<T, N>;
  put(x: T): void {
    if (this.depth < this.items.length) {
      this.items[this.depth] = x;
      this.depth += 1;
    }
  }
  take(): T {
    if (this.depth > 0) this.depth -= 1;
    return this.items[this.depth];
  }
}
function sumOfStack<T extends number, N extends number>(s: ptr<Stack<T, N>>): u64 {
  let sum: u64 = s.depth;
  for (let i: u64 = 0; i < s.items.length; i++) sum = sum * 31 + u64(s.items[i]);
  return sum;
}`,
  Ring: `class Ring<T, N extends number> {
  head!: u16;
  items!: arr<T, N>;
  count!: u8;
  at(i: u64): ptr<T> {
    return addr(this.items[(u64(this.head) + i) % this.items.length]);
  }
  put(x: T): void {
    this.at(u64(this.count))[0] = x;
    if (this.count < this.items.length) this.count += 1;
    else this.head += 1;
  }
  take(): T {
    const p: ptr<T> = this.at(0);
    if (this.count !== 0) {
      this.count -= 1;
      this.head += 1;
    }
    return p[0];
  }
}
function sumOfRing<T extends number, N extends number>(s: ptr<Ring<T, N>>): u64 {
  let sum: u64 = s.count;
  for (let i: u64 = 0; i < s.items.length; i++) sum = (sum << 3) ^ (sum >> 61) ^ u64(s.at(i)[0]);
  return sum;
}`,
};

export function containerC(c: Container): string {
  const { t, count: n } = c;
  const name = instanceName(c);
  const element = (place: string): string => (t === "f64" ? `ftou_(${place})` : `(u64)${place}`);
  if (c.of === "Stack")
    return `typedef struct { u32 depth; ${t} items[${n}]; } ${name};
static void ${name}_put(${name} *s, ${t} x) {
  if (s->depth < ${n}) { s->items[s->depth] = x; s->depth += 1; }
}
static ${t} ${name}_take(${name} *s) {
  if (s->depth > 0) s->depth -= 1;
  return s->items[s->depth];
}
static u64 ${name}_sum(${name} *s) {
  u64 sum = s->depth;
  for (u64 i = 0; i < ${n}; i++) sum = sum * 31 + ${element("s->items[i]")};
  return sum;
}`;
  return `typedef struct { u16 head; ${t} items[${n}]; u8 count; } ${name};
static ${t} *${name}_at(${name} *s, u64 i) { return &s->items[((u64)s->head + i) % ${n}]; }
static void ${name}_put(${name} *s, ${t} x) {
  *${name}_at(s, s->count) = x;
  if (s->count < ${n}) s->count += 1; else s->head += 1;
}
static ${t} ${name}_take(${name} *s) {
  ${t} *p = ${name}_at(s, 0);
  if (s->count != 0) { s->count -= 1; s->head += 1; }
  return *p;
}
static u64 ${name}_sum(${name} *s) {
  u64 sum = s->count;
  for (u64 i = 0; i < ${n}; i++) sum = (sum << 3) ^ (sum >> 61) ^ ${element(`*${name}_at(s, i)`)};
  return sum;
}`;
}
