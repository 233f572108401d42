#include "tokenize/text.h"

#include <stdlib.h>
#include <string.h>

#include "common/size.h"

void em_text_free(em_text *t) {
    free(t->data);
    free(t->end);
    *t = (em_text){0};
}

void em_text_start(em_text *t, uint32_t base) {
    t->n = 0;
    t->base = base;
}

static bool reserve(em_text *t, size_t n, em_error *err) {
    if (n > INT32_MAX - t->n)
        return em_fail(err, EM_INPUT, "a normalized text is longer than 2 GiB: split the document");
    return em_grow(&t->data, &t->data_capacity, t->n + n, 1, "a normalized text", err) &&
           em_grow(&t->end, &t->end_capacity, t->n + n, sizeof *t->end, "a normalized text", err);
}

bool em_text_put(em_text *t, const char *bytes, size_t n, uint32_t end, em_error *err) {
    if (!reserve(t, n, err)) return false;
    if (n) memcpy(t->data + t->n, bytes, n);
    for (size_t i = 0; i < n; i++) t->end[t->n + i] = end;
    t->n += n;
    return true;
}

bool em_text_copy(em_text *t, const em_view *from, size_t first, size_t last, em_error *err) {
    size_t n = last - first;
    if (!reserve(t, n, err)) return false;
    if (n) memcpy(t->data + t->n, from->data + first, n);
    for (size_t i = 0; i < n; i++) t->end[t->n + i] = em_view_end(from, first + i);
    t->n += n;
    return true;
}

bool em_pieces_add(em_pieces *p, size_t from, size_t to, em_error *err) {
    if (from == to) return true;
    if (p->n == p->capacity &&
        !em_grow(&p->at, &p->capacity, p->n + 1, sizeof *p->at, "words", err))
        return false;
    p->at[p->n++] = (em_piece){(uint32_t)from, (uint32_t)to};
    return true;
}
