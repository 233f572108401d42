#include "reports/sections/plots.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "reports/pages/plot.h"

static bool is(const char *a, const char *b) { return !strcmp(a, b); }

static void begin(em_page *p) { em_buffer_puts(p->out, "<div class=\"plots\">\n"); }
static void end(em_page *p) { em_buffer_puts(p->out, "</div>\n"); }

/* The result's keys without those that the plot's x axis says; "" becomes the model's name. */
static char *label_of(em_shown s, const em_result *x) {
    em_buffer b = {0};
    em_result y = *x;
    y.has_alpha = false;
    em_result_label(&s, &y, &b);
    return b.data;
}

static em_series *named_series(em_plot *plot, char *label) {
    em_series *s = em_plot_series(plot, label);
    free(label);
    return s;
}

/* ---- alphas ---- */

static bool same_sweep(const em_result *a, const em_result *b) {
    return is(a->data_set, b->data_set) && is(a->mask, b->mask) && is(a->labels, b->labels) &&
           is(a->positions, b->positions) && a->seq_len == b->seq_len;
}

static em_point alpha_point(const em_results *r, const em_result *x, bool difference) {
    const em_comparison *c = em_alpha_difference(r, x);
    if (!difference) return (em_point){.x = x->alpha, .y = x->loss, .low = NAN, .high = NAN};
    return c ? (em_point){.x = x->alpha,
                          .y = c->all.difference,
                          .low = c->all.low,
                          .high = c->all.high}
             : (em_point){.x = NAN};
}

static int by_x(const void *a, const void *b) {
    double x = ((const em_point *)a)->x, y = ((const em_point *)b)->x;
    return (x > y) - (x < y);
}

/* series: NULL: nothing to sort. */
static void sort_points(em_series *series) {
    if (series && series->n) qsort(series->points, series->n, sizeof *series->points, by_x);
}

static void alpha_plot(const em_results *r, em_shown s, bool difference, em_page *p) {
    em_plot plot = {.title = difference
                                 ? "Loss at alpha minus the before model's, with 95 % intervals"
                                 : "Loss by alpha",
                    .zero = difference,
                    .x_label = "alpha (−1: before, 0: after)",
                    .y_label = difference ? "difference (nats)" : "loss (nats)"};
    s.models = false;
    for (int i = 0; i < r->n_results; i++) {
        const em_result *first = &r->results[i];
        bool seen = !first->has_alpha;
        for (int k = 0; k < i && !seen; k++)
            seen = r->results[k].has_alpha && same_sweep(&r->results[k], first);
        em_series *series = seen ? NULL : named_series(&plot, label_of(s, first));
        for (int k = i; k < r->n_results && series; k++)
            if (r->results[k].has_alpha && same_sweep(&r->results[k], first))
                em_series_add(series, alpha_point(r, &r->results[k], difference));
        sort_points(series);
    }
    em_plot_print(&plot, p->out);
}

void em_plot_alphas(const em_results *r, const em_shown *s, em_page *p) {
    if (p->face != EM_FACE_HTML) return;
    begin(p);
    alpha_plot(r, *s, false, p);
    alpha_plot(r, *s, true, p);
    end(p);
}

/* ---- row lengths and depths: results or comparisons that differ only by them ---- */

static bool same_but_length(const em_result *a, const em_result *b) {
    return is(a->data_set, b->data_set) && is(a->model, b->model) && is(a->mask, b->mask) &&
           is(a->labels, b->labels) && is(a->positions, b->positions) && a->depth == b->depth;
}

static bool same_but_depth(const em_result *a, const em_result *b) {
    return is(a->data_set, b->data_set) && is(a->model, b->model) && is(a->mask, b->mask) &&
           is(a->labels, b->labels) && is(a->positions, b->positions) && a->seq_len == b->seq_len;
}

static em_point length_point(const em_result *x) {
    return (em_point){.x = x->seq_len, .y = em_slice_loss(&x->common), .low = NAN, .high = NAN};
}

static em_point depth_point(const em_result *x) {
    return (em_point){.x = x->depth, .y = x->loss, .low = x->low, .high = x->high};
}

typedef struct curves {
    bool (*wanted)(const em_result *);
    bool (*same)(const em_result *, const em_result *);
    em_point (*point)(const em_result *);
} curves;

static void result_curves(const em_results *r, em_shown s, const curves *c, em_plot *plot,
                          em_page *p) {
    for (int i = 0; i < r->n_results; i++) {
        const em_result *first = &r->results[i];
        bool seen = !c->wanted(first);
        for (int k = 0; k < i && !seen; k++)
            seen = c->wanted(&r->results[k]) && c->same(&r->results[k], first);
        em_series *series = seen ? NULL : named_series(plot, label_of(s, first));
        for (int k = i; k < r->n_results && series; k++)
            if (c->wanted(&r->results[k]) && c->same(&r->results[k], first))
                em_series_add(series, c->point(&r->results[k]));
        sort_points(series);
    }
    em_plot_print(plot, p->out);
}

