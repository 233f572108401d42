#include "tokenize/bpe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "tokenize/pretokenize.h"
#include "tokenize/unicode.h"
#include "tokenize/word_cache.h"

#define SHORT_WORD 24 /* symbols: below, scanning beats a heap */
#define ADJACENT_BITS (1u << 20)

/* ---- merges ---- */

static uint64_t pair_of(int32_t left, int32_t right) {
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static size_t slot_of(const em_bpe *b, uint64_t pair) {
    size_t i = (size_t)((pair * 0x9e3779b97f4a7c15u) >> 20) & (b->n_slots - 1);
    while (b->merges[i].pair != pair && b->merges[i].pair != UINT64_MAX)
        i = (i + 1) & (b->n_slots - 1);
    return i;
}

static const em_merge *find_merge(const em_bpe *b, int32_t left, int32_t right) {
    const em_merge *m = &b->merges[slot_of(b, pair_of(left, right))];
    return m->pair == UINT64_MAX ? NULL : m;
}

void em_bpe_free(em_bpe *b) {
    free(b->merges);
    free(b->adjacent);
    *b = (em_bpe){0};
}

bool em_bpe_reserve(em_bpe *b, size_t n, em_error *err) {
    b->n_slots = 16;
    while (b->n_slots < 2 * n) b->n_slots *= 2;
    b->merges = em_alloc(b->n_slots, sizeof *b->merges, "the merges", err);
    if (b->merges) memset(b->merges, 0xff, b->n_slots * sizeof *b->merges);
    return b->merges != NULL;
}

void em_bpe_add_merge(em_bpe *b, int32_t left, int32_t right, uint32_t rank, int32_t id) {
    size_t i = slot_of(b, pair_of(left, right));
    if (b->merges[i].pair == UINT64_MAX) b->n_merges++;
    b->merges[i] = (em_merge){pair_of(left, right), rank, id};
}

/* ---- where words can be cut: between characters that no merge ever joins ---- */

static size_t adjacent_bit(int32_t a, int32_t b) {
    return (size_t)((pair_of(a, b) * 0x9e3779b97f4a7c15u) >> 44) & (ADJACENT_BITS - 1);
}

static bool joined(const em_bpe *b, int32_t first, int32_t second) {
    size_t bit = adjacent_bit(first, second);
    return b->adjacent[bit / 64] >> bit % 64 & 1;
}

static bool is_byte_token(const em_bpe *b, int32_t id) {
    for (int i = 0; i < 256 && b->byte_fallback; i++)
        if (b->byte_ids[i] == id) return true;
    return false;
}

/* Hash collisions only lose a cut. Merges of byte tokens or of empty strings: no cuts at all. */
static bool note_adjacent(em_bpe *b, em_error *err) {
    b->adjacent = em_alloc(ADJACENT_BITS / 64, sizeof *b->adjacent, "the merges", err);
    for (size_t i = 0; b->adjacent && i < b->n_slots; i++) {
        if (b->merges[i].pair == UINT64_MAX) continue;
        int32_t left = (int32_t)(b->merges[i].pair >> 32), right = (int32_t)b->merges[i].pair;
        size_t n = b->vocab->tokens[left].length, start;
        unsigned length;
        if (is_byte_token(b, left) || is_byte_token(b, right) || !n ||
            !b->vocab->tokens[right].length) {
            free(b->adjacent);
            b->adjacent = NULL;
            return true;
        }
        size_t bit = adjacent_bit(em_utf8_before(em_vocab_text(b->vocab, left), n, &start),
                                  em_utf8_at(em_vocab_text(b->vocab, right), &length));
        b->adjacent[bit / 64] |= (uint64_t)1 << bit % 64;
    }
    return b->adjacent != NULL;
}

static int32_t model_token(const em_bpe *b, const char *s, size_t n) {
    int32_t id = em_vocab_find(b->vocab, s, n);
    return id >= 0 && b->vocab->tokens[id].flags & EM_TOKEN_MODEL ? id : -1;
}

bool em_bpe_finish(em_bpe *b, em_error *err) {
    for (int i = 0; i < 256; i++) {
        char text[8];
        int n = b->raw_bytes ? (int)em_utf8_put(em_byte_character((uint8_t)i), text)
                             : snprintf(text, sizeof text, "<0x%02X>", i);
        b->byte_ids[i] = model_token(b, text, (size_t)n);
        if (i < 128) b->ascii_ids[i] = model_token(b, (char[]){(char)i}, 1);
    }
    if (b->raw_bytes || b->ignore_merges) return true; /* words of their own, looked up whole */
    return note_adjacent(b, err);
}

/* ---- a word's first symbols: one a byte, or one a character ---- */

bool em_bpe_scratch_new(em_bpe_scratch *s, em_error *err) {
    *s = (em_bpe_scratch){.cache = em_word_cache_new(err)};
    return s->cache != NULL;
}

void em_bpe_scratch_free(em_bpe_scratch *s) {
    free(s->symbols);
    free(s->heap);
    free(s->ids);
    free(s->lengths);
    em_word_cache_free(s->cache);
    *s = (em_bpe_scratch){0};
}

static bool add_symbol(em_bpe_scratch *s, int32_t id, uint32_t length, em_error *err) {
    if (s->n_symbols == s->symbols_capacity &&
        !em_grow(&s->symbols, &s->symbols_capacity, s->n_symbols + 1, sizeof *s->symbols,
                 "a word's tokens", err))
        return false;
    s->symbols[s->n_symbols++] = (em_symbol){.id = id, .length = length};
    return true;
}

static int32_t character_token(const em_bpe *b, const char *s, unsigned length) {
    return length == 1 ? b->ascii_ids[(unsigned char)s[0]] : model_token(b, s, length);
}

static bool falls_back(const em_bpe *b, const char *s, unsigned length) {
    for (unsigned i = 0; i < length && b->byte_fallback; i++)
        if (b->byte_ids[(unsigned char)s[i]] < 0) return false;
    return b->byte_fallback;
}

static bool byte_symbols(const em_bpe *b, em_bpe_scratch *s, const char *word, size_t n,
                         em_error *err) {
    for (size_t i = 0; i < n; i++)
        if (!add_symbol(s, b->byte_ids[(unsigned char)word[i]], 1, err)) return false;
    return true;
}

/* As BPE::merge_word of Hugging Face tokenizers, to the letter: an unknown token waits until the
 * next known character, so byte tokens overtake it. Bytes of characters that vanish (neither
 * token nor unknown token) are counted with the next symbol. */
static bool character_symbols(const em_bpe *b, em_bpe_scratch *s, const char *word, size_t n,
                              em_error *err) {
    uint32_t unknown = 0, vanished = 0;
    for (size_t i = 0; i < n;) {
        unsigned length = em_utf8_length((unsigned char)word[i]);
        int32_t id = character_token(b, word + i, length);
        bool bytes = id < 0 && falls_back(b, word + i, length);
        if (bytes && !byte_symbols(b, s, word + i, length, err)) return false;
        if (unknown && (id >= 0 || (!bytes && !b->fuse_unknown))) {
            if (!add_symbol(s, b->unknown, unknown, err)) return false;
            unknown = 0;
        }
        if (id >= 0 && !add_symbol(s, id, length + vanished, err)) return false;
        if (id >= 0) vanished = 0;
        else if (!bytes && b->unknown >= 0) unknown += length;
        else if (!bytes) vanished += length;
        i += length;
    }
    return !unknown || add_symbol(s, b->unknown, unknown, err);
}

/* ---- merging ---- */

static void rank_pair(const em_bpe *b, const em_symbol *left, uint32_t *rank, int32_t *id) {
    const em_merge *m = find_merge(b, left[0].id, left[1].id);
    *rank = m ? m->rank : UINT32_MAX;
    *id = m ? m->id : -1;
}

/* Few symbols: the best pair is found by looking at all of them. */
static void merge_short(const em_bpe *b, em_bpe_scratch *s) {
    uint32_t ranks[SHORT_WORD];
    int32_t ids[SHORT_WORD];
    em_symbol *y = s->symbols;
    size_t n = s->n_symbols;
    for (size_t i = 0; i + 1 < n; i++) rank_pair(b, y + i, &ranks[i], &ids[i]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (ranks[i] < ranks[best]) best = i;
        if (ranks[best] == UINT32_MAX) break;
        y[best].id = ids[best];
        y[best].length += y[best + 1].length;
        n--;
        memmove(y + best + 1, y + best + 2, (n - best - 1) * sizeof *y);
        if (best + 1 < n) {
            memmove(ranks + best, ranks + best + 1, (n - best - 1) * sizeof *ranks);
            memmove(ids + best, ids + best + 1, (n - best - 1) * sizeof *ids);
            rank_pair(b, y + best, &ranks[best], &ids[best]);
        }
        if (best) rank_pair(b, y + best - 1, &ranks[best - 1], &ids[best - 1]);
    }
    s->n_symbols = n;
}

static bool before(em_candidate a, em_candidate b) {
    return a.rank != b.rank ? a.rank < b.rank : a.at < b.at;
}

static bool push_pair(const em_bpe *b, em_bpe_scratch *s, int32_t at, em_error *err) {
    const em_symbol *left = &s->symbols[at];
    const em_merge *m = at >= 0 && left->next >= 0
                            ? find_merge(b, left->id, s->symbols[left->next].id)
                            : NULL;
    if (!m) return true;
    if (s->n_heap == s->heap_capacity && !em_grow(&s->heap, &s->heap_capacity, s->n_heap + 1,
                                                  sizeof *s->heap, "a word's merges", err))
        return false;
    size_t i = s->n_heap++;
    em_candidate c = {m->rank, at, m->id};
    for (; i && before(c, s->heap[(i - 1) / 2]); i = (i - 1) / 2) s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = c;
    return true;
}

static em_candidate pop(em_bpe_scratch *s) {
    em_candidate top = s->heap[0], last = s->heap[--s->n_heap];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < s->n_heap) {
        if (child + 1 < s->n_heap && before(s->heap[child + 1], s->heap[child])) child++;
        if (!before(s->heap[child], last)) break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    s->heap[i] = last;
    return top;
}

static void drop_merged(em_bpe_scratch *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n_symbols; i++)
        if (s->symbols[i].length) s->symbols[n++] = s->symbols[i];
    s->n_symbols = n;
}

