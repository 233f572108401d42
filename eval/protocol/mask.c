#include "eval/protocol/mask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }

/* ---- a mask's parameter from the intervals that it gave ---- */

/* Keys of the query that sees most. */
static int32_t widest(const em_found_intervals *r) {
    int32_t most = 1;
    for (int32_t i = r->from; i < r->to; i++)
        if (!r->padding[i] && r->hi[i] - r->lo[i] > most) most = r->hi[i] - r->lo[i];
    return most;
}

/* Keys of the row's first query. */
static int32_t first_end(const em_found_intervals *r) {
    return r->hi[r->from] > 0 ? r->hi[r->from] : 1;
}

/* Keys of a document's first query, in the document where it sees most. */
static int32_t first_end_in_document(const em_found_intervals *r) {
    int32_t most = 1;
    for (int32_t g = 0; g < r->row->n_segments; g++) {
        int32_t s = r->row->segments[g].start;
        if (s >= r->from && s < r->to && !r->padding[s]) most = (int32_t)max(most, r->hi[s] - s);
    }
    return most;
}

/* hi + i is M wherever the row, or padding behind it, does not cut it off. */
static int32_t flipped_size(const em_found_intervals *r) {
    int32_t first = r->from, last = r->to - 1;
    int32_t m = r->hi[first] < r->to ? r->hi[first] + first : r->hi[last] + last;
    return m > 0 ? m : 1;
}

/* ---- the table ---- */

/* MASK(id, name, its parameter's letter or 0, by document, lo, hi, how the parameter is inferred,
 * words). lo and hi are the rule: query i of n inputs, its segment [s, e), the parameter p. */
/* clang-format off */
#define MASKS(MASK)                                                                                \
    MASK(regular, "regular", 0, false, 0, i + 1, NULL,                                             \
         "causal: a token sees everything before it in its row, other documents too")              \
    MASK(doc, "doc", 0, true, s, i + 1, NULL,                                                      \
         "causal within the document")                                                             \
    MASK(window, "window", 'W', false, max(0, i + 1 - p), i + 1, widest,                           \
         "causal, the last W tokens")                                                              \
    MASK(doc_window, "doc-window", 'W', true, max(s, i + 1 - p), i + 1, widest,                    \
         "causal within the document, the last W tokens")                                          \
    MASK(prefix, "prefix", 'N', false, 0, min(n, max(i + 1, p)), first_end,                        \
         "causal, and the row's first N tokens see each other")                                    \
    MASK(doc_prefix, "doc-prefix", 'N', true, s, min(e, max(i + 1, s + p)), first_end_in_document, \
         "causal within the document, and its first N tokens in the row see each other")           \
    MASK(full, "full", 0, false, 0, n, NULL,                                                       \
         "every token sees the whole row")                                                         \
    MASK(doc_full, "doc-full", 0, true, s, e, NULL,                                                \
         "every token sees its whole document within the row")                                     \
    MASK(backward, "backward", 0, false, i, n, NULL,                                               \
         "a token sees itself and everything after it in its row")                                 \
    MASK(doc_backward, "doc-backward", 0, true, i, e, NULL,                                        \
         "a token sees itself and what follows in its document")                                   \
    MASK(flip0, "flip0", 0, false, 0, n - i, NULL,                                                 \
         "tril().flip(0) of an M x M matrix cut to the row: query i sees the first M-i keys")      \
    MASK(flip0_of_m, "flip0", 'M', false, 0, max(0, min(n, p - i)), flipped_size,                  \
         "tril().flip(0) of an M x M matrix cut to the row: query i sees the first M-i keys")
/* clang-format on */

#define AS_FUNCTION(id, name, parameter, by_document, lo, hi, infer, words) \
    static em_interval id(int64_t i, int64_t n, int64_t s, int64_t e, int64_t p) { \
        return (em_interval){(int32_t)(lo), (int32_t)(hi)}; \
    }
