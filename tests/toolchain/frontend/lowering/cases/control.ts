// Statements, short circuits, switches with fall-through, labels.
let calls: u64 = 0;
function bump(result: boolean): boolean { calls++; return result; }

// expect 45
export function sumFor(): u64 { let s: u64 = 0; for (let i: u64 = 0; i < 10; i++) s += i; return s; }
// expect 8
export function whileWithContinue(): u64 { let s: u64 = 0; let i: u64 = 0; while (i < 10) { i++; if (i & 1) continue; if (i > 8) break; s += 2; } return s; }
// expect 1
export function doRunsOnce(): u64 { let n: u64 = 0; do n++; while (n < 1); return n; }
// expect 1002
export function andSkips(): u64 { calls = 0; const r = bump(false) && bump(true); const s = bump(true) || bump(false); return calls + (r ? 500 : 0) + (s ? 1000 : 0); }
// expect 11
export function fallThrough(): u64 {
  let r: u64 = 0;
  for (let i: u32 = 0; i < 5; i++) {
    switch (i) {
      case 0: r += 1;
      case 1: r += 2; break;
      case 3: r += 5; break;
      default: r += 0;
      case 7: r += 0;
    }
  }
  return r + 1;
}
// expect 9
export function defaultInTheMiddle(): u64 { let x: u64 = 9; switch (x) { case 1: return 1; default: return x; case 2: return 2; } }
// expect 6
export function labels(): u64 {
  let n: u64 = 0;
  outer: for (let i: u64 = 0; i < 5; i++) {
    for (let j: u64 = 0; j < 5; j++) {
      if (j === 2) continue outer;
      if (i === 3) break outer;
      n++;
    }
  }
  block: { if (n === 6) break block; n = 100; }
  return n;
}
// expect 3
export function conditionalIsLazy(): u64 { calls = 0; const a: u64 = bump(true) ? 2 : calls; return a + calls; }
// expect 12
export function comma(): u64 { let a: u64 = 0; let b: u64 = 0; for (let i: u64 = 0; i < 4; i++, b += 2) a++; return a + b; }
// expect 3
export function breakInSwitchInLoop(): u64 { let n: u64 = 0; for (;;) { switch (n) { case 2: n++; break; default: n++; continue; } break; } return n; }
// expect 5
export function constantConditions(): u64 { if (false) return 1; while (true) { return 5; } }
function stop(): never { unreachable(); }
// expect 4
export function neverReturns(): u64 { let x: u64 = 4; if (x > 5) stop(); return x; }
