/* Base against instruct: one group of rows a label scheme, one row a way to see the documents. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "reports/published/tables.h"

static const em_result *side(const em_results *r, const em_comparison *x, const char *model) {
    return em_find_result(r, (em_wanted){.data_set = x->data_set,
                                         .model = model,
                                         .mask = x->mask,
                                         .positions = x->positions,
                                         .labels = x->labels,
                                         .seq_len = x->seq_len,
                                         .depth = x->depth});
}

/* The comparison of two masks that this one's is one of, for the first of the two models. */
static const em_comparison *masks_of(const em_results *r, const em_comparison *x) {
    for (int i = 0; i < r->n_comparisons; i++) {
        const em_comparison *c = &r->comparisons[i];
        if (c->kind == EM_COMPARE_MASKS && !c->has_alpha && !strcmp(c->after, x->before) &&
            !strcmp(c->data_set, x->data_set) && !strcmp(c->labels, x->labels) &&
            c->seq_len == x->seq_len && c->depth == x->depth &&
            (!strcmp(c->mask, x->mask) || !strcmp(c->mask_before, x->mask)))
            return c;
    }
    return NULL;
}

static bool is_alone(const em_results *r, const em_comparison *x) {
    const em_result *before = side(r, x, x->before);
    return before && !strcmp(before->pack, "none");
}

/* A document by itself under its document mask is the row before it again. */
static bool is_row(const em_results *r, const em_comparison *x) {
    if (x->kind != EM_COMPARE_MODELS || x->has_alpha || !side(r, x, x->before) ||
        !side(r, x, x->after))
        return false;
    if (!is_alone(r, x) || strcmp(x->mask, "doc")) return true;
    em_wanted regular = {.data_set = x->data_set,
                         .model = x->after,
                         .mask = "regular",
                         .labels = x->labels,
                         .seq_len = x->seq_len,
                         .depth = x->depth};
    return em_find_comparison(r, EM_COMPARE_MODELS, regular) == NULL;
}

static const char *row_name(const em_results *r, const em_comparison *x, char *out, size_t n) {
    const char *mask = !strcmp(x->mask, "doc")       ? "4D block"
                       : !strcmp(x->mask, "regular") ? "default causal"
                                                     : x->mask;
    int at = snprintf(out, n, "%s / %s", is_alone(r, x) ? "single document" : "batch", mask);
    const char *set = x->data_set;
    if (*set && strcmp(set, "alone") && strcmp(set, "packed") && (size_t)at < n)
        at += snprintf(out + at, n - (size_t)at, ", %s", set);
    if (r->n_models > 2 && (size_t)at < n)
        snprintf(out + at, n - (size_t)at, ", %s minus %s", x->after, x->before);
    return out;
}

static const char *group_name(const em_result *x) {
    return x->offset == 2                    ? "SHIFTED LABELS"
           : !strcmp(x->labels, "unshifted") ? "NO SHIFTING"
                                             : x->labels;
}

static double ln_vocabulary(const em_results *r, const char *model) {
    for (int i = 0; i < r->n_models; i++)
        if (!strcmp(r->models[i].name, model)) return log((double)r->models[i].vocab);
    return NAN;
}

static void row(const em_results *r, const em_comparison *x, em_table *t) {
    char name[256];
    const em_result *before = side(r, x, x->before), *after = side(r, x, x->after);
    const em_comparison *masks = masks_of(r, x);
    em_text_cell(t, row_name(r, x, name, sizeof name));
    em_number_cell(t, before->loss, 4);
    em_number_cell(t, after->loss, 4);
    em_signed_cell(t, x->all.difference, 4);
    em_interval_cell(t, x->all.low, x->all.high);
    em_number_cell(t, x->perplexity_ratio, 4);
    em_number_cell(t, ln_vocabulary(r, x->before), 4);
    em_integer_cell(t, before->documents);
    if (masks) em_integer_cell(t, masks->affected_direct + masks->affected_indirect);
    else em_text_cell(t, "-");
}

