#include "eval/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/grouped.h"
#include "common/size.h"
#include "eval/buckets.h"

enum { KL_BINS = 4096 };

/* Differences after minus before: total, and the part of the row that is being added. */
typedef struct slice {
    int64_t predictions, documents;
    double total, row;
    bool touched;
} slice;

/* A mean difference over some of the predictions, with its groups. */
typedef struct mean {
    int64_t predictions, documents, document_predictions;
    double total, row;
    int64_t group_predictions;                  /* of the open group, */
    double group_sum, group_row;                /* its finished rows and the one that is being added */
    em_grouped groups;
    em_bootstrap bootstrap;
} mean;

struct em_comparator {
    em_comparator_options options;
    mean all, affected, common;
    slice boundary, inside, positions[EM_POSITION_BUCKETS];
    slice *subsets;
    size_t n_subsets, subset_capacity;
    int32_t *touched;                           /* subsets of this row */
    size_t n_touched, touched_capacity;
    int64_t better, same_top1, direct, indirect, common_affected;
    double change, change_squares;              /* of the label's probability */

    int64_t document, document_predictions;     /* the open one; -1: none */
    int32_t document_group;
    int64_t stretch;                            /* the open group of common predictions */

    int64_t kl_bins[KL_BINS + 2], kl_n;         /* under, bins, over */
    double kl_sum, kl_max;
};

em_comparator *em_comparator_new(const em_comparator_options *o, em_error *err) {
    em_comparator *c = em_alloc(1, sizeof *c, "a comparison", err);
    if (!c) return NULL;
    c->options = *o;
    c->document = -1;
    c->kl_max = -INFINITY;
    return c;
}

void em_comparator_free(em_comparator *c) {
    if (!c) return;
    free(c->subsets);
    free(c->touched);
    free(c);
}

/* ---- adding ---- */

static void slice_add(slice *s, double difference) {
    s->touched = true;
    s->predictions++;
    s->row += difference;
}

static void slice_end_row(slice *s) {
    if (!s->touched) return;
    s->total += s->row;
    s->row = 0;
    s->touched = false;
}

static void mean_add(mean *m, double difference) {
    m->predictions++;
    m->document_predictions++;
    m->group_predictions++;
    m->row += difference;
    m->group_row += difference;
}

static void mean_end_row(mean *m) {
    m->total += m->row;
    m->group_sum += m->group_row;
    m->row = m->group_row = 0;
}

static void mean_close_group(mean *m, uint64_t seed, int64_t group) {
    double sum = m->group_sum + m->group_row;
    em_bootstrap_add(&m->bootstrap, seed, group, sum, m->group_predictions);
    em_grouped_add(&m->groups, sum, m->group_predictions);
    m->group_sum = m->group_row = 0;
    m->group_predictions = 0;
}

static void mean_end_document(mean *m) {
    m->documents += m->document_predictions > 0;
    m->document_predictions = 0;
}

static bool grow_subsets(em_comparator *c, int32_t group, em_error *err) {
    size_t need = (size_t)group + 1;
    if (need <= c->n_subsets) return true;
    if (!em_grow(&c->subsets, &c->subset_capacity, need, sizeof *c->subsets, "subsets", err)) return false;
    memset(c->subsets + c->n_subsets, 0, (need - c->n_subsets) * sizeof *c->subsets);
    c->n_subsets = need;
    return true;
}

/* Groups of all and of affected predictions are numbered as they come. */
static void close_groups(em_comparator *c) {
    mean_close_group(&c->all, c->options.seed, c->all.groups.n);
    mean_close_group(&c->affected, c->options.seed, c->affected.groups.n);
}

static void close_document(em_comparator *c) {
    if (c->document >= 0 && c->document_predictions) c->subsets[c->document_group].documents++;
    c->document_predictions = 0;
    mean_end_document(&c->all);
    mean_end_document(&c->affected);
    mean_end_document(&c->common);
    if (!c->options.groups_are_rows) close_groups(c);
}

static void open_stretch(em_comparator *c, int64_t stretch) {
    if (stretch == c->stretch) return;
    mean_close_group(&c->common, c->options.seed, c->stretch);
    c->stretch = stretch;
}

/* Bin b of 4096 spans [2^(-40 + 48 b / 4096), 2^(-40 + 48 (b + 1) / 4096)). */
static void add_kl(em_comparator *c, double kl) {
    int bin = kl < 0x1p-40 ? 0 : kl < 256 ? 1 + (int)((log2(kl) + 40) * (KL_BINS / 48.0)) : KL_BINS + 1;
    if (bin > KL_BINS && kl < 256) bin = KL_BINS;
    c->kl_bins[bin]++;
    c->kl_n++;
    c->kl_sum += kl;
    if (kl > c->kl_max) c->kl_max = kl;
}

static void add_effect(em_comparator *c, em_effect effect, double difference) {
    if (effect == EM_UNAFFECTED) return;
    if (effect == EM_AFFECTED_DIRECTLY) c->direct++;
    else c->indirect++;
    mean_add(&c->affected, difference);
}

