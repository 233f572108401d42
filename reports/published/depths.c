/* Layers removed from the back, forward against backward: losses by depth and direction, their
 * ratios, and both by group where trainings are repeated. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "reports/published/tables.h"

/* A mask under a label scheme. The first one of a run is what the others are held against. */
typedef struct direction {
    const char *mask, *labels, *positions;
    int offset;
} direction;

enum { MOST = 8 };

typedef struct directions {
    direction all[MOST];
    int n;
} directions;

/* One model, or a group of repeated trainings, on one data set at one row length. */
typedef struct subject {
    const em_results *r;
    const em_result *first;
    const directions *ways;
} subject;

static bool same_subject(const em_result *a, const em_result *b) {
    bool model = *a->group ? !strcmp(a->group, b->group) : !strcmp(a->model, b->model);
    return model && !strcmp(a->data_set, b->data_set) && a->seq_len == b->seq_len &&
           a->has_alpha == b->has_alpha && a->alpha == b->alpha;
}

static bool is_way(const em_result *x, const direction *d) {
    return !strcmp(x->mask, d->mask) && !strcmp(x->labels, d->labels) &&
           !strcmp(x->positions, d->positions);
}

static directions all_directions(const em_results *r) {
    directions found = {.n = 0};
    for (int i = 0; i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        bool known = false;
        for (int k = 0; k < found.n; k++) known |= is_way(x, &found.all[k]);
        if (!known && found.n < MOST)
            found.all[found.n++] = (direction){x->mask, x->labels, x->positions, x->offset};
    }
    return found;
}

static int layers(const em_results *r, const em_result *x) {
    for (int i = 0; i < r->n_models; i++)
        if (!strcmp(r->models[i].name, x->model)) return r->models[i].layers;
    return 0;
}

static int kept(const em_results *r, const em_result *x) {
    return x->depth == EM_NO_DEPTH ? layers(r, x) : x->depth;
}

/* ---- repeated trainings ---- */

typedef enum figure { LOSS, PERPLEXITY, ACCURACY, N_FIGURES } figure;
static const char *const figure_names[N_FIGURES] = {"loss", "perplexity", "accuracy"};

static double figure_of(const em_result *x, figure f) {
    return f == LOSS ? x->loss : f == PERPLEXITY ? x->perplexity : x->top1;
}

typedef struct moments {
    int n;
    double sum, squares;
} moments;

static double mean(const moments *m) { return m->n ? m->sum / m->n : NAN; }

/* Gathers values in two passes: their mean first, then squares around it. */
static void add(moments *m, double x) { m->n++, m->sum += x; }
static double deviation(const moments *m) { return m->n > 1 ? sqrt(m->squares / (m->n - 1)) : NAN; }

/* The same training's result under another direction. */
static const em_result *partner(const subject *s, const em_result *x, const direction *d) {
    return em_find_result(s->r, (em_wanted){.data_set = x->data_set,
                                            .model = x->model,
                                            .mask = d->mask,
                                            .positions = d->positions,
                                            .labels = d->labels,
                                            .seq_len = x->seq_len,
                                            .depth = x->depth,
                                            .has_alpha = x->has_alpha,
                                            .alpha = x->alpha});
}

static bool counts(const subject *s, const em_result *x, int depth, const direction *d) {
    return same_subject(x, s->first) && x->depth == depth && is_way(x, d);
}

/* Of a figure over the trainings; over: NULL, or the direction whose figure divides it. */
static moments spread(const subject *s, int depth, const direction *d, const direction *over,
                      figure f) {
    moments m = {0};
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < s->r->n_results; i++) {
            const em_result *x = &s->r->results[i], *y;
            if (!counts(s, x, depth, d) || (over && !(y = partner(s, x, over)))) continue;
            double value = figure_of(x, f) / (over ? figure_of(y, f) : 1);
            if (pass == 0) add(&m, value);
            else m.squares += (value - mean(&m)) * (value - mean(&m));
        }
    return m;
}

static int trainings(const subject *s) {
    return spread(s, s->first->depth, &s->ways->all[0], NULL, LOSS).n;
}

/* ---- tables ---- */

static void way_cell(em_table *t, const direction *d, bool leak) {
    char text[96];
    snprintf(text, sizeof text, "%s, i%+d%s", d->mask, d->offset, leak ? " LEAK" : "");
    em_text_cell(t, text);
}

/* Calls show for every depth of the subject, shallow first, with its first result there. */
static void each_depth(const subject *s, em_table *t,
                       void (*show)(const subject *, const em_result *, em_table *)) {
    for (int i = 0; i < s->r->n_results; i++) {
        const em_result *x = &s->r->results[i];
        bool first = same_subject(x, s->first);
        for (int k = 0; k < i && first; k++)
            first = !same_subject(&s->r->results[k], s->first) ||
                    s->r->results[k].depth != x->depth;
        if (first) show(s, x, t);
    }
}

static void losses_at(const subject *s, const em_result *at, em_table *t) {
    for (int k = 0; k < s->ways->n; k++) {
        const em_result *x = partner(s, at, &s->ways->all[k]);
        if (!x) continue;
        em_integer_cell(t, kept(s->r, x));
        em_integer_cell(t, layers(s->r, x) - kept(s->r, x));
        way_cell(t, &s->ways->all[k], x->leak);
        em_number_cell(t, x->loss, 4);
        em_number_cell(t, x->perplexity, 2);
        em_percent_cell(t, x->top1);
    }
}

