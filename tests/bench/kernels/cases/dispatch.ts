/** Dispatch: a stack machine by `switch`, with calls through a table of functions as a system-call table has. */
const PUSH: u8 = 0;
const ADD: u8 = 1;
const MULTIPLY: u8 = 2;
const XOR: u8 = 3;
const DUPLICATE: u8 = 4;
const SWAP: u8 = 5;
const SHIFT: u8 = 6;
const CALL: u8 = 7;
const JUMP_NOT_ZERO: u8 = 8;
const DECREMENT: u8 = 9;
const HALT: u8 = 10;

function rotate(a: u64, b: u64): u64 {
  return (a << 7) ^ (a >> 5) ^ b;
}
function larger(a: u64, b: u64): u64 {
  return a > b ? a : b;
}
function mean(a: u64, b: u64): u64 {
  return (a & b) + ((a ^ b) >> 1);
}
function difference(a: u64, b: u64): u64 {
  return a - b;
}
const calls: arr<(a: u64, b: u64) => u64, 4> = [rotate, larger, mean, difference];
const code: arr<u8, 32> = [
  PUSH, 3, ADD, DUPLICATE, PUSH, 17, MULTIPLY, XOR, DUPLICATE, CALL, 0, PUSH, 99, CALL, 1, DUPLICATE, SHIFT, 3, CALL, 2,
  PUSH, 5, SWAP, CALL, 3, DECREMENT, JUMP_NOT_ZERO, 0, HALT, 0, 0, 0,
];
const stack: arr<u64, 32> = zeroed();

function run(program: ptr<u8>, first: u64, rounds: u64): u64 {
  let counter: u64 = rounds;
  let pc: u64 = 0;
  let top: u64 = 0;
  stack[0] = first;
  for (;;) {
    switch (program[pc++]) {
      case PUSH:
        stack[++top] = program[pc++];
        break;
      case ADD:
        stack[top - 1] += stack[top];
        top--;
        break;
      case MULTIPLY:
        stack[top - 1] *= stack[top];
        top--;
        break;
      case XOR:
        stack[top - 1] ^= stack[top];
        top--;
        break;
      case DUPLICATE:
        stack[top + 1] = stack[top];
        top++;
        break;
      case SWAP: {
        const x: u64 = stack[top];
        stack[top] = stack[top - 1];
        stack[top - 1] = x;
        break;
      }
      case SHIFT:
        stack[top] >>= program[pc++];
        break;
      case CALL:
        stack[top - 1] = calls[program[pc++]](stack[top - 1], stack[top]);
        top--;
        break;
      case JUMP_NOT_ZERO:
        pc = counter !== 0 ? u64(program[pc]) : pc + 1;
        break;
      case DECREMENT:
        counter--;
        break;
      case HALT:
        return stack[top];
      default:
        return 0;
    }
  }
}

export function dispatch(): u64 {
  return run(cast<ptr<u8>>(addr(code)), 12345, 30000);
}