/* O(n log n): a candidate that no longer describes its place is skipped. */
static bool merge_long(const em_bpe *b, em_bpe_scratch *s, em_error *err) {
    int32_t n = (int32_t)s->n_symbols;
    s->n_heap = 0;
    for (int32_t i = 0; i < n; i++) {
        s->symbols[i].previous = i - 1;
        s->symbols[i].next = i + 1 < n ? i + 1 : -1;
    }
    for (int32_t i = 0; i < n; i++)
        if (!push_pair(b, s, i, err)) return false;
    while (s->n_heap) {
        em_candidate c = pop(s);
        em_symbol *left = &s->symbols[c.at];
        if (!left->length || left->next < 0) continue;
        em_symbol *right = &s->symbols[left->next];
        const em_merge *m = find_merge(b, left->id, right->id);
        if (!m || m->id != c.id) continue;
        left->id = c.id;
        left->length += right->length;
        left->next = right->next;
        right->length = 0;
        if (left->next >= 0) s->symbols[left->next].previous = c.at;
        if (left->previous >= 0 && !push_pair(b, s, left->previous, err)) return false;
        if (!push_pair(b, s, c.at, err)) return false;
    }
    drop_merged(s);
    return true;
}

/* ---- words ---- */

/* The token that a whole word is, or -1. Raw bytes are looked up as the alphabet spells them. */
static int32_t whole_word(const em_bpe *b, const char *word, size_t n) {
    char text[2 * EM_CACHED_WORD];
    size_t length = 0;
    if (!b->raw_bytes) return model_token(b, word, n);
    if (n > EM_CACHED_WORD) return -1;
    for (size_t i = 0; i < n; i++)
        length += em_utf8_put(em_byte_character((uint8_t)word[i]), text + length);
    return model_token(b, text, length);
}

