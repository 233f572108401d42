/* The best path through a stretch of normalized text, as unigram_model.cc of SentencePiece finds it
 * (EncodeOptimized): Viterbi over the pieces' scores, in its arithmetic. */
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "tokenize/spm_model.h"
#include "tokenize/unicode.h"

#define UNKNOWN_PENALTY 10.0f
#define NOWHERE UINT32_MAX

/* The best path that ends at a byte: its last piece, and where that starts; on the way back, where
 * the next piece ends. */
typedef struct em_spm_node {
    union {
        float score;
        uint32_t next;
    };
    int32_t id;
    uint32_t start;
} node;

/* Bytes as SentencePiece counts them: three for a space. */
static size_t escaped(const char *s, size_t n) {
    size_t bytes = n;
    for (size_t i = 0; i < n; i++) bytes += s[i] == ' ' ? 2 : 0;
    return bytes;
}

/* A user-defined symbol gets what makes it win. */
static double score_of(const em_spm_pieces *p, int32_t id, const char *s, size_t n) {
    if (!em_spm_is_user(p, id)) return p->scores[id];
    return (float)escaped(s, n) * p->most - 0.1;
}

static void offer(node *to, double score, int32_t id, size_t start) {
    if (to->start != NOWHERE && !(score > to->score)) return;
    to->score = (float)score;
    to->id = id;
    to->start = (uint32_t)start;
}

/* Every piece that starts at s[at], whose first character has length bytes. */
static void pieces_from(const em_spm_pieces *p, node *nodes, const char *s, size_t n, size_t at,
                        size_t length) {
    float before = nodes[at].score;
    bool single = false;
    uint32_t branch = 0;
    for (size_t i = at; i < n; i++) {
        branch = em_added_child(&p->held, branch, (unsigned char)s[i]);
        if (!branch) break;
        int32_t id = em_added_at(&p->held, branch);
        if (id < 0) continue;
        offer(&nodes[i + 1], score_of(p, id, s + at, i + 1 - at) + before, id, at);
        single |= i + 1 - at == length;
    }
    if (!single) offer(&nodes[at + length], (p->least - UNKNOWN_PENALTY) + before, p->unknown, at);
}

static bool give_path(const em_spm_pieces *p, node *nodes, const char *s, size_t n,
                      em_spm_sink *sink, void *context) {
    for (size_t i = n; i; i = nodes[i].start) nodes[nodes[i].start].next = (uint32_t)i;
    for (size_t i = 0, end; i < n; i = end) {
        end = nodes[i].next;
        int32_t id = nodes[end].id;
        bool ok = id == p->unknown ? em_spm_give_unknown(p, s + i, end - i, sink, context)
                                   : sink(context, id, end - i);
        if (!ok) return false;
    }
    return true;
}

bool em_spm_best_path(const em_spm_pieces *p, em_spm_merger *m, const char *text, size_t n,
                      float *score, em_spm_sink *sink, void *context, em_error *err) {
    if (!em_grow(&m->nodes, &m->nodes_capacity, n + 1, sizeof *m->nodes, "a word's pieces", err))
        return false;
    node *nodes = m->nodes;
    for (size_t i = 0; i <= n; i++) nodes[i].start = NOWHERE;
    nodes[0].score = *score;
    for (size_t i = 0, length; i < n; i += length) {
        length = em_utf8_length((unsigned char)text[i]);
        pieces_from(p, nodes, text, n, i, length);
    }
    *score = nodes[n].score;
    return give_path(p, nodes, text, n, sink, context);
}
