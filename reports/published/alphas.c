/* Logit amplification: one row an alpha, one column a mask, as published; the intervals, the
 * predictions that the mask affects and the best alpha beside it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "reports/published/tables.h"

enum { MOST = 5 }; /* masks side by side */

/* Results of one data set, label scheme and row length, at the first of their alphas: one a mask.
 */
typedef struct columns {
    const em_result *first[MOST];
    int n;
} columns;

static bool same_sweep(const em_result *a, const em_result *b) {
    return !strcmp(a->data_set, b->data_set) && !strcmp(a->labels, b->labels) &&
           a->seq_len == b->seq_len;
}

static bool same_column(const em_result *a, const em_result *b) {
    return same_sweep(a, b) && !strcmp(a->mask, b->mask) && !strcmp(a->positions, b->positions);
}

static bool first_of(const em_results *r, int i,
                     bool (*same)(const em_result *, const em_result *)) {
    for (int k = 0; k < i; k++)
        if (r->results[k].has_alpha && same(&r->results[k], &r->results[i])) return false;
    return r->results[i].has_alpha;
}

static const char *mask_name(const em_result *x, char *out, size_t n) {
    bool doc = !strcmp(x->mask, "doc"), regular = !strcmp(x->mask, "regular");
    bool usual = !strcmp(x->positions, "continuous");
    snprintf(out, n, "%s%s%s%s",
             doc       ? "Document"
             : regular ? "Regular"
                       : x->mask,
             doc || regular ? " mask" : "", usual ? "" : ", positions ", usual ? "" : x->positions);
    return out;
}

static const em_result *side(const em_results *r, const em_result *column, int model) {
    em_wanted w = em_wanted_as(column);
    w.model = r->models[model].name;
    return em_find_result(r, w);
}

static em_wanted at_alpha(const em_result *column, double alpha) {
    em_wanted w = em_wanted_as(column);
    w.has_alpha = true;
    w.alpha = alpha;
    return w;
}

/* ---- parts ---- */

static void ends(const em_results *r, const columns *c, em_page *p) {
    char name[64];
    for (int i = 0; i < c->n; i++) {
        const em_result *before = side(r, c->first[i], 0), *after = side(r, c->first[i], 1);
        if (before && after)
            em_page_rich_paragraph(p, "%s: Before model: **%.6f** | After model: **%.6f**",
                                   mask_name(c->first[i], name, sizeof name),
                                   before->loss_batch_mean, after->loss_batch_mean);
    }
}

static void alpha_cell(em_table *t, double alpha) {
    char text[32];
    snprintf(text, sizeof text, "%g", alpha);
    em_text_cell(t, text);
}

static void losses(const em_results *r, const columns *c, em_page *p) {
    char names[MOST][64];
    const char *heads[MOST + 1] = {"Alpha"};
    for (int i = 0; i < c->n; i++) heads[i + 1] = mask_name(c->first[i], names[i], sizeof names[i]);
    em_table t = em_table_new(1, c->n + 1, heads);
    for (int i = 0; i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        if (!x->has_alpha || !same_column(x, c->first[0])) continue;
        alpha_cell(&t, x->alpha);
        for (int k = 0; k < c->n; k++) {
            const em_result *cell = em_find_result(r, at_alpha(c->first[k], x->alpha));
            em_number_cell(&t, cell ? cell->loss_batch_mean : NAN, 6);
        }
    }
    em_page_table(p, &t);
}

static void differences(const em_results *r, const columns *c, em_page *p) {
    char names[MOST][64];
    const char *heads[2 * MOST + 1] = {"Minus before"};
    for (int i = 0; i < c->n; i++) {
        heads[2 * i + 1] = mask_name(c->first[i], names[i], sizeof names[i]);
        heads[2 * i + 2] = "95 % interval";
    }
    em_table t = em_table_new(1, 2 * c->n + 1, heads);
    for (int i = 0; i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        if (!x->has_alpha || !same_column(x, c->first[0])) continue;
        alpha_cell(&t, x->alpha);
        for (int k = 0; k < c->n; k++) {
            const em_comparison *d = em_find_comparison(r, EM_COMPARE_MODELS,
                                                        at_alpha(c->first[k], x->alpha));
            em_signed_cell(&t, d ? d->all.difference : NAN, 4);
            em_interval_cell(&t, d ? d->all.low : NAN, d ? d->all.high : NAN);
        }
    }
    em_page_table(p, &t);
}

static void best(const em_results *r, const em_result *column, em_page *p) {
    char name[64];
    const em_result *least = column;
    for (int i = 0; i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        if (x->has_alpha && same_column(x, column) && x->loss_batch_mean < least->loss_batch_mean)
            least = x;
    }
    em_page_paragraph(p, "%s: the loss is least at alpha = %g, %.6f.",
                      mask_name(column, name, sizeof name), least->alpha, least->loss_batch_mean);
}

/* What the masks' choice can change, on the before model. */
static void affected(const em_results *r, const columns *c, em_page *p) {
    for (int i = 0; i < c->n; i++) {
        em_wanted w = em_wanted_as(c->first[i]);
        w.model = r->models[0].name;
        const em_comparison *x = em_find_comparison(r, EM_COMPARE_MASKS, w);
        if (!x) continue;
        char text[64];
        long long n = (long long)(x->affected_direct + x->affected_indirect);
        if (n == 0)
            em_page_paragraph(p,
                              "%s and %s: none of the %lld predictions is affected by the choice; "
                              "the two columns measure the same.",
                              x->mask_before, x->mask, (long long)x->all.predictions);
        else
            em_page_paragraph(
                p,
                "%s minus %s on the before model: %+.4f (%s). The choice affects %lld of "
                "the %lld predictions, %lld of them through layers only; on those "
                "alone it is %+.4f.",
                x->mask, x->mask_before, x->all.difference,
                em_interval_text(text, x->all.low, x->all.high), n, (long long)x->all.predictions,
                (long long)x->affected_indirect, x->affected.difference);
    }
}

static void sweep(const em_results *r, const columns *c, em_page *p) {
    const em_result *x = c->first[0];
    em_page_paragraph(p,
                      "Losses are means over batches (T = %d, B = %d), as training scripts print "
                      "them; labels %s%s%s. Logits are "
                      "(1 + alpha) * after - alpha * before: alpha = -1 is the before model, alpha "
                      "= 0 the after model.",
                      x->seq_len, x->batch, x->labels, *x->data_set ? "; data " : "", x->data_set);
    ends(r, c, p);
    losses(r, c, p);
    differences(r, c, p);
    for (int i = 0; i < c->n; i++) best(r, c->first[i], p);
    affected(r, c, p);
}

void em_published_alphas(const em_results *r, em_page *p) {
    for (int i = 0; i < r->n_results; i++) {
        if (!first_of(r, i, same_sweep)) continue;
        columns c = {.n = 0};
        for (int k = i; k < r->n_results; k++) {
            if (!same_sweep(&r->results[k], &r->results[i]) || !first_of(r, k, same_column))
                continue;
            if (c.n == MOST) sweep(r, &c, p), c.n = 0;
            c.first[c.n++] = &r->results[k];
        }
        sweep(r, &c, p);
    }
}