static void group_losses_at(const subject *s, const em_result *at, em_table *t) {
    for (int k = 0; k < s->ways->n; k++) {
        const direction *d = &s->ways->all[k];
        const em_result *x = partner(s, at, d);
        if (!x) continue;
        em_integer_cell(t, kept(s->r, x));
        em_integer_cell(t, layers(s->r, x) - kept(s->r, x));
        way_cell(t, d, x->leak);
        for (figure f = LOSS; f < N_FIGURES; f++) {
            moments m = spread(s, at->depth, d, NULL, f);
            em_number_cell(t, mean(&m), 4);
            em_number_cell(t, deviation(&m), 4);
        }
    }
}

static void leaks_at(const subject *s, const em_result *at, em_table *t) {
    for (int i = 0; i < s->r->n_results; i++) {
        const em_result *x = &s->r->results[i];
        const em_slice *parts[3] = {&x->direct, &x->indirect, &x->clean};
        if (!x->leak || !same_subject(x, s->first) || x->depth != at->depth) continue;
        em_integer_cell(t, kept(s->r, x));
        way_cell(t, &(direction){x->mask, x->labels, x->positions, x->offset}, false);
        if (*x->group) em_text_cell(t, x->model);
        for (int k = 0; k < 3; k++) {
            em_integer_cell(t, parts[k]->predictions);
            em_number_cell(t, em_slice_loss(parts[k]), 4);
        }
    }
}

static void ratios_at(const subject *s, const em_result *at, em_table *t) {
    const direction *forward = &s->ways->all[0];
    const em_result *x = partner(s, at, forward);
    for (int k = 1; x && k < s->ways->n; k++) {
        const em_result *y = partner(s, at, &s->ways->all[k]);
        if (!y) continue;
        em_integer_cell(t, kept(s->r, x));
        way_cell(t, &s->ways->all[k], y->leak);
        for (figure f = LOSS; f < N_FIGURES; f++)
            em_number_cell(t, figure_of(x, f) / figure_of(y, f), 4);
    }
}

static void group_ratios_at(const subject *s, const em_result *at, em_table *t) {
    const direction *forward = &s->ways->all[0];
    for (int k = 1; k < s->ways->n; k++) {
        const direction *d = &s->ways->all[k];
        const em_result *y = partner(s, at, d);
        for (figure f = LOSS; y && f < N_FIGURES; f++) {
            moments a = spread(s, at->depth, forward, NULL, f),
                    b = spread(s, at->depth, d, NULL, f);
            moments ratio = spread(s, at->depth, forward, d, f);
            em_integer_cell(t, kept(s->r, y));
            way_cell(t, d, y->leak);
            em_text_cell(t, figure_names[f]);
            em_number_cell(t, mean(&a) / mean(&b), 4);
            em_number_cell(t, mean(&ratio), 4);
            em_number_cell(t, deviation(&ratio), 4);
        }
    }
}

/* ---- together ---- */

static void one_training(const subject *s, em_page *p) {
    static const char *const heads[] = {"Depth", "Removed",    "Direction",
                                        "Loss",  "Perplexity", "Accuracy"};
    static const char *const ratio_heads[] = {"Depth", "Over", "Loss", "Perplexity", "Accuracy"};
    em_table t = em_table_new(3, 6, heads), u = em_table_new(2, 5, ratio_heads);
    each_depth(s, &t, losses_at);
    em_page_table(p, &t);
    em_page_paragraph(p, "%s, i%+d over the other directions:", s->ways->all[0].mask,
                      s->ways->all[0].offset);
    each_depth(s, &u, ratios_at);
    em_page_table(p, &u);
}

static void repeated_trainings(const subject *s, em_page *p) {
    static const char *const heads[] = {"Depth",      "Removed", "Direction", "Loss", "± SD",
                                        "Perplexity", "± SD",    "Accuracy",  "± SD"};
    static const char *const ratio_heads[] = {"Depth",          "Over",           "Figure",
                                              "Ratio of means", "Mean of ratios", "± SD"};
    em_table t = em_table_new(3, 9, heads), u = em_table_new(3, 6, ratio_heads);
    each_depth(s, &t, group_losses_at);
    em_page_table(p, &t);
    em_page_paragraph(p,
                      "%s, i%+d over the other directions, in both orders: means over the "
                      "trainings first, then their ratio; each "
                      "training's ratio first, then the mean and its standard deviation.",
                      s->ways->all[0].mask, s->ways->all[0].offset);
    each_depth(s, &u, group_ratios_at);
    em_page_table(p, &u);
}

static void leaks(const subject *s, em_page *p) {
    const char *heads[9] = {"Depth", "Direction", "Training"};
    static const char *const parts[] = {"Direct", "Loss", "Indirect", "Loss", "Clean", "Loss"};
    int keys = *s->first->group ? 3 : 2;
    bool any = false;
    for (int i = 0; i < s->r->n_results; i++)
        any |= s->r->results[i].leak && same_subject(&s->r->results[i], s->first);
    if (!any) return;
    memcpy(heads + keys, parts, sizeof parts);
    em_page_paragraph(p, "LEAK: positions that can see their own label, directly or through "
                         "several layers; only the loss on clean "
                         "ones is one of prediction. Scored positions and their loss:");
    em_table t = em_table_new(keys, keys + 6, heads);
    each_depth(s, &t, leaks_at);
    em_page_table(p, &t);
}

void em_published_depths(const em_results *r, em_page *p) {
    directions ways = all_directions(r);
    for (int i = 0; i < r->n_results; i++) {
        subject s = {r, &r->results[i], &ways};
        bool first = true;
        for (int k = 0; k < i && first; k++) first = !same_subject(&r->results[k], s.first);
        if (!first) continue;
        const char *set = s.first->data_set;
        em_page_heading(p, 3, "%s%s%s, T = %d", *s.first->group ? s.first->group : s.first->model,
                        *set ? ", " : "", set, s.first->seq_len);
        if (trainings(&s) > 1) repeated_trainings(&s, p);
        else one_training(&s, p);
        leaks(&s, p);
    }
}
