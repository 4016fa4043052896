/* Branches: a scanner of numbers and operators with a switch, short-circuit conditions and early returns. */
#include "cases.h"

enum kind { END = 0, NUMBER = 1, PLUS = 2, TIMES = 3, OTHER = 4 };
struct token {
  enum kind kind;
  uint64_t value;
};
static const char *const text = "12+3*45 +6?";
static uint64_t place;

static bool is_digit(uint8_t c) {
  return c >= 48 && c <= 57;
}

static bool next(struct token *token) {
  uint8_t c = text[place];
  while (c == 32) {
    place++;
    c = text[place];
  }
  if (c == 0) {
    token->kind = END;
    return false;
  }
  if (is_digit(c)) {
    uint64_t number = 0;
    while (is_digit(c)) {
      const uint64_t digit = (uint64_t)c - 48;
      number = number * 10 + digit;
      place++;
      c = text[place];
    }
    token->kind = NUMBER;
    token->value = number;
    return true;
  }
  place++;
  switch (c) {
    case 43:
      token->kind = PLUS;
      break;
    case 42:
      token->kind = TIMES;
      break;
    default:
      token->kind = OTHER;
  }
  return true;
}

KEPT uint64_t scanner(uint64_t seed) {
  struct token token = {END, 0};
  uint64_t sum = seed;
  uint32_t tokens = 0;
  bool times = false;
  while (next(&token)) {
    tokens++;
    const enum kind kind = token.kind;
    if (kind == NUMBER && times) {
      sum = sum * token.value;
      times = false;
    } else if (kind == NUMBER) {
      sum += token.value;
    } else {
      times = kind == TIMES;
    }
  }
  return sum * 100 + (uint64_t)tokens;
}
