/* Ring buffer of 16-byte messages, one producer, one consumer: bursts in, bursts out, full and empty are met. */
#include "kernels.h"

struct message {
  uint64_t sequence;
  uint32_t length_bytes;
  uint32_t tag;
};
#define SLOTS 256
#define MASK (SLOTS - 1)
struct ring {
  uint64_t head, tail, refused;
  struct message slots[SLOTS];
};
static struct ring shared;

static bool put(struct ring *ring, uint64_t sequence, uint32_t length_bytes, uint32_t tag) {
  if (ring->head - ring->tail > MASK) {
    ring->refused++;
    return false;
  }
  struct message *slot = &ring->slots[ring->head & MASK];
  slot->sequence = sequence;
  slot->length_bytes = length_bytes;
  slot->tag = tag;
  ring->head++;
  return true;
}

static bool get(struct ring *ring, struct message *to) {
  if (ring->head == ring->tail) return false;
  *to = ring->slots[ring->tail & MASK];
  ring->tail++;
  return true;
}

uint64_t ring(void) {
  struct ring *r = &shared;
  r->head = r->tail = r->refused = 0;
  struct message message;
  uint64_t sum = 0, sequence = 0, x = 1;
  for (uint64_t round = 0; round < 20000; round++) {
    x = x * 6364136223846793005ull + 1442695040888963407ull;
    uint64_t burst = x >> 58;
    for (uint64_t i = 0; i < burst; i++)
      if (put(r, sequence, (uint32_t)(x >> 40), (uint32_t)i)) sequence++;
    uint64_t drain = (x >> 50) & 63;
    for (uint64_t i = 0; i < drain && get(r, &message); i++)
      sum = sum * 5 + message.sequence + (message.length_bytes ^ message.tag);
  }
  return sum + r->refused;
}
