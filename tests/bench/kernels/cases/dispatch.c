/* Dispatch: a stack machine by `switch`, with calls through a table of functions as a system-call table has. */
#include "kernels.h"

enum { PUSH, ADD, MULTIPLY, XOR, DUPLICATE, SWAP, SHIFT, CALL, JUMP_NOT_ZERO, DECREMENT, HALT };

static uint64_t rotate(uint64_t a, uint64_t b) { return (a << 7) ^ (a >> 5) ^ b; }
static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }
static uint64_t mean(uint64_t a, uint64_t b) { return (a & b) + ((a ^ b) >> 1); }
static uint64_t difference(uint64_t a, uint64_t b) { return a - b; }

static uint64_t (*const calls[4])(uint64_t, uint64_t) = {rotate, larger, mean, difference};
static const uint8_t code[32] = {
  PUSH, 3, ADD, DUPLICATE, PUSH, 17, MULTIPLY, XOR, DUPLICATE, CALL, 0, PUSH, 99, CALL, 1, DUPLICATE, SHIFT, 3, CALL, 2,
  PUSH, 5, SWAP, CALL, 3, DECREMENT, JUMP_NOT_ZERO, 0, HALT,
};
static uint64_t stack[32];

static uint64_t run(const uint8_t *program, uint64_t first, uint64_t rounds) {
  uint64_t counter = rounds, pc = 0, top = 0;
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
        uint64_t x = stack[top];
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
        pc = counter != 0 ? program[pc] : pc + 1;
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

uint64_t dispatch(void) { return run(code, 12345, 30000); }