static bool has_common(const em_result *x) { return x->has_common && !x->has_alpha; }
static bool has_depth(const em_result *x) { return x->depth != EM_NO_DEPTH && !x->has_alpha; }

static bool same_gap(const em_comparison *a, const em_comparison *b) {
    return a->kind == b->kind && is(a->data_set, b->data_set) && is(a->before, b->before) &&
           is(a->after, b->after) && is(a->mask, b->mask) && is(a->mask_before, b->mask_before) &&
           is(a->labels, b->labels) && is(a->positions, b->positions) &&
           is(a->positions_before, b->positions_before) && a->depth == b->depth;
}

static bool has_gap(const em_comparison *x) { return x->has_common && !x->has_alpha; }

static void gap_plot(const em_results *r, em_shown s, em_page *p) {
    em_plot plot = {
        .title = "Differences on the predictions that every T scores, with 95 % intervals",
        .log_x = true,
        .zero = true,
        .ticks_at_points = true,
        .x_label = "T (tokens in a row, log scale)",
        .y_label = "difference (nats)"};
    s.lengths = false;
    for (int i = 0; i < r->n_comparisons; i++) {
        const em_comparison *first = &r->comparisons[i];
        bool seen = !has_gap(first);
        for (int k = 0; k < i && !seen; k++)
            seen = has_gap(&r->comparisons[k]) && same_gap(&r->comparisons[k], first);
        if (seen) continue;
        em_buffer label = {0};
        em_comparison_label(&s, first, &label);
        em_series *series = named_series(&plot, label.data);
        for (int k = i; k < r->n_comparisons && series; k++) {
            const em_comparison *x = &r->comparisons[k];
            if (has_gap(x) && same_gap(x, first))
                em_series_add(series, (em_point){.x = x->seq_len,
                                                 .y = x->common.difference,
                                                 .low = x->common.low,
                                                 .high = x->common.high});
        }
    }
    em_plot_print(&plot, p->out);
}

void em_plot_lengths(const em_results *r, const em_shown *s, em_page *p) {
    if (p->face != EM_FACE_HTML) return;
    static const curves c = {has_common, same_but_length, length_point};
    em_plot plot = {.title = "Loss on the predictions that every T scores",
                    .log_x = true,
                    .ticks_at_points = true,
                    .x_label = "T (tokens in a row, log scale)",
                    .y_label = "loss (nats)"};
    em_shown plain = *s;
    plain.lengths = false;
    begin(p);
    gap_plot(r, plain, p);
    result_curves(r, plain, &c, &plot, p);
    end(p);
}

void em_plot_depths(const em_results *r, const em_shown *s, em_page *p) {
    if (p->face != EM_FACE_HTML || !s->depths) return;
    static const curves c = {has_depth, same_but_depth, depth_point};
    em_plot plot = {.title = "Loss by depth, with 95 % intervals",
                    .ticks_at_points = true,
                    .x_label = "layers kept",
                    .y_label = "loss (nats)"};
    em_shown plain = *s;
    plain.depths = false;
    begin(p);
    result_curves(r, plain, &c, &plot, p);
    end(p);
}

/* ---- positions in the document ---- */

/* The middle of the bucket on a log scale; the first position is 1. */
static double bucket_middle(const em_slice *x) {
    return sqrt((double)(x->from + 1) * (double)x->to);
}

static void add_positions(em_series *series, const em_slice *slices, int n) {
    for (int i = 0; i < n && series; i++) {
        const em_slice *x = &slices[i];
        em_buffer title = {0};
        em_buffer_printf(&title,
                         "%s, tokens %" PRId64 " to %" PRId64 " of the document: %.4f (%" PRId64
                         " predictions)",
                         series->label, x->from, x->to - 1, em_slice_loss(x), x->predictions);
        em_series_add(series, (em_point){.x = bucket_middle(x),
                                         .y = em_slice_loss(x),
                                         .low = NAN,
                                         .high = NAN,
                                         .title = title.data});
    }
}

static void position_losses(const em_results *r, const em_shown *s, em_page *p) {
    em_plot plot = {.title = "Loss by position in the document",
                    .log_x = true,
                    .x_label = "position in the document (first token 1, log scale)",
                    .y_label = "loss (nats)"};
    for (int i = 0; i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        if (!x->has_alpha)
            add_positions(named_series(&plot, label_of(*s, x)), x->by_position, x->n_by_position);
    }
    em_plot_print(&plot, p->out);
}