#define AS_ROW(id, name, parameter, by_document, lo, hi, infer, words) \
    {name, parameter, by_document, "[" #lo ", " #hi ")", words, id, infer},

MASKS(AS_FUNCTION)
static const em_mask_kind kinds[] = {MASKS(AS_ROW)};
enum { KINDS = sizeof kinds / sizeof *kinds };

const em_mask_kind *em_mask_kinds(int *n) {
    *n = KINDS;
    return kinds;
}

bool em_mask_by_document(const em_mask *m) { return m->kind->by_document; }

/* ---- by name ---- */

void em_mask_list(em_buffer *out) {
    for (const em_mask_kind *k = kinds; k < kinds + KINDS; k++) {
        em_buffer_printf(out, "%s%s", k > kinds ? ", " : "", k->name);
        if (k->parameter) em_buffer_printf(out, ":%c", k->parameter);
    }
}

em_mask em_mask_make(const em_mask_kind *kind, int32_t parameter) {
    em_mask m = {.kind = kind, .parameter = parameter};
    if (kind->parameter) snprintf(m.name, sizeof m.name, "%s:%d", kind->name, parameter);
    else snprintf(m.name, sizeof m.name, "%s", kind->name);
    return m;
}

static bool no_such_mask(const char *text, em_error *err) {
    em_buffer list = {0};
    em_mask_list(&list);
    em_fail(err, EM_USAGE,
            "--mask %s: no such mask; there are %s (each query sees one interval of keys; "
            "what an interval cannot say is not supported)",
            text, list.data);
    em_buffer_free(&list);
    return false;
}

/* The kind of this name, [n] bytes, with a parameter or without; *other: the last one of the name
 * that is not so. NULL: there is none. */
static const em_mask_kind *find(const char *name, size_t n, bool parameter,
                                const em_mask_kind **other) {
    *other = NULL;
    for (const em_mask_kind *k = kinds; k < kinds + KINDS; k++) {
        if (strlen(k->name) != n || memcmp(k->name, name, n)) continue;
        if (!!k->parameter == parameter) return k;
        *other = k;
    }
    return NULL;
}

static bool parse_parameter(const char *text, const char *digits, const em_mask_kind *kind,
                            em_mask *out, em_error *err) {
    char *end;
    long value = *digits >= '0' && *digits <= '9' ? strtol(digits, &end, 10) : 0;
    if (value < 1 || *end || value > INT32_MAX)
        return em_fail(err, EM_USAGE,
                       "--mask %s: %s wants a whole number of at least 1 after the colon", text,
                       kind->name);
    *out = em_mask_make(kind, (int32_t)value);
    return true;
}

bool em_mask_parse(const char *text, em_mask *out, em_error *err) {
    size_t n = strcspn(text, ":");
    const em_mask_kind *other, *kind = find(text, n, text[n] == ':', &other);
    if (kind && kind->parameter) return parse_parameter(text, text + n + 1, kind, out, err);
    if (kind) return *out = em_mask_make(kind, 0), true;
    if (!other) return no_such_mask(text, err);
    if (!other->parameter)
        return em_fail(err, EM_USAGE, "--mask %s: %s takes no number", text, other->name);
    return em_fail(err, EM_USAGE, "--mask %s: say %s:%c, a number of tokens", text, other->name,
                   other->parameter);
}

/* ---- rows ---- */

void em_mask_intervals(const em_mask *m, const em_row *row, int32_t inputs, int32_t *lo,
                       int32_t *hi) {
    for (int32_t g = 0; g < row->n_segments; g++) {
        int32_t s = row->segments[g].start, e = (int32_t)min(row->segments[g].end, inputs);
        for (int32_t i = s; i < e; i++) {
            em_interval v = m->kind->interval(i, inputs, s, e, m->parameter);
            lo[i] = v.lo;
            hi[i] = v.hi;
        }
    }
}

em_positions em_positions_resolve(em_positions p, const em_mask *m) {
    if (p != EM_POSITIONS_AUTO) return p;
    return em_mask_by_document(m) ? EM_POSITIONS_RESET : EM_POSITIONS_CONTINUOUS;
}

void em_positions_fill(em_positions resolved, const em_row *row, int32_t inputs, int32_t *out) {
    for (int32_t g = 0; g < row->n_segments; g++) {
        int32_t s = row->segments[g].start, e = (int32_t)min(row->segments[g].end, inputs);
        for (int32_t i = s; i < e; i++) out[i] = resolved == EM_POSITIONS_RESET ? i - s : i;
    }
}
