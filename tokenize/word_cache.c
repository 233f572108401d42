#include "tokenize/word_cache.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/size.h"

/* About 9 MB a thread. English and code together hold some 10^5 distinct words in 100 MB. */
#define SLOTS (1u << 17)
#define MAX_WORDS (SLOTS / 2)
#define ARENA_WORDS (1u << 21) /* of 4 bytes: records */

/* A record: word length, token count, ids, lengths, the word's bytes. */
typedef struct slot {
    uint32_t hash, record;
} slot; /* record 0: empty */

struct em_word_cache {
    slot *slots;
    uint32_t *arena;
    uint32_t used, count;
};

em_word_cache *em_word_cache_new(em_error *err) {
    em_word_cache *c = em_alloc(1, sizeof *c, "the word cache", err);
    if (!c) return NULL;
    c->slots = em_alloc(SLOTS, sizeof *c->slots, "the word cache", err);
    c->arena = c->slots ? em_alloc(ARENA_WORDS, sizeof *c->arena, "the word cache", err) : NULL;
    c->used = 1;
    if (c->arena) return c;
    em_word_cache_free(c);
    return NULL;
}

void em_word_cache_free(em_word_cache *c) {
    if (!c) return;
    free(c->slots);
    free(c->arena);
    free(c);
}

uint64_t em_word_hash(const char *word, size_t n) { return XXH3_64bits(word, n); }

static em_word record_tokens(const uint32_t *r) {
    return (em_word){(const int32_t *)(r + 2), r + 2 + r[1], r[1]};
}

bool em_word_cache_get(const em_word_cache *c, uint64_t hash, const char *word, size_t n,
                       em_word *out) {
    uint32_t tag = (uint32_t)(hash >> 32);
    for (size_t i = hash & (SLOTS - 1); c->slots[i].record; i = (i + 1) & (SLOTS - 1)) {
        const uint32_t *r = c->arena + c->slots[i].record;
        if (c->slots[i].hash != tag || r[0] != n || memcmp(r + 2 + 2 * r[1], word, n)) continue;
        *out = record_tokens(r);
        return true;
    }
    return false;
}

void em_word_cache_put(em_word_cache *c, uint64_t hash, const char *word, size_t n,
                       const em_word *tokens) {
    uint32_t size = (uint32_t)(2 + 2 * tokens->n + (n + 3) / 4);
    if (c->count == MAX_WORDS || size > ARENA_WORDS - c->used) {
        memset(c->slots, 0, SLOTS * sizeof *c->slots);
        c->used = 1;
        c->count = 0;
    }
    size_t i = hash & (SLOTS - 1);
    while (c->slots[i].record) i = (i + 1) & (SLOTS - 1);
    c->slots[i] = (slot){(uint32_t)(hash >> 32), c->used};
    uint32_t *r = c->arena + c->used;
    r[0] = (uint32_t)n;
    r[1] = (uint32_t)tokens->n;
    if (tokens->n) { /* a word of characters that vanish has none */
        memcpy(r + 2, tokens->ids, tokens->n * sizeof *r);
        memcpy(r + 2 + tokens->n, tokens->lengths, tokens->n * sizeof *r);
    }
    memcpy(r + 2 + 2 * tokens->n, word, n);
    c->used += size;
    c->count++;
}
