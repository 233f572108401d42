/* What a mask costs against the row length, on the predictions that are scored at every length. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "reports/published/tables.h"

enum { BAR = 40 }; /* characters */

/* The same two masks of the same model at another row length. */
static bool same_curve(const em_comparison *a, const em_comparison *b) {
    return a->kind == b->kind && a->has_alpha == b->has_alpha &&
           (!a->has_alpha || a->alpha == b->alpha) && a->depth == b->depth &&
           !strcmp(a->data_set, b->data_set) && !strcmp(a->after, b->after) &&
           !strcmp(a->labels, b->labels) && !strcmp(a->mask, b->mask) &&
           !strcmp(a->mask_before, b->mask_before) && !strcmp(a->positions, b->positions) &&
           !strcmp(a->positions_before, b->positions_before);
}

static const em_difference *gap(const em_comparison *x) {
    return x->has_common ? &x->common : &x->all;
}

static int64_t affected(const em_comparison *x) {
    return x->has_common ? x->common_affected : x->affected_direct + x->affected_indirect;
}

static const em_result *result(const em_results *r, const em_comparison *x, const char *mask,
                               const char *positions) {
    return em_find_result(r, (em_wanted){.data_set = x->data_set,
                                         .model = x->after,
                                         .mask = mask,
                                         .positions = positions,
                                         .labels = x->labels,
                                         .seq_len = x->seq_len,
                                         .depth = x->depth,
                                         .has_alpha = x->has_alpha,
                                         .alpha = x->alpha});
}

static double loss(const em_result *x) {
    return !x ? NAN : x->has_common ? em_slice_loss(&x->common) : x->loss;
}

static void row(const em_results *r, const em_comparison *x, em_table *t) {
    const em_result *before = result(r, x, x->mask_before, x->positions_before),
                    *after = result(r, x, x->mask, x->positions);
    const em_difference *d = gap(x);
    em_integer_cell(t, x->seq_len);
    em_number_cell(t, loss(before), 4);
    em_number_cell(t, loss(after), 4);
    em_signed_cell(t, d->difference, 4);
    em_interval_cell(t, d->low, d->high);
    em_signed_cell(t, x->has_common ? x->growth : NAN, 4);
    em_interval_cell(t, x->has_common ? x->growth_low : NAN, x->has_common ? x->growth_high : NAN);
    em_number_cell(t, after && after->rows ? (double)after->segments / (double)after->rows : NAN,
                   2);
    em_integer_cell(t, affected(x));
}

/* ---- the plot, for pages that have no drawings ---- */

static void bar(em_buffer *out, double share) {
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    int n = (int)lround(share * BAR * 8);
    for (int i = 0; i < n / 8; i++) em_buffer_puts(out, "█");
    em_buffer_puts(out, eighths[n % 8]);
}

static void bars(const em_results *r, const em_comparison *first, em_page *p) {
    em_buffer text = {0};
    double most = 0;
    for (int i = 0; i < r->n_comparisons; i++)
        if (same_curve(&r->comparisons[i], first))
            most = fmax(most, fabs(gap(&r->comparisons[i])->difference));
    for (int i = 0; i < r->n_comparisons; i++) {
        const em_comparison *x = &r->comparisons[i];
        if (!same_curve(x, first) || !(most > 0)) continue;
        em_buffer_printf(&text, "T = %-6d %+8.4f ", x->seq_len, gap(x)->difference);
        bar(&text, fabs(gap(x)->difference) / most);
        em_buffer_puts(&text, "\n");
    }
    if (text.length) em_page_code(p, text.data);
    em_buffer_free(&text);
}

/* ---- in words ---- */

static void verdict(const em_comparison *first, const em_comparison *last, em_page *p) {
    char why[128];
    const char *step = gap(first)->difference * last->growth > 0 ? "grows" : "shrinks";
    if (!last->has_common || last == first || !isfinite(last->growth)) return;
    if (!isfinite(last->growth_low))
        snprintf(why, sizeof why,
                 "and there is no 95 %% interval: %" PRId64 " groups are too few, or too unequal",
                 last->common.groups);
    else
        snprintf(why, sizeof why, "and the 95 %% interval, %+.4f to %+.4f, holds 0",
                 last->growth_low, last->growth_high);
    if (em_excludes_zero(last->growth_low, last->growth_high))
        em_page_paragraph(p,
                          "The gap %s with T: from T = %d to T = %d, on the same predictions, it "
                          "moves by %+.4f (95 %% interval %+.4f to "
                          "%+.4f).",
                          step, first->seq_len, last->seq_len, last->growth, last->growth_low,
                          last->growth_high);
    else
        em_page_paragraph(p,
                          "That the gap changes with T is not shown: from T = %d to T = %d it "
                          "moves by %+.4f, %s.",
                          first->seq_len, last->seq_len, last->growth, why);
}

static void name_curve(const em_results *r, const em_comparison *x, em_page *p) {
    char alpha[48] = "";
    if (x->has_alpha) snprintf(alpha, sizeof alpha, " at alpha = %g", x->alpha);
    em_page_paragraph(p, "%s minus %s in nats, %s%s, labels %s%s%s, on %lld predictions%s.",
                      x->mask, x->mask_before, x->after, alpha, x->labels,
                      *x->data_set ? ", data " : "", x->data_set, (long long)gap(x)->predictions,
                      x->has_common ? " that are scored at every T" : "");
}

static void curve(const em_results *r, const em_comparison *first, em_page *p) {
    const char *heads[] = {"T",      first->mask_before, first->mask, "Gap",     "95 % interval",
                           "Growth", "95 % interval",    "Docs/row",  "Affected"};
    const em_comparison *last = first;
    name_curve(r, first, p);
    em_table t = em_table_new(1, 9, heads);
    for (int i = 0; i < r->n_comparisons; i++) {
        if (!same_curve(&r->comparisons[i], first)) continue;
        last = &r->comparisons[i];
        row(r, last, &t);
    }
    em_page_table(p, &t);
    if (p->face != EM_FACE_HTML) bars(r, first, p);
    verdict(first, last, p);
}

void em_published_lengths(const em_results *r, em_page *p) {
    for (int i = 0; i < r->n_comparisons; i++) {
        bool first = r->comparisons[i].kind == EM_COMPARE_MASKS;
        for (int k = 0; k < i && first; k++)
            first = !same_curve(&r->comparisons[k], &r->comparisons[i]);
        if (first) curve(r, &r->comparisons[i], p);
    }
    em_page_paragraph(
        p, "Growth: by how much the gap exceeds that at the shortest T, on the same predictions. "
           "Docs/row: parts of documents "
           "in a row. Affected: predictions among these whose loss the mask can change at all.");
}
