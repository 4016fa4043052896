/** Linked list: build, merge sort by splitting with two runners, reverse, unlink every third, sum. */
class Node {
  next: ptr<Node> | null = null;
  key: u64 = 0;
}
const COUNT = 4000;
const nodes: arr<Node, 4000> = zeroed();

function merge(left: ptr<Node> | null, right: ptr<Node> | null): ptr<Node> | null {
  const head: Node = zeroed();
  let tail: ptr<Node> = addr(head);
  let a = left;
  let b = right;
  while (a !== null && b !== null) {
    if (b.key < a.key) {
      tail.next = b;
      tail = b;
      b = b.next;
    } else {
      tail.next = a;
      tail = a;
      a = a.next;
    }
  }
  tail.next = a !== null ? a : b;
  return head.next;
}

function sorted(list: ptr<Node> | null): ptr<Node> | null {
  if (list === null || list.next === null) return list;
  let slow: ptr<Node> = list;
  let fast: ptr<Node> | null = list.next;
  while (fast !== null && fast.next !== null) {
    const next: ptr<Node> | null = slow.next;
    if (next === null) break;
    slow = next;
    fast = fast.next.next;
  }
  const second: ptr<Node> | null = slow.next;
  slow.next = null;
  return merge(sorted(list), sorted(second));
}

function reversed(list: ptr<Node> | null): ptr<Node> | null {
  let result: ptr<Node> | null = null;
  let p = list;
  while (p !== null) {
    const next: ptr<Node> | null = p.next;
    p.next = result;
    result = p;
    p = next;
  }
  return result;
}

export function list(): u64 {
  let head: ptr<Node> | null = null;
  let x: u64 = 5;
  for (let i: u64 = 0; i < COUNT; i++) {
    x = x * 6364136223846793005 + 1442695040888963407;
    const node = addr(nodes[i]);
    node.key = x >> 40;
    node.next = head;
    head = node;
  }
  head = sorted(head);
  let sum: u64 = 0;
  for (let round: u64 = 0; round < 20; round++) {
    head = reversed(head);
    for (let p = head; p !== null; p = p.next) sum = sum * 3 + p.key;
  }
  let at: u64 = 0;
  for (let p = head; p !== null; p = p.next) {
    const next: ptr<Node> | null = p.next;
    if (++at % 3 === 0 && next !== null) p.next = next.next;
  }
  for (let p = head; p !== null; p = p.next) sum = sum * 5 + p.key;
  return sum;
}
