#include "tokenize/vocab.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/size.h"

void em_vocab_free(em_vocab *v) {
    free(v->text);
    free(v->tokens);
    free(v->slots);
    *v = (em_vocab){0};
}

static size_t slot_of(const em_vocab *v, const char *s, size_t n) {
    size_t i = XXH3_64bits(s, n) & (v->n_slots - 1);
    for (; v->slots[i] >= 0; i = (i + 1) & (v->n_slots - 1)) {
        const em_vocab_entry *e = &v->tokens[v->slots[i]];
        if (e->length == n && !memcmp(v->text + e->offset, s, n)) break;
    }
    return i;
}

int32_t em_vocab_find(const em_vocab *v, const char *s, size_t n) {
    return v->n_slots ? v->slots[slot_of(v, s, n)] : -1;
}

/* Twice as many slots, at most half of them full. */
static bool grow_slots(em_vocab *v, em_error *err) {
    size_t n = v->n_slots ? 2 * v->n_slots : 1024;
    int32_t *slots = em_alloc(n, sizeof *slots, "the vocabulary", err);
    if (!slots) return false;
    free(v->slots);
    v->slots = slots;
    v->n_slots = n;
    memset(slots, -1, n * sizeof *slots);
    for (int32_t id = 0; id < v->size; id++)
        if (v->tokens[id].flags) slots[slot_of(v, em_vocab_text(v, id), v->tokens[id].length)] = id;
    return true;
}

static bool reserve(em_vocab *v, size_t n, int64_t id, em_error *err) {
    size_t before = v->tokens_capacity;
    if (!em_grow(&v->tokens, &v->tokens_capacity, (size_t)id + 1, sizeof *v->tokens,
                 "the vocabulary", err))
        return false;
    memset(v->tokens + before, 0, (v->tokens_capacity - before) * sizeof *v->tokens);
    if (v->text_n > UINT32_MAX - n - 1)
        return em_fail(err, EM_INPUT, "the vocabulary's strings exceed 4 GiB");
    return em_grow(&v->text, &v->text_capacity, v->text_n + n + 1, 1, "the vocabulary", err);
}

/* How much of a token an error shows; tokens of binary files end in no NUL. */
static int shown(size_t n) { return n < 60 ? (int)n : 60; }

bool em_vocab_add(em_vocab *v, const char *s, size_t n, int64_t id, uint8_t flags, em_error *err) {
    if (id < 0 || id > EM_MAX_TOKEN_ID)
        return em_fail(err, EM_INPUT, "token \"%.*s\" has id %" PRId64 "; ids go from 0 to %d",
                       shown(n), s, id, EM_MAX_TOKEN_ID);
    if (em_vocab_has(v, id))
        return em_fail(err, EM_INPUT, "tokens \"%.60s\" and \"%.*s\" both have id %" PRId64,
                       em_vocab_text(v, (int32_t)id), shown(n), s, id);
    if (2 * ((size_t)v->count + 1) > v->n_slots && !grow_slots(v, err)) return false;
    if (!reserve(v, n, id, err)) return false;
    size_t slot = slot_of(v, s, n);
    if (v->slots[slot] >= 0)
        return em_fail(err, EM_INPUT, "token \"%.*s\" has two ids, %d and %" PRId64, shown(n), s,
                       v->slots[slot], id);
    v->tokens[id] = (em_vocab_entry){(uint32_t)v->text_n, (uint32_t)n, flags};
    if (n) memcpy(v->text + v->text_n, s, n);
    v->text[v->text_n + n] = 0;
    v->text_n += n + 1;
    v->slots[slot] = (int32_t)id;
    v->count++;
    if (id >= v->size) v->size = (int32_t)id + 1;
    return true;
}
