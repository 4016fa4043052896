class Task { next: ptr<Task> | null = null; id: u64 = 0; run: (() => void) | null = null; }
export function f(t: ptr<Task>): void {
  const id = t.next?.id;
  t.run?.();
  t.next?.next?.run;
}
