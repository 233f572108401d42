#include "tokenize/added.h"

#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "tokenize/unicode.h"

void em_added_free(em_added *a) {
    free(a->tokens);
    free(a->ends);
    free(a->edges);
    *a = (em_added){0};
}

static size_t edge_slot(const em_added *a, uint32_t key) {
    size_t i = (key * 0x9e3779b1u >> 7) & (a->n_slots - 1);
    while (a->edges[i].to && a->edges[i].key != key) i = (i + 1) & (a->n_slots - 1);
    return i;
}

uint32_t em_added_child(const em_added *a, uint32_t node, unsigned char byte) {
    return a->edges[edge_slot(a, node << 8 | byte)].to;
}

static bool grow_edges(em_added *a, em_error *err) {
    em_added_edge *old = a->edges;
    size_t n = a->n_slots;
    a->n_slots = n ? 2 * n : 256;
    a->edges = em_alloc(a->n_slots, sizeof *a->edges, "the added tokens", err);
    if (!a->edges) {
        a->edges = old;
        a->n_slots = n;
        return false;
    }
    for (size_t i = 0; i < n; i++)
        if (old[i].to) a->edges[edge_slot(a, old[i].key)] = old[i];
    free(old);
    return true;
}

static bool add_node(em_added *a, em_error *err) {
    if (a->n_nodes >= 1 << 24)
        return em_fail(err, EM_INPUT, "the added tokens exceed 16 MiB of text");
    if (!em_grow(&a->ends, &a->ends_capacity, a->n_nodes + 1, sizeof *a->ends, "the added tokens",
                 err))
        return false;
    a->ends[a->n_nodes++] = -1;
    return true;
}

static bool step(em_added *a, uint32_t *node, unsigned char byte, em_error *err) {
    if (2 * (a->n_edges + 1) > a->n_slots && !grow_edges(a, err)) return false;
    size_t i = edge_slot(a, *node << 8 | byte);
    if (!a->edges[i].to) {
        if (!add_node(a, err)) return false;
        a->edges[i] = (em_added_edge){*node << 8 | byte, (uint32_t)a->n_nodes - 1};
        a->n_edges++;
    }
    *node = a->edges[i].to;
    return true;
}

bool em_added_insert(em_added *a, const char *text, size_t n, const em_added_token *token,
                     em_error *err) {
    uint32_t node = 0;
    if (!n) return true;
    if (!a->n_nodes && !add_node(a, err)) return false;
    for (size_t i = 0; i < n; i++)
        if (!step(a, &node, (unsigned char)text[i], err)) return false;
    if (a->ends[node] >= 0) return true;
    if (!em_grow(&a->tokens, &a->tokens_capacity, a->n_tokens + 1, sizeof *token,
                 "the added tokens", err))
        return false;
    a->ends[node] = (int32_t)a->n_tokens;
    a->tokens[a->n_tokens++] = *token;
    a->first[(unsigned char)text[0]] = true;
    return true;
}

/* The longest token at s[i]: its index and end, or -1. */
static int32_t longest(const em_added *a, const char *s, size_t n, size_t i, size_t *end) {
    int32_t found = -1;
    for (uint32_t node = 0; i < n && (node = em_added_child(a, node, (unsigned char)s[i])) != 0;)
        if (i++, a->ends[node] >= 0) {
            found = a->ends[node];
            *end = i;
        }
    return found;
}

static bool word_beside(const char *s, size_t n, size_t start, size_t end) {
    size_t at;
    unsigned length;
    return (start && em_is_word(em_utf8_before(s, start, &at))) ||
           (end < n && em_is_word(em_utf8_at(s + end, &length)));
}

static void strip(const em_added_token *t, const char *s, size_t n, size_t done, size_t *start,
                  size_t *end) {
    size_t at;
    unsigned length;
    while (t->lstrip && *start > done && em_is_space(em_utf8_before(s, *start, &at))) *start = at;
    while (t->rstrip && *end < n && em_is_space(em_utf8_at(s + *end, &length))) *end += length;
}

bool em_added_next(const em_added *a, const char *s, size_t n, size_t done, size_t *from,
                   size_t *start, size_t *end, int32_t *id) {
    size_t i = *from;
    while (a->n_tokens && i < n) {
        int32_t found = a->first[(unsigned char)s[i]] ? longest(a, s, n, i, end) : -1;
        if (found < 0) {
            i++;
            continue;
        }
        const em_added_token *t = &a->tokens[found];
        *start = i;
        i = *from = *end;
        if (t->single_word && word_beside(s, n, *start, *end)) continue;
        strip(t, s, n, done, start, end);
        *id = t->id;
        return true;
    }
    return false;
}

size_t em_added_prefix(const em_added *a, const char *s, size_t n) {
    size_t end = 0;
    return a->first[(unsigned char)s[0]] && longest(a, s, n, 0, &end) >= 0 ? end : 0;
}

int32_t em_added_at(const em_added *a, uint32_t node) {
    return a->ends[node] >= 0 ? a->tokens[a->ends[node]].id : -1;
}