static void position_differences(const em_results *r, const em_shown *s, em_page *p) {
    em_plot plot = {.title = "Differences by position in the document",
                    .log_x = true,
                    .zero = true,
                    .x_label = "position in the document (first token 1, log scale)",
                    .y_label = "difference (nats)"};
    for (int i = 0; i < r->n_comparisons; i++) {
        const em_comparison *x = &r->comparisons[i];
        em_buffer label = {0};
        if (x->has_alpha) continue;
        em_comparison_label(s, x, &label);
        add_positions(named_series(&plot, label.data), x->by_position, x->n_by_position);
    }
    em_plot_print(&plot, p->out);
}

void em_plot_positions(const em_results *r, const em_shown *s, em_page *p) {
    if (p->face != EM_FACE_HTML) return;
    begin(p);
    position_losses(r, s, p);
    position_differences(r, s, p);
    end(p);
}

/* ---- subsets ---- */

enum { MOST_SUBSETS = 24 };

static int by_predictions(const void *a, const void *b) {
    const em_slice *x = *(const em_slice *const *)a, *y = *(const em_slice *const *)b;
    return x->predictions < y->predictions   ? 1
           : x->predictions > y->predictions ? -1
                                             : strcmp(x->name, y->name);
}

static int by_slice_name(const void *a, const void *b) {
    return strcmp((*(const em_slice *const *)a)->name, (*(const em_slice *const *)b)->name);
}

/* The subsets with most predictions, by name: [*n], owned by the caller. */
static const em_slice **largest(const em_slice *subsets, int n_subsets, int *n) {
    const em_slice **some = em_alloc((size_t)n_subsets, sizeof *some, "a plot", NULL);
    *n = 0;
    if (!some) return NULL;
    for (int i = 0; i < n_subsets; i++) some[i] = &subsets[i];
    qsort(some, (size_t)n_subsets, sizeof *some, by_predictions);
    *n = n_subsets < MOST_SUBSETS ? n_subsets : MOST_SUBSETS;
    qsort(some, (size_t)*n, sizeof *some, by_slice_name);
    return some;
}

static void add_subsets(em_series *series, const em_slice *subsets, int n_subsets,
                        const em_slice *const *rows, int n) {
    for (int i = 0, k = 0; i < n && series; i++) {
        while (k < n_subsets && strcmp(subsets[k].name, rows[i]->name) < 0) k++;
        if (k < n_subsets && is(subsets[k].name, rows[i]->name))
            em_series_add(
                series,
                (em_point){.x = i, .y = em_slice_loss(&subsets[k]), .low = NAN, .high = NAN});
    }
}

static void subset_plot(const em_results *r, em_shown s, const char *data_set, bool differences,
                        em_page *p) {
    char title[160];
    const em_slice **rows = NULL;
    int n = 0, all = 0;
    em_plot plot = {.zero = differences,
                    .x_label = differences ? "difference (nats)" : "loss (nats)"};
    s.data_sets = false;
    for (int i = 0; i < (differences ? r->n_comparisons : r->n_results); i++) {
        const em_result *x = differences ? NULL : &r->results[i];
        const em_comparison *c = differences ? &r->comparisons[i] : NULL;
        if ((x ? x->has_alpha : c->has_alpha) || !is(x ? x->data_set : c->data_set, data_set))
            continue;
        const em_slice *subsets = x ? x->subsets : c->subsets;
        int n_subsets = x ? x->n_subsets : c->n_subsets;
        em_buffer label = {0};
        if (x) em_result_label(&s, x, &label);
        else em_comparison_label(&s, c, &label);
        if (!rows) rows = largest(subsets, all = n_subsets, &n);
        add_subsets(named_series(&plot, label.data), subsets, n_subsets, rows, n);
    }
    const char *names[MOST_SUBSETS];
    for (int i = 0; i < n; i++) names[i] = *rows[i]->name ? rows[i]->name : "(none)";
    int used = snprintf(title, sizeof title, "%s by subset%s%s",
                        differences ? "Differences" : "Loss", *data_set ? ", " : "", data_set);
    if (all > n)
        snprintf(title + used, sizeof title - (size_t)used, " (the %d with most predictions of %d)",
                 n, all);
    plot.title = title;
    em_plot_print_rows(&plot, names, n, p->out);
    free(rows);
}

void em_plot_subsets(const em_results *r, const em_shown *s, em_page *p) {
    if (p->face != EM_FACE_HTML) return;
    begin(p);
    for (int d = 0; d < r->n_data_sets; d++) {
        const char *set = r->data_sets[d].name;
        bool named = false;
        for (int i = 0; i < r->n_results && !named; i++)
            for (int k = 0; k < r->results[i].n_subsets && is(r->results[i].data_set, set); k++)
                named |= *r->results[i].subsets[k].name != 0;
        if (!named) continue;
        subset_plot(r, *s, set, false, p);
        subset_plot(r, *s, set, true, p);
    }
    end(p);
}