static bool merge_word(const em_bpe *b, em_bpe_scratch *s, const char *word, size_t n,
                       em_error *err) {
    int32_t whole = b->ignore_merges ? whole_word(b, word, n) : -1;
    s->n_symbols = 0;
    if (whole >= 0) return add_symbol(s, whole, (uint32_t)n, err);
    bool ok = b->raw_bytes ? byte_symbols(b, s, word, n, err)
                           : character_symbols(b, s, word, n, err);
    if (!ok) return false;
    if (s->n_symbols > SHORT_WORD) return merge_long(b, s, err);
    merge_short(b, s);
    return true;
}

static bool copy_symbols(em_bpe_scratch *s, em_word *out, em_error *err) {
    size_t n = s->n_symbols;
    if (!em_grow(&s->ids, &s->ids_capacity, n, sizeof *s->ids, "a word's tokens", err) ||
        !em_grow(&s->lengths, &s->lengths_capacity, n, sizeof *s->lengths, "a word's tokens", err))
        return false;
    for (size_t i = 0; i < n; i++) {
        s->ids[i] = s->symbols[i].id;
        s->lengths[i] = s->symbols[i].length;
    }
    *out = (em_word){s->ids, s->lengths, n};
    return true;
}

static bool encode_stretch(const em_bpe *b, em_bpe_scratch *s, const char *word, size_t n,
                           em_word *out, em_error *err) {
    if (n > EM_CACHED_WORD) return merge_word(b, s, word, n, err) && copy_symbols(s, out, err);
    uint64_t hash = em_word_hash(word, n);
    if (em_word_cache_get(s->cache, hash, word, n, out)) return true;
    if (!merge_word(b, s, word, n, err) || !copy_symbols(s, out, err)) return false;
    em_word_cache_put(s->cache, hash, word, n, out);
    return true;
}

/* The end of the stretch that begins at word[from]. Unknown characters may fuse: no cut there. */
static size_t stretch_end(const em_bpe *b, const char *word, size_t n, size_t from) {
    if (!b->adjacent) return n;
    unsigned length, next_length;
    int32_t c = em_utf8_at(word + from, &length), next;
    for (size_t i = from; i + length < n; i += length, length = next_length, c = next) {
        next = em_utf8_at(word + i + length, &next_length);
        if (joined(b, c, next)) continue;
        if (character_token(b, word + i, length) >= 0 &&
            character_token(b, word + i + length, next_length) >= 0)
            return i + length;
    }
    return n;
}

bool em_bpe_encode(const em_bpe *b, em_bpe_scratch *s, const char *word, size_t n,
                   em_word_sink *sink, void *context, em_error *err) {
    for (size_t from = 0, to; from < n; from = to) {
        em_word tokens;
        to = stretch_end(b, word, n, from);
        if (!encode_stretch(b, s, word + from, to - from, &tokens, err)) return false;
        if (!sink(context, from, &tokens, err)) return false;
    }
    return true;
}
