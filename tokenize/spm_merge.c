/* Merges a stretch of normalized text as SentencePiece's BPE does. */
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "tokenize/spm_model.h"
#include "tokenize/unicode.h"

#define SHORT 64 /* bytes: below, scanning beats a heap */
#define NONE UINT32_MAX

void em_spm_merger_free(em_spm_merger *m) {
    free(m->starts);
    free(m->heap);
    free(m->nodes);
    *m = (em_spm_merger){0};
}

static int32_t piece_of(const em_spm_pieces *p, const char *s, size_t n) {
    int32_t id = n <= p->longest ? em_vocab_find(&p->vocab, s, n) : -1;
    return id >= 0 && p->vocab.tokens[id].flags & EM_TOKEN_MODEL ? id : -1;
}

static uint32_t rank_of(const em_spm_pieces *p, const char *s, size_t n) {
    int32_t id = piece_of(p, s, n);
    return id < 0 ? NONE : p->ranks[id];
}

bool em_spm_give_unknown(const em_spm_pieces *p, const char *s, size_t n, em_spm_sink *sink,
                         void *context) {
    if (!p->byte_fallback) return sink(context, p->unknown, n);
    const char *bytes = s[0] == ' ' ? "\xe2\x96\x81" : s;
    size_t count = s[0] == ' ' ? 3 : n;
    for (size_t i = 0; i < count; i++)
        if (!sink(context, p->byte_ids[(unsigned char)bytes[i]], i + 1 < count ? 0 : n))
            return false;
    return true;
}

/* A symbol that nothing merges any more. */
static bool give(const em_spm_pieces *p, const char *s, size_t n, em_spm_sink *sink,
                 void *context) {
    int32_t id = piece_of(p, s, n);
    return id >= 0 ? sink(context, id, n) : em_spm_give_unknown(p, s, n, sink, context);
}

/* ---- few symbols: the best pair is found by looking at all of them ---- */

static bool merge_short(const em_spm_pieces *p, const char *s, size_t n, em_spm_sink *sink,
                        void *context) {
    uint8_t at[SHORT + 1]; /* where the symbols begin, and the end */
    uint32_t ranks[SHORT]; /* of symbols i and i + 1 together */
    size_t count = 0;
    for (size_t i = 0; i < n; i += em_utf8_length((unsigned char)s[i])) at[count++] = (uint8_t)i;
    at[count] = (uint8_t)n;
    for (size_t i = 0; i + 1 < count; i++)
        ranks[i] = rank_of(p, s + at[i], (size_t)at[i + 2] - at[i]);
    while (count > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < count; i++)
            if (ranks[i] < ranks[best]) best = i;
        if (ranks[best] == NONE) break;
        memmove(at + best + 1, at + best + 2, count - best - 1);
        memmove(ranks + best, ranks + best + 1, (count - best - 2) * sizeof *ranks);
        count--;
        if (best + 1 < count)
            ranks[best] = rank_of(p, s + at[best], (size_t)at[best + 2] - at[best]);
        if (best)
            ranks[best - 1] = rank_of(p, s + at[best - 1], (size_t)at[best + 1] - at[best - 1]);
    }
    for (size_t i = 0; i < count; i++)
        if (!give(p, s + at[i], (size_t)at[i + 1] - at[i], sink, context)) return false;
    return true;
}

/* ---- many: a heap of merges that were possible when they were noted ---- */

static uint64_t key_of(uint32_t rank, size_t at, size_t size) {
    return (uint64_t)rank << 42 | (uint64_t)at << 10 | size;
}
static size_t place_of(uint64_t key) { return (uint32_t)(key >> 10); }
static size_t size_of(uint64_t key) { return key & 1023; }

static bool starts_at(const em_spm_merger *m, size_t i) { return m->starts[i / 64] >> i % 64 & 1; }

/* Where the symbol behind i begins; the bit behind the last symbol is set. */
static size_t next_start(const em_spm_merger *m, size_t i) {
    size_t word = ++i / 64;
    uint64_t bits = m->starts[word] >> i % 64 << i % 64;
    while (!bits) bits = m->starts[++word];
    return word * 64 + (size_t)__builtin_ctzll(bits);
}

