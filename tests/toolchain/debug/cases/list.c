/* Structs behind pointers: a pool of nodes, a list that grows, is reversed and is walked. */
#include "cases.h"

struct node {
  uint32_t value;
  uint16_t weight;
  struct node *next;
};
static struct node pool[8];
static uint64_t used;

static struct node *allocate(uint32_t value, struct node *next) {
  struct node *node = &pool[used];
  used++;
  node->value = value;
  node->weight = (uint16_t)(value * 3);
  node->next = next;
  return node;
}

static struct node *reverse(struct node *first) {
  struct node *done = NULL;
  struct node *at = first;
  while (at != NULL) {
    struct node *next = at->next;
    at->next = done;
    done = at;
    at = next;
  }
  return done;
}

static uint64_t total(struct node *first) {
  uint64_t sum = 0;
  uint64_t place = 1;
  for (struct node *at = first; at != NULL; at = at->next) {
    const uint64_t part = (uint64_t)at->value * place;
    sum += part + (uint64_t)at->weight;
    place++;
  }
  return sum;
}

KEPT uint64_t list(uint64_t seed) {
  struct node *head = NULL;
  for (uint32_t i = 0; i < 5; i++) {
    head = allocate((uint32_t)seed + i * i, head);
  }
  const uint64_t before = total(head);
  head = reverse(head);
  const uint64_t after = total(head);
  return before * 1000 + after;
}
