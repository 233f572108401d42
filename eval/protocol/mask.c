#include "eval/protocol/mask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    const char *parameter; /* its letter in help; NULL: none */
    bool optional;
    bool by_document;
    const char *words;
} kinds[EM_MASK_KINDS] = {
    [EM_MASK_REGULAR] =
        {"regular", NULL, false, false,
         "causal: a token sees everything before it in its row, other documents too"},
    [EM_MASK_DOC] = {"doc", NULL, false, true, "causal within the document"},
    [EM_MASK_WINDOW] = {"window", "W", false, false, "causal, the last W tokens"},
    [EM_MASK_DOC_WINDOW] = {"doc-window", "W", false, true,
                            "causal within the document, the last W tokens"},
    [EM_MASK_PREFIX] = {"prefix", "N", false, false,
                        "causal, and the row's first N tokens see each other"},
    [EM_MASK_FULL] = {"full", NULL, false, false, "every token sees the whole row"},
    [EM_MASK_DOC_FULL] = {"doc-full", NULL, false, true,
                          "every token sees its whole document within the row"},
    [EM_MASK_BACKWARD] = {"backward", NULL, false, false,
                          "a token sees itself and everything after it in its row"},
    [EM_MASK_DOC_BACKWARD] = {"doc-backward", NULL, false, true,
                              "a token sees itself and what follows in its document"},
    [EM_MASK_FLIP0] =
        {"flip0", "M", true, false,
         "tril().flip(0) of an M x M matrix cut to the row: query i sees the first M-i keys"},
};

const char *em_mask_list(void) {
    return "regular, doc, window:W, doc-window:W, prefix:N, full, doc-full, backward, "
           "doc-backward, flip0, flip0:M";
}

const char *em_mask_words(em_mask_kind k) { return kinds[k].words; }
bool em_mask_by_document(const em_mask *m) { return kinds[m->kind].by_document; }

void em_mask_name(em_mask *m) {
    if (m->parameter) snprintf(m->name, sizeof m->name, "%s:%d", kinds[m->kind].name, m->parameter);
    else snprintf(m->name, sizeof m->name, "%s", kinds[m->kind].name);
}

static bool parse_parameter(const char *text, const char *digits, em_mask *out, em_error *err) {
    char *end;
    long value = *digits >= '0' && *digits <= '9' ? strtol(digits, &end, 10) : 0;
    if (value < 1 || *end || value > INT32_MAX)
        return em_fail(err, EM_USAGE,
                       "--mask %s: %s wants a whole number of at least 1 after the colon", text,
                       kinds[out->kind].name);
    out->parameter = (int32_t)value;
    em_mask_name(out);
    return true;
}

bool em_mask_parse(const char *text, em_mask *out, em_error *err) {
    size_t n = strcspn(text, ":");
    for (int k = 0; k < EM_MASK_KINDS; k++) {
        if (strlen(kinds[k].name) != n || memcmp(kinds[k].name, text, n)) continue;
        *out = (em_mask){.kind = (em_mask_kind)k};
        em_mask_name(out);
        if (text[n] == ':' && kinds[k].parameter)
            return parse_parameter(text, text + n + 1, out, err);
        if (text[n] == ':')
            return em_fail(err, EM_USAGE, "--mask %s: %s takes no number", text, kinds[k].name);
        if (kinds[k].parameter && !kinds[k].optional)
            return em_fail(err, EM_USAGE, "--mask %s: say %s:%s, a number of tokens", text,
                           kinds[k].name, kinds[k].parameter);
        return true;
    }
    return em_fail(err, EM_USAGE,
                   "--mask %s: no such mask; there are %s (each query sees one interval of keys; "
                   "what an interval cannot say is not supported)",
                   text, em_mask_list());
}

static inline int32_t min32(int32_t a, int32_t b) { return a < b ? a : b; }
static inline int32_t max32(int32_t a, int32_t b) { return a > b ? a : b; }

/* The one switch that holds every mask's rule: query i of n inputs, its segment [s, e). */
static void interval(const em_mask *m, int32_t i, int32_t n, int32_t s, int32_t e, int32_t *lo,
                     int32_t *hi) {
    int32_t p = m->parameter;
    switch (m->kind) {
    case EM_MASK_REGULAR:
        *lo = 0;
        *hi = i + 1;
        break;
    case EM_MASK_DOC:
        *lo = s;
        *hi = i + 1;
        break;
    case EM_MASK_WINDOW:
        *lo = max32(0, i + 1 - p);
        *hi = i + 1;
        break;
    case EM_MASK_DOC_WINDOW:
        *lo = max32(s, i + 1 - p);
        *hi = i + 1;
        break;
    case EM_MASK_PREFIX:
        *lo = 0;
        *hi = min32(n, max32(i + 1, p));
        break;
    case EM_MASK_FULL:
        *lo = 0;
        *hi = n;
        break;
    case EM_MASK_DOC_FULL:
        *lo = s;
        *hi = e;
        break;
    case EM_MASK_BACKWARD:
        *lo = i;
        *hi = n;
        break;
    case EM_MASK_DOC_BACKWARD:
        *lo = i;
        *hi = e;
        break;
    case EM_MASK_FLIP0:
        *lo = 0;
        *hi = p ? max32(0, min32(n, p - i)) : n - i;
        break;
    case EM_MASK_KINDS: break;
    }
}

void em_mask_intervals(const em_mask *m, const em_row *row, int32_t inputs, int32_t *lo,
                       int32_t *hi) {
    for (int32_t g = 0; g < row->n_segments; g++) {
        int32_t s = row->segments[g].start, e = min32(row->segments[g].end, inputs);
        for (int32_t i = s; i < e; i++) interval(m, i, inputs, s, e, &lo[i], &hi[i]);
    }
}

em_positions em_positions_resolve(em_positions p, const em_mask *m) {
    if (p != EM_POSITIONS_AUTO) return p;
    return em_mask_by_document(m) ? EM_POSITIONS_RESET : EM_POSITIONS_CONTINUOUS;
}

void em_positions_fill(em_positions resolved, const em_row *row, int32_t inputs, int32_t *out) {
    for (int32_t g = 0; g < row->n_segments; g++) {
        int32_t s = row->segments[g].start, e = min32(row->segments[g].end, inputs);
        for (int32_t i = s; i < e; i++) out[i] = resolved == EM_POSITIONS_RESET ? i - s : i;
    }
}
