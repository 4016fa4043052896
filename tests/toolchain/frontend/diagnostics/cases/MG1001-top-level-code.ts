let count: u64 = 0;
count = 5;
if (count > 3) count = 0;
for (;;) {}
export function f(): u64 { return count; }
