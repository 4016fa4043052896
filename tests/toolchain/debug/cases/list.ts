/** Structs behind pointers: a pool of nodes, a list that grows, is reversed and is walked. */
class Node {
  value: u32 = 0;
  weight: u16 = 0;
  next: ptr<Node> | null = null;
}
const pool: arr<Node, 8> = zeroed();
let used: u64 = 0;

function allocate(value: u32, next: ptr<Node> | null): ptr<Node> {
  const node: ptr<Node> = addr(pool[used]);
  used++;
  node.value = value;
  node.weight = u16(value * 3);
  node.next = next;
  return node;
}

function reverse(first: ptr<Node> | null): ptr<Node> | null {
  let done: ptr<Node> | null = null;
  let at: ptr<Node> | null = first;
  while (at !== null) {
    const next: ptr<Node> | null = at.next;
    at.next = done;
    done = at;
    at = next;
  }
  return done;
}

function total(first: ptr<Node> | null): u64 {
  let sum: u64 = 0;
  let place: u64 = 1;
  for (let at: ptr<Node> | null = first; at !== null; at = at.next) {
    const part: u64 = u64(at.value) * place;
    sum += part + u64(at.weight);
    place++;
  }
  return sum;
}

export function list(seed: u64): u64 {
  attr({ inline: "never" });
  let head: ptr<Node> | null = null;
  for (let i: u32 = 0; i < 5; i++) {
    head = allocate(u32(seed) + i * i, head);
  }
  const before: u64 = total(head);
  head = reverse(head);
  const after: u64 = total(head);
  return before * 1000 + after;
}
