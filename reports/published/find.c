#include <string.h>

#include "reports/published/tables.h"

static bool fits(const char *want, const char *have) { return !want || !strcmp(want, have); }

const em_result *em_find_result(const em_results *r, em_wanted w) {
    for (int i = 0; i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        if (fits(w.data_set, x->data_set) && fits(w.model, x->model) && fits(w.mask, x->mask) &&
            fits(w.positions, x->positions) && fits(w.labels, x->labels) && fits(w.pack, x->pack) &&
            (!w.seq_len || w.seq_len == x->seq_len) &&
            (w.depth == EM_ANY_DEPTH || w.depth == x->depth) && w.has_alpha == x->has_alpha &&
            (!w.has_alpha || w.alpha == x->alpha))
            return x;
    }
    return NULL;
}

const em_comparison *em_find_comparison(const em_results *r, em_comparison_kind kind, em_wanted w) {
    for (int i = 0; i < r->n_comparisons; i++) {
        const em_comparison *x = &r->comparisons[i];
        if (x->kind == kind && fits(w.data_set, x->data_set) && fits(w.model, x->after) &&
            fits(w.mask, x->mask) && fits(w.positions, x->positions) && fits(w.labels, x->labels) &&
            (!w.seq_len || w.seq_len == x->seq_len) &&
            (w.depth == EM_ANY_DEPTH || w.depth == x->depth) && w.has_alpha == x->has_alpha &&
            (!w.has_alpha || w.alpha == x->alpha))
            return x;
    }
    return NULL;
}

em_wanted em_wanted_as(const em_result *x) {
    return (em_wanted){.data_set = x->data_set,
                       .mask = x->mask,
                       .positions = x->positions,
                       .labels = x->labels,
                       .pack = x->pack,
                       .seq_len = x->seq_len,
                       .depth = x->depth};
}

bool em_excludes_zero(double low, double high) { return low > 0 || high < 0; }