static void add_common(em_comparator *c, const em_paired *p, double difference) {
    if (!p->common) return;
    open_stretch(c, p->stream / c->options.stretch);
    c->common_affected += p->effect != EM_UNAFFECTED;
    mean_add(&c->common, difference);
}

static bool add_subset(em_comparator *c, int32_t group, double difference, em_error *err) {
    if (!c->subsets[group].touched) {
        if (!em_grow(&c->touched, &c->touched_capacity, c->n_touched + 1, sizeof *c->touched, "subsets", err)) return false;
        c->touched[c->n_touched++] = group;
    }
    slice_add(&c->subsets[group], difference);
    return true;
}

bool em_comparator_add(em_comparator *c, const em_paired *p, em_error *err) {
    double difference = p->after - p->before, change = exp(-p->after) - exp(-p->before);
    if (!grow_subsets(c, p->group, err)) return false;
    if (p->document != c->document) {
        close_document(c);
        c->document = p->document;
        c->document_group = p->group;
    }
    c->document_predictions++;
    mean_add(&c->all, difference);
    add_effect(c, p->effect, difference);
    add_common(c, p, difference);
    slice_add(p->boundary ? &c->boundary : &c->inside, difference);
    slice_add(&c->positions[em_position_bucket(p->place)], difference);
    c->better += difference < 0;
    c->same_top1 += p->same_top1;
    c->change += change;
    c->change_squares += change * change;
    if (p->has_kl) add_kl(c, p->kl);
    return add_subset(c, p->group, difference, err);
}

void em_comparator_end_row(em_comparator *c) {
    if (c->options.groups_are_rows) close_groups(c);
    mean_end_row(&c->all);
    mean_end_row(&c->affected);
    mean_end_row(&c->common);
    slice_end_row(&c->boundary);
    slice_end_row(&c->inside);
    for (int i = 0; i < EM_POSITION_BUCKETS; i++) slice_end_row(&c->positions[i]);
    for (size_t i = 0; i < c->n_touched; i++) slice_end_row(&c->subsets[c->touched[i]]);
    c->n_touched = 0;
}

/* ---- saved and restored ---- */

/* Between rows a sum is its total, and nothing is touched. */
static bool slice_state(slice *s, em_state *io) {
    return EM_STATE(io, s->predictions) && EM_STATE(io, s->documents) && EM_STATE(io, s->total);
}

/* A bootstrap to which no group was added is left out: it is most of the bytes. */
static bool mean_state(mean *m, em_state *io) {
    return EM_STATE(io, m->predictions) && EM_STATE(io, m->documents) && EM_STATE(io, m->document_predictions) &&
           EM_STATE(io, m->total) && EM_STATE(io, m->group_predictions) && EM_STATE(io, m->group_sum) &&
           em_grouped_state(&m->groups, io) && (m->groups.n == 0 || EM_STATE(io, m->bootstrap));
}

static bool subsets_state(em_comparator *c, em_state *io) {
    size_t n = c->n_subsets;
    if (!em_state_length(io, &n, 3 * 8)) return false;
    if (n > INT32_MAX) return em_state_bad(io);
    if (n && !grow_subsets(c, (int32_t)(n - 1), io->err)) return io->failed = true, false;
    for (size_t i = 0; i < n; i++)
        if (!slice_state(&c->subsets[i], io)) return false;
    return true;
}

static bool document_state(em_comparator *c, em_state *io) {
    int64_t group = c->document_group;
    if (!em_state_within(io, &c->document, -1, INT64_MAX) || !EM_STATE(io, c->document_predictions) ||
        !em_state_within(io, &group, 0, INT32_MAX)) return false;
    if (c->document >= 0 && (size_t)group >= c->n_subsets) return em_state_bad(io);
    c->document_group = (int32_t)group;
    return EM_STATE(io, c->stretch);
}

static bool kl_state(em_comparator *c, em_state *io) {
    return EM_STATE(io, c->kl_n) && (c->kl_n == 0 || EM_STATE(io, c->kl_bins)) && EM_STATE(io, c->kl_sum) && EM_STATE(io, c->kl_max);
}

bool em_comparator_state(em_comparator *c, em_state *io) {
    bool good = mean_state(&c->all, io) && mean_state(&c->affected, io) && mean_state(&c->common, io) &&
                slice_state(&c->boundary, io) && slice_state(&c->inside, io);
    for (int i = 0; i < EM_POSITION_BUCKETS; i++) good = good && slice_state(&c->positions[i], io);
    return good && subsets_state(c, io) && EM_STATE(io, c->better) && EM_STATE(io, c->same_top1) && EM_STATE(io, c->direct) &&
           EM_STATE(io, c->indirect) && EM_STATE(io, c->common_affected) && EM_STATE(io, c->change) &&
           EM_STATE(io, c->change_squares) && document_state(c, io) && kl_state(c, io);
}

/* ---- figures ---- */

static double ratio(double a, double b) { return b > 0 ? a / b : NAN; }