static void group(const em_results *r, const em_result *first, em_page *p) {
    static const char *const heads[] = {"",           "Base Loss",     "Instruct Loss",
                                        "Difference", "95 % interval", "Ratio of ppl",
                                        "ln V",       "Documents",     "Affected"};
    em_page_heading(p, 3, "%s", group_name(first));
    em_table t = em_table_new(1, 9, heads);
    for (int i = 0; i < r->n_comparisons; i++)
        if (!strcmp(r->comparisons[i].labels, first->labels) && is_row(r, &r->comparisons[i]))
            row(r, &r->comparisons[i], &t);
    em_page_table(p, &t);
}

/* ---- in words ---- */

static bool first_of_labels(const em_results *r, int i) {
    for (int k = 0; k < i; k++)
        if (!strcmp(r->results[k].labels, r->results[i].labels)) return false;
    return true;
}

/* One sentence a result of its labels. */
static void offsets(const em_results *r, em_page *p) {
    for (int i = 0; i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        if (!first_of_labels(r, i)) continue;
        if (x->offset == 2)
            em_page_paragraph(
                p,
                "%s: the caller shifts the labels and the library shifts them again, so that "
                "position i is scored on "
                "the token at i+2, the token after next. These are no next-token losses.",
                group_name(x));
        else
            em_page_paragraph(p, "%s: position i is scored on the token at i%+d, %s.",
                              group_name(x), x->offset, x->offset_words);
    }
}

/* The row of x under next-token labels. */
static const em_comparison *unshifted_row(const em_results *r, const em_comparison *x) {
    for (int i = 0; i < r->n_comparisons; i++) {
        const em_comparison *c = &r->comparisons[i];
        const em_result *before = side(r, c, c->before);
        if (c->kind == EM_COMPARE_MODELS && !c->has_alpha && before && before->offset == 1 &&
            !strcmp(c->before, x->before) && !strcmp(c->after, x->after) &&
            !strcmp(c->data_set, x->data_set) && !strcmp(c->mask, x->mask) &&
            !strcmp(c->positions, x->positions) && c->seq_len == x->seq_len && c->depth == x->depth)
            return c;
    }
    return NULL;
}

static void sign(const em_results *r, const em_comparison *twice, const em_comparison *once,
                 em_page *p) {
    char name[256];
    row_name(r, twice, name, sizeof name);
    const em_difference *a = &once->all, *b = &twice->all;
    bool known = isfinite(a->low) && isfinite(b->low),
         sure = em_excludes_zero(a->low, a->high) && em_excludes_zero(b->low, b->high);
    if (a->difference * b->difference >= 0)
        em_page_paragraph(p, "%s: the difference has the same sign under both label schemes.",
                          name);
    else if (sure)
        em_page_paragraph(p,
                          "%s: the sign changes. The difference is %+.4f on next-token labels and "
                          "%+.4f on the token after next, and "
                          "both 95 %% intervals exclude 0.",
                          name, a->difference, b->difference);
    else
        em_page_paragraph(p,
                          "%s: the signs differ (%+.4f on next-token labels, %+.4f on the token "
                          "after next), but %s, so a change of "
                          "sign is not shown.",
                          name, a->difference, b->difference,
                          known ? "a 95 % interval holds 0"
                                : "there are too few documents for intervals");
}

static void signs(const em_results *r, em_page *p) {
    for (int i = 0; i < r->n_comparisons; i++) {
        const em_comparison *x = &r->comparisons[i], *once;
        if (!is_row(r, x) || side(r, x, x->before)->offset != 2) continue;
        if ((once = unshifted_row(r, x))) sign(r, x, once, p);
    }
}

void em_published_pairs(const em_results *r, em_page *p) {
    for (int i = 0; i < r->n_results; i++)
        if (first_of_labels(r, i)) group(r, &r->results[i], p);
    offsets(r, p);
    signs(r, p);
    em_page_paragraph(p, "Losses are means over predictions. Affected: predictions whose loss the "
                         "choice of mask can change at all; "
                         "where it is 0, no boundary between documents is in view and equal losses "
                         "say nothing about masks.");
}
