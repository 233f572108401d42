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

/* Inputs and completeness: without a shift by the caller the row's own tokens; with one, all
 * but the last token of the window (next: T + 1 tokens, inside: T). A document's own last row
 * (--pack none) is complete however short it is. */
em_reading em_labels_read(const em_label_scheme *s, em_window_mode window, em_pack_mode pack,
                          int32_t row_tokens, const em_row *row) {
    em_reading r = {0};
    bool next = s->caller_shifts && window == EM_WINDOW_NEXT;
    int32_t want = next ? row_tokens + 1 : row_tokens;
    int32_t have = next ? row->window : row->tokens;
    r.inputs = s->caller_shifts ? have - 1 : have;
    r.complete = pack == EM_PACK_NONE || have == want;
    r.from = s->offset < 0 ? -s->offset : 0;
    r.to = s->library_shifts && s->offset > 0 ? r.inputs - 1 : r.inputs;
    if (r.from < row->scored_from) r.from = row->scored_from;
    if (r.to > row->scored_to) r.to = row->scored_to;
    if (r.to < r.from) r.to = r.from;
    return r;
}