static void mean_figures(const mean *m, em_difference *out) {
    out->predictions = m->predictions;
    out->groups = m->groups.n;
    out->difference = ratio(m->total, (double)m->predictions);
    out->stderr_ = em_grouped_stderr(&m->groups, out->difference, m->predictions);
    out->low = out->high = NAN;
    if (m->groups.n > 1) em_bootstrap_interval(&m->bootstrap, NULL, &out->low, &out->high);
    out->documents_to_resolve = em_documents_to_resolve(m->documents, out->difference, out->stderr_);
}

/* The upper edge of the bin that holds the quantile q. */
static double kl_quantile(const em_comparator *c, double q) {
    int64_t want = (int64_t)ceil(q * (double)c->kl_n), seen = 0;
    for (int b = 0; b < KL_BINS + 2; b++)
        if ((seen += c->kl_bins[b]) >= want) return b <= KL_BINS ? exp2(-40 + 48.0 * b / KL_BINS) : c->kl_max;
    return NAN;
}

static void kl_figures(const em_comparator *c, em_comparison *out) {
    static const double quantiles[EM_KL_QUANTILES] = {0.5, 0.9, 0.99, 0.999};
    out->has_kl = c->kl_n > 0;
    if (!out->has_kl) return;
    out->kl_mean = c->kl_sum / (double)c->kl_n;
    out->kl_max = c->kl_max;
    for (int i = 0; i < EM_KL_QUANTILES; i++) out->kl_quantiles[i] = kl_quantile(c, quantiles[i]);
}

static void slice_result(const slice *s, em_slice *out) {
    out->predictions = s->predictions;
    out->documents = s->documents;
    out->nll = s->total;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const em_slice *)a)->name, ((const em_slice *)b)->name);
}

static bool slices(const em_comparator *c, em_comparison *out, const char *(*group_name)(const void *, int32_t),
                   const void *data, em_error *err) {
    out->subsets = em_alloc(c->n_subsets, sizeof *out->subsets, "subsets", err);
    out->by_position = em_alloc(EM_POSITION_BUCKETS, sizeof *out->by_position, "positions", err);
    if (!out->subsets || !out->by_position) return false;
    for (size_t i = 0; i < c->n_subsets; i++) {
        if (c->subsets[i].predictions == 0) continue;
        em_slice *to = &out->subsets[out->n_subsets];
        slice_result(&c->subsets[i], to);
        if (!(to->name = strdup(group_name(data, (int32_t)i)))) return em_fail_memory(err, 64, "subsets");
        out->n_subsets++;
    }
    if (out->n_subsets) qsort(out->subsets, (size_t)out->n_subsets, sizeof *out->subsets, by_name);
    for (int b = 0; b < EM_POSITION_BUCKETS; b++) {
        if (c->positions[b].predictions == 0) continue;
        em_slice *to = &out->by_position[out->n_by_position++];
        slice_result(&c->positions[b], to);
        to->from = em_bucket_from(b);
        to->to = em_bucket_to(b);
    }
    return true;
}

static void mask_figures(const em_comparator *c, em_comparison *out) {
    if (c->options.kind != EM_COMPARE_MASKS) return;
    out->affected_direct = c->direct;
    out->affected_indirect = c->indirect;
    mean_figures(&c->affected, &out->affected);
    out->common_affected = c->common_affected;
}

static void common_figures(const em_comparator *c, const em_comparator *shortest, em_comparison *out) {
    out->growth = out->growth_low = out->growth_high = NAN;
    out->has_common = c->options.stretch > 0;
    if (!out->has_common) return;
    mean_figures(&c->common, &out->common);
    if (!shortest || shortest->common.predictions != c->common.predictions) return;     /* an interrupted run's differ */
    out->growth = out->common.difference - ratio(shortest->common.total, (double)shortest->common.predictions);
    em_bootstrap_interval(&c->common.bootstrap, &shortest->common.bootstrap, &out->growth_low, &out->growth_high);
}

static void close_all(em_comparator *c) {
    close_document(c);
    c->document = -1;
    mean_close_group(&c->common, c->options.seed, c->stretch);
}

bool em_comparator_finish(em_comparator *c, const em_comparator *shortest, em_comparison *out,
                          const char *(*group_name)(const void *, int32_t), const void *data, em_error *err) {
    close_all(c);
    double n = (double)c->all.predictions;
    out->groups_are_rows = c->options.groups_are_rows;
    mean_figures(&c->all, &out->all);
    out->perplexity_ratio = exp(out->all.difference);
    out->better = ratio((double)c->better, n);
    out->same_top1 = ratio((double)c->same_top1, n);
    out->probability_change = ratio(c->change, n);
    out->probability_change_rms = sqrt(ratio(c->change_squares, n));
    mask_figures(c, out);
    common_figures(c, shortest, out);
    kl_figures(c, out);
    slice_result(&c->boundary, &out->boundary);
    slice_result(&c->inside, &out->inside);
    return slices(c, out, group_name, data, err);
}