/* Where the symbol before i begins; i > 0. */
static size_t previous_start(const em_spm_merger *m, size_t i) {
    size_t word = --i / 64;
    uint64_t bits = m->starts[word] << (63 - i % 64) >> (63 - i % 64);
    while (!bits) bits = m->starts[--word];
    return word * 64 + 63 - (size_t)__builtin_clzll(bits);
}

static bool push(em_spm_merger *m, uint64_t key, em_error *err) {
    if (m->n_heap == m->heap_capacity && !em_grow(&m->heap, &m->heap_capacity, m->n_heap + 1,
                                                  sizeof *m->heap, "a word's merges", err))
        return false;
    size_t i = m->n_heap++;
    for (; i && key < m->heap[(i - 1) / 2]; i = (i - 1) / 2) m->heap[i] = m->heap[(i - 1) / 2];
    m->heap[i] = key;
    return true;
}

static uint64_t pop(em_spm_merger *m) {
    uint64_t top = m->heap[0], last = m->heap[--m->n_heap];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < m->n_heap) {
        if (child + 1 < m->n_heap && m->heap[child + 1] < m->heap[child]) child++;
        if (m->heap[child] >= last) break;
        m->heap[i] = m->heap[child];
        i = child;
    }
    m->heap[i] = last;
    return top;
}

/* Notes the merge of the symbols at i and behind it, if there is one. */
static bool note(const em_spm_pieces *p, em_spm_merger *m, const char *s, size_t n, size_t i,
                 em_error *err) {
    size_t second = next_start(m, i);
    if (second >= n) return true;
    size_t size = next_start(m, second) - i;
    uint32_t rank = rank_of(p, s + i, size);
    return rank == NONE || push(m, key_of(rank, i, size), err);
}

static bool first_symbols(em_spm_merger *m, const char *s, size_t n, em_error *err) {
    size_t words = n / 64 + 2;
    if (!em_grow(&m->starts, &m->starts_capacity, words, sizeof *m->starts, "a word", err))
        return false;
    memset(m->starts, 0, words * sizeof *m->starts);
    for (size_t i = 0; i < n; i += em_utf8_length((unsigned char)s[i]))
        m->starts[i / 64] |= (uint64_t)1 << i % 64;
    m->starts[n / 64] |= (uint64_t)1 << n % 64;
    m->n_heap = 0;
    return true;
}

static bool merge_long(const em_spm_pieces *p, em_spm_merger *m, const char *s, size_t n,
                       em_spm_sink *sink, void *context, em_error *err) {
    if (!first_symbols(m, s, n, err)) return false;
    for (size_t i = 0; i < n; i = next_start(m, i))
        if (!note(p, m, s, n, i, err)) return false;
    while (m->n_heap) {
        uint64_t key = pop(m);
        size_t at = place_of(key), second;
        if (!starts_at(m, at) || (second = next_start(m, at)) >= n ||
            next_start(m, second) != at + size_of(key))
            continue;
        m->starts[second / 64] &= ~((uint64_t)1 << second % 64);
        if (at && !note(p, m, s, n, previous_start(m, at), err)) return false;
        if (!note(p, m, s, n, at, err)) return false;
    }
    for (size_t i = 0, end; i < n; i = end) {
        end = next_start(m, i);
        if (!give(p, s + i, end - i, sink, context)) return false;
    }
    return true;
}

static bool merge(const em_spm_pieces *p, em_spm_merger *m, const char *s, size_t n,
                  em_spm_sink *sink, void *context, em_error *err) {
    return n <= SHORT ? merge_short(p, s, n, sink, context)
                      : merge_long(p, m, s, n, sink, context, err);
}

bool em_spm_segment(const em_spm_pieces *p, em_spm_merger *m, const char *text, size_t n,
                    em_spm_sink *sink, void *context, em_error *err) {
    size_t done = 0, from = 0, start, end;
    int32_t id;
    while (em_added_next(&p->frozen, text, n, done, &from, &start, &end, &id)) {
        if (done < start && !merge(p, m, text + done, start - done, sink, context, err))
            return false;
        if (!sink(context, id, end - start)) return false;
        done = end;
    }
    return done == n || merge(p, m, text + done, n - done, sink, context, err);
}
