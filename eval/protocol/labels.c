#include "eval/protocol/labels.h"

#include <string.h>

static const em_label_scheme schemes[] = {
    {"unshifted", false, true, 1, "the next token",
     "next token, as labels=input_ids in Hugging Face"},
    {"shifted", true, true, 2, "the token after next: labels shifted twice", "the double shift"},
    {"raw-shifted", true, false, 1, "the next token", NULL},
    {"raw-unshifted", false, false, 0, "the visible token itself", NULL},
    {"backward", false, true, -1, "the token before", NULL},
};
enum { SCHEMES = sizeof schemes / sizeof *schemes };
_Static_assert((int)SCHEMES <= (int)EM_MAX_SCHEMES, "EM_MAX_SCHEMES is too small");

const em_label_scheme *em_label_schemes(int *n) {
    *n = SCHEMES;
    return schemes;
}

void em_labels_list(em_buffer *out) {
    for (int i = 0; i < SCHEMES; i++) em_buffer_printf(out, "%s%s", i ? ", " : "", schemes[i].name);
}

void em_labels_help(em_buffer *out) {
    for (int i = 0; i < SCHEMES; i++) {
        em_buffer_printf(out, "%s%s", i ? ", " : "", schemes[i].name);
        if (schemes[i].help) em_buffer_printf(out, " (%s)", schemes[i].help);
    }
}

const em_label_scheme *em_labels_parse(const char *name, em_error *err) {
    em_buffer list = {0};
    for (int i = 0; i < SCHEMES; i++)
        if (!strcmp(schemes[i].name, name)) return &schemes[i];
    em_labels_list(&list);
    em_fail(err, EM_USAGE, "--labels %s: no such label scheme; there are %s", name, list.data);
    em_buffer_free(&list);
    return NULL;
}

static int32_t max(int32_t a, int32_t b) { return a > b ? a : b; }

/* Behind the last position of so many inputs that has a label. */
static int32_t labelled_end(const em_label_scheme *s, int32_t inputs) {
    return s->library_shifts && s->offset > 0 ? inputs - 1 : inputs;
}

/* The first position that counts, of those up to `to`. A row that another one follows has T tokens
 * and all its window, so what it has scored is known from its scheme. */
static int32_t first_scored(const em_label_scheme *s, const em_row_rules *rules, const em_row *row,
                            int32_t to) {
    int32_t from = max(s->offset < 0 ? -s->offset : 0, row->scored_from), t = rules->row_tokens;
    if (row->overlap) {
        bool inside = s->caller_shifts && rules->window == EM_WINDOW_INSIDE;
        from = max(from, labelled_end(s, inside ? t - 1 : t) - (t - row->overlap));
    }
    if (rules->score.kind == EM_SCORE_HALF) from = max(from, t / 2);
    if (rules->score.kind == EM_SCORE_LAST) from = max(from, to - rules->score.last);
    return from;
}

/* Inputs and completeness: without a shift by the caller the row's own tokens; with one, all
 * but the last token of the window (next: T + 1 tokens, inside: T). A document's own last row
 * (--pack none) is complete however short it is. */
em_reading em_labels_read(const em_label_scheme *s, const em_row_rules *rules, const em_row *row) {
    em_reading r = {0};
    bool next = s->caller_shifts && rules->window == EM_WINDOW_NEXT;
    int32_t want = next ? rules->row_tokens + 1 : rules->row_tokens;
    int32_t have = next ? row->window : row->tokens;
    r.inputs = s->caller_shifts ? have - 1 : have;
    r.complete = rules->pack == EM_PACK_NONE || have == want;
    r.to = labelled_end(s, r.inputs);
    if (r.to > row->scored_to) r.to = row->scored_to;
    r.from = first_scored(s, rules, row, r.to);
    if (r.to < r.from) r.to = r.from;
    return r;
}
