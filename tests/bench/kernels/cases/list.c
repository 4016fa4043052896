/* Linked list: build, merge sort by splitting with two runners, reverse, unlink every third, sum. */
#include "kernels.h"

struct node {
  struct node *next;
  uint64_t key;
};
#define COUNT 4000
static struct node nodes[COUNT];

static struct node *merge(struct node *a, struct node *b) {
  struct node head, *tail = &head;
  while (a != NULL && b != NULL) {
    if (b->key < a->key) {
      tail->next = b;
      tail = b;
      b = b->next;
    } else {
      tail->next = a;
      tail = a;
      a = a->next;
    }
  }
  tail->next = a != NULL ? a : b;
  return head.next;
}

static struct node *sorted(struct node *list) {
  if (list == NULL || list->next == NULL) return list;
  struct node *slow = list, *fast = list->next;
  while (fast != NULL && fast->next != NULL) {
    struct node *next = slow->next;
    if (next == NULL) break;
    slow = next;
    fast = fast->next->next;
  }
  struct node *second = slow->next;
  slow->next = NULL;
  return merge(sorted(list), sorted(second));
}

static struct node *reversed(struct node *list) {
  struct node *result = NULL;
  while (list != NULL) {
    struct node *next = list->next;
    list->next = result;
    result = list;
    list = next;
  }
  return result;
}

uint64_t list(void) {
  struct node *head = NULL;
  uint64_t x = 5;
  for (uint64_t i = 0; i < COUNT; i++) {
    x = x * 6364136223846793005ull + 1442695040888963407ull;
    struct node *node = &nodes[i];
    node->key = x >> 40;
    node->next = head;
    head = node;
  }
  head = sorted(head);
  uint64_t sum = 0;
  for (uint64_t round = 0; round < 20; round++) {
    head = reversed(head);
    for (struct node *p = head; p != NULL; p = p->next) sum = sum * 3 + p->key;
  }
  uint64_t at = 0;
  for (struct node *p = head; p != NULL; p = p->next) {
    struct node *next = p->next;
    if (++at % 3 == 0 && next != NULL) p->next = next->next;
  }
  for (struct node *p = head; p != NULL; p = p->next) sum = sum * 5 + p->key;
  return sum;
}
