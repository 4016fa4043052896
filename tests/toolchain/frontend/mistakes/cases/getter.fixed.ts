class Queue {
  head: u64 = 0;
  tail: u64 = 0;
  length(): u64 {
    return this.tail - this.head;
  }
}
export function isEmpty(queue: ptr<Queue>): boolean {
  return queue.length() === 0;
}
