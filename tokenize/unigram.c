#include "tokenize/unigram.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "tokenize/unicode.h"
#include "tokenize/word_cache.h"

#define UNKNOWN_PENALTY 10.0
#define NOWHERE UINT32_MAX

void em_unigram_free(em_unigram *u) {
    em_added_free(&u->pieces);
    free(u->scores);
    *u = (em_unigram){0};
}

void em_unigram_scratch_free(em_unigram_scratch *s) {
    free(s->nodes);
    free(s->ids);
    free(s->lengths);
    *s = (em_unigram_scratch){0};
}

static void note_byte(em_unigram *u, const char *piece, size_t n, int32_t id) {
    for (int i = 0; n == 6 && i < 256; i++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", i);
        if (!memcmp(text, piece, 6)) u->byte_ids[i] = id;
    }
}

bool em_unigram_add(em_unigram *u, const char *piece, size_t n, double score, int32_t id,
                    em_error *err) {
    em_added_token token = {.id = id};
    if (!id) memset(u->byte_ids, -1, sizeof u->byte_ids);
    if (!em_grow(&u->scores, &u->scores_capacity, (size_t)id + 1, sizeof *u->scores, "scores", err))
        return false;
    u->scores[id] = score;
    if (!id || score < u->least) u->least = score;
    note_byte(u, piece, n, id);
    return em_added_insert(&u->pieces, piece, n, &token, err);
}

/* ---- the best path ---- */

static void offer(em_unigram_node *to, double score, int32_t id, size_t start) {
    if (to->start != NOWHERE && !(score > to->score)) return;
    *to = (em_unigram_node){.score = score, .id = id, .start = (uint32_t)start};
}

/* Every piece that starts at s[at], whose first character has length bytes. */
static void pieces_from(const em_unigram *u, em_unigram_node *nodes, const char *s, size_t n,
                        size_t at, size_t length) {
    double before = nodes[at].score;
    bool single = false;
    uint32_t branch = 0;
    for (size_t i = at; i < n; i++) {
        branch = em_added_child(&u->pieces, branch, (unsigned char)s[i]);
        if (!branch) break;
        int32_t id = em_added_at(&u->pieces, branch);
        if (id < 0) continue;
        offer(&nodes[i + 1], u->scores[id] + before, id, at);
        single |= i + 1 - at == length;
    }
    if (!single) offer(&nodes[at + length], u->least - UNKNOWN_PENALTY + before, u->unknown, at);
}

static bool put(em_unigram_scratch *s, int32_t id, size_t length, em_error *err) {
    if (!em_grow(&s->ids, &s->ids_capacity, s->n + 1, sizeof *s->ids, "a word's tokens", err) ||
        !em_grow(&s->lengths, &s->lengths_capacity, s->n + 1, sizeof *s->lengths, "a word's tokens",
                 err))
        return false;
    s->ids[s->n] = id;
    s->lengths[s->n++] = (uint32_t)length;
    return true;
}

static bool falls_back(const em_unigram *u, const char *s, size_t n) {
    for (size_t i = 0; i < n && u->byte_fallback; i++)
        if (u->byte_ids[(unsigned char)s[i]] < 0) return false;
    return u->byte_fallback;
}

static int32_t piece_of(const em_unigram *u, const char *s, size_t n) {
    uint32_t node = 0;
    for (size_t i = 0; i < n; i++)
        if (!(node = em_added_child(&u->pieces, node, (unsigned char)s[i]))) return -1;
    return em_added_at(&u->pieces, node);
}

/* A run of unknown characters: its bytes' pieces, or one unknown token. */
static bool put_unknown(const em_unigram *u, em_unigram_scratch *s, const char *run, size_t n,
                        em_error *err) {
    int32_t known = piece_of(u, run, n); /* the text has the unknown token's own string */
    if (known >= 0) return put(s, known, n, err);
    if (!falls_back(u, run, n)) {
        if (u->unknown >= 0) return put(s, u->unknown, n, err);
        return em_fail(err, EM_INPUT, "\"%.*s\" has no token, and the model names no unk_id for it",
                       n < 32 ? (int)n : 32, run);
    }
    for (size_t i = 0; i < n; i++)
        if (!put(s, u->byte_ids[(unsigned char)run[i]], 1, err)) return false;
    return true;
}

static bool put_path(const em_unigram *u, em_unigram_scratch *s, const char *word, size_t n,
                     em_error *err) {
    em_unigram_node *nodes = s->nodes;
    for (size_t i = n; i; i = nodes[i].start) nodes[nodes[i].start].next = (uint32_t)i;
    for (size_t i = 0, end; i < n; i = end) {
        end = nodes[i].next;
        int32_t id = nodes[end].id;
        while (id == u->unknown && end < n && nodes[nodes[end].next].id == id)
            end = nodes[end].next;
        bool unknown = id == u->unknown;
        if (!(unknown ? put_unknown(u, s, word + i, end - i, err) : put(s, id, end - i, err)))
            return false;
    }
    return true;
}

static bool best_path(const em_unigram *u, em_unigram_scratch *s, const char *word, size_t n,
                      em_error *err) {
    s->n = 0;
    if (!em_grow(&s->nodes, &s->nodes_capacity, n + 1, sizeof *s->nodes, "a word's pieces", err))
        return false;
    for (size_t i = 0; i <= n; i++) s->nodes[i].start = NOWHERE;
    s->nodes[0].score = 0;
    for (size_t i = 0, length; i < n; i += length) {
        length = em_utf8_length((unsigned char)word[i]);
        if (length > n - i) length = n - i; /* a charsmap may make anything of a text */
        pieces_from(u, s->nodes, word, n, i, length);
    }
    return put_path(u, s, word, n, err);
}

bool em_unigram_encode(const em_unigram *u, em_unigram_scratch *s, em_word_cache *cache,
                       const char *word, size_t n, em_word_sink *sink, void *context,
                       em_error *err) {
    em_word tokens;
    bool kept = n <= EM_CACHED_WORD;
    uint64_t hash = kept ? em_word_hash(word, n) : 0;
    if (kept && em_word_cache_get(cache, hash, word, n, &tokens))
        return sink(context, 0, &tokens, err);
    if (!best_path(u, s, word, n, err)) return false;
    tokens = (em_word){s->ids, s->lengths, s->n};
    if (kept) em_word_cache_put(cache, hash, word, n, &tokens);
    return sink(context, 0, &tokens, err);
}
