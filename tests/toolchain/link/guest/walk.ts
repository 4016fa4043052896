/**
 * A program with every shape of frame. gdb single-steps it and must find all callers at every instruction. Runs on
 * Linux unchanged. The exit status is the sum of its results.
 */
const SYS_EXIT: u64 = 60;

class Point {
  x: u64 = 0;
  y: u64 = 0;
}
class Shape {
  corners!: arr<Point, 4>;
  name: ptr<u8> | null = null;
  count: u32 = 0;
}
const shape: Shape = zeroed();
const steps: arr<u64, 8> = zeroed();

export function _start(): void {
  attr({ naked: true, symbol: "_start", keep: true });
  asm`
    .cfi_undefined rip
    xor ebp, ebp
    and rsp, -16
    call ${walk}
    mov edi, eax
    mov eax, ${SYS_EXIT}
    syscall
    ud2
  `;
}

function walk(): u64 {
  attr({ inline: "never" });
  let sum: u64 = 0;
  for (let i: u64 = 0; i < 5; i++) sum += choose(i, i * 3);
  sum += depth(3);
  sum += many(1, 2, 3, 4, 5, 6, 7, 8);
  sum += borrowed(9);
  sum += flags();
  sum += corners(addr(shape), 4);
  sum += apply(leaf, 5);
  return sum & 0x7f;
}

/** A frame-less leaf. */
function leaf(x: u64): u64 {
  attr({ inline: "never" });
  return x * 5 + (x >> 2);
}
/** Early returns: epilogues in the middle; a jump table. */
function choose(which: u64, x: u64): u64 {
  attr({ inline: "never" });
  const held: u64 = leaf(x);
  switch (which) {
    case 0:
      return leaf(held) + x;
    case 1:
      return 7;
    case 2:
      steps[2] = leaf(x + 1);
      return steps[2] + held;
    case 3:
      return held * held;
    default:
      break;
  }
  if (held > 40) return leaf(held + which) * x;
  return twice(held) + twice(x) + which;
}
function depth(n: u64): u64 {
  attr({ inline: "never" });
  if (n === 0) return 1;
  return depth(n - 1) + n;
}
/** Arguments on the stack. */
function many(a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, g: u64, h: u64): u64 {
  attr({ inline: "never" });
  const low: u64 = leaf(a + g);
  const high: u64 = leaf(b + h);
  return low * c + high * d + e + f;
}
/** Assembly that clobbers the frame pointer, and assembly that calls with more data on the stack. */
function borrowed(x: u64): u64 {
  attr({ inline: "never" });
  const point: Point = new Point();
  point.x = leaf(x);
  point.y = asm<u64>({
    in: { rdi: x },
    out: "rax",
    clobber: ["rbp", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory"],
  })`
    mov ebp, 1
    push rbp
    push rdi
    call ${leaf}
    add rsp, 16
    add rax, rbp
  `;
  return sumOf(addr(point));
}
function sumOf(p: ptr<Point>): u64 {
  attr({ inline: "never" });
  return p.x + p.y;
}
/** A leaf that moves its stack pointer. */
function flags(): u64 {
  attr({ inline: "never" });
  return asm<u64>`
    pushfq
    pop ${ret}
    and ${ret}, 1
  `;
}
/** Many values live across calls: all callee-saved registers, and slots. */
function corners(s: ptr<Shape>, count: u64): u64 {
  attr({ inline: "never" });
  const a: u64 = leaf(1);
  const b: u64 = leaf(2);
  const c: u64 = leaf(3);
  const d: u64 = leaf(4);
  const e: u64 = leaf(5);
  const g: u64 = leaf(6);
  const h: u64 = leaf(7);
  let total: u64 = 0;
  for (let i: u64 = 0; i < count; i++) {
    const corner = addr(s.corners[i]);
    corner.x = leaf(i + a);
    corner.y = twice(i) + b;
    total += sumOf(corner) + c * d;
  }
  s.count = u32(count);
  return total + a + b + c + d + e * g + h;
}
function apply(f: (x: u64) => u64, x: u64): u64 {
  attr({ inline: "never" });
  return f(x);
}
/** Inlined everywhere. */
function twice(x: u64): u64 {
  const doubled: u64 = x + x;
  steps[0] = steps[0] + doubled;
  return doubled;
}
