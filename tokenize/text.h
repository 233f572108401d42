/* Text on its way through normalizers and pre-tokenizers, with the account of which input
 * bytes each of its own bytes answers for. */
#ifndef EM_TOKENIZE_TEXT_H
#define EM_TOKENIZE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"

/* Read-only text. base: input bytes covered before it; end[i]: input bytes covered once its
 * byte i is (never decreasing). end NULL: the text is the input itself from base on. */
typedef struct em_view {
    const char *data;
    const uint32_t *end;
    size_t n;
    uint32_t base;
} em_view;

/* Input bytes covered once byte i of v is, i < n. */
static inline uint32_t em_view_end(const em_view *v, size_t i) {
    return v->end ? v->end[i] : v->base + (uint32_t)i + 1;
}

/* Input bytes covered by the first i bytes of v. */
static inline uint32_t em_view_covered(const em_view *v, size_t i) {
    return i ? em_view_end(v, i - 1) : v->base;
}

/* Bytes [from, to) of v, as a view of the same memory. */
static inline em_view em_view_slice(const em_view *v, size_t from, size_t to) {
    return (em_view){v->data + from, v->end ? v->end + from : NULL, to - from,
                     em_view_covered(v, from)};
}

/* A rewritten text, owned; {0} is empty and ready. */
typedef struct em_text {
    char *data;
    uint32_t *end;
    size_t n, data_capacity, end_capacity;
    uint32_t base;
} em_text;

void em_text_free(em_text *t); /* frees and zeroes */
/* Empties t and keeps its memory; base: input bytes covered before it. */
void em_text_start(em_text *t, uint32_t base);
/* Appends n bytes that cover the input up to end, all of it counted at the first of them. Errors of
 * both: EM_INPUT where t passes 2 GiB, EM_MACHINE. */
bool em_text_put(em_text *t, const char *bytes, size_t n, uint32_t end, em_error *err);
/* Appends bytes [first, last) of from with what they cover; from must not lie in t. */
bool em_text_copy(em_text *t, const em_view *from, size_t first, size_t last, em_error *err);

/* What stands in t, valid until t changes. */
static inline em_view em_text_view(const em_text *t) {
    return (em_view){t->data, t->end, t->n, t->base};
}

/* Stretches of a view, in order: the words that pre-tokenizers make. */
typedef struct em_piece {
    uint32_t from, to;
} em_piece;

typedef struct em_pieces {
    em_piece *at;
    size_t n, capacity;
} em_pieces;

/* Appends bytes [from, to) as a piece. An empty one is dropped, as Hugging Face tokenizers do.
 * Errors: EM_MACHINE. */
bool em_pieces_add(em_pieces *p, size_t from, size_t to, em_error *err);

#endif
