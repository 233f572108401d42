#include "eval/statistics/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/grouped.h"
#include "common/size.h"

typedef struct subset {
    em_gap gap;
    int64_t documents;
} subset;

/* A mean difference over some of the predictions, with its groups. */
typedef struct mean {
    em_gap group; /* the open one */
    int64_t documents, document_predictions;
    em_grouped groups;
    em_bootstrap bootstrap;
} mean;

struct em_comparator {
    em_comparator_options options;
    mean all, affected, common;
    em_gap gaps[EM_GAPS];
    subset *subsets;
    size_t n_subsets, subset_capacity;
    em_row_counts counts;

    int64_t document, document_predictions; /* the open one; -1: none */
    int32_t document_group;
    int64_t stretch; /* the open group of common predictions */

    int64_t kl_bins[EM_KL_BINS], kl_n;
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
    free(c);
}

/* ---- adding ---- */

static void add(em_gap *g, const em_gap *row) {
    g->predictions += row->predictions;
    g->sum += row->sum;
}

static void mean_close_group(mean *m, uint64_t seed, int64_t number) {
    em_bootstrap_add(&m->bootstrap, seed, number, m->group.sum, m->group.predictions);
    em_grouped_add(&m->groups, m->group.sum, m->group.predictions);
    m->group = (em_gap){0};
}

static void mean_end_document(mean *m) {
    m->documents += m->document_predictions > 0;
    m->document_predictions = 0;
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

static bool add_subset(em_comparator *c, const em_gap_subset *row, em_error *err) {
    size_t need = (size_t)row->group + 1;
    if (need > c->n_subsets) {
        if (!em_grow(&c->subsets, &c->subset_capacity, need, sizeof *c->subsets, "subsets", err))
            return false;
        memset(c->subsets + c->n_subsets, 0, (need - c->n_subsets) * sizeof *c->subsets);
        c->n_subsets = need;
    }
    add(&c->subsets[row->group].gap, &row->gap);
    return true;
}

static void add_document(em_comparator *c, const em_row_paired *row, const em_gap_document *d) {
    if (d->document != c->document) {
        close_document(c);
        c->document = d->document;
        c->document_group = (int32_t)row->subsets[d->subset].group;
    }
    c->document_predictions += d->all.predictions;
    c->all.document_predictions += d->all.predictions;
    c->affected.document_predictions += d->affected.predictions;
    c->common.document_predictions += d->common;
    if (c->options.groups_are_rows) return;
    add(&c->all.group, &d->all);
    add(&c->affected.group, &d->affected);
}

static void add_stretch(em_comparator *c, const em_gap_stretch *row) {
    if (row->stretch != c->stretch) {
        mean_close_group(&c->common, c->options.seed, c->stretch);
        c->stretch = row->stretch;
    }
    add(&c->common.group, &row->gap);
}

static void add_counts(em_row_counts *c, const em_row_counts *row) {
    c->better += row->better;
    c->same_top1 += row->same_top1;
    c->direct += row->direct;
    c->indirect += row->indirect;
    c->common_affected += row->common_affected;
    c->change += row->change;
    c->change_squares += row->change_squares;
}

static void add_kl(em_comparator *c, const em_row_paired *row) {
    for (size_t i = 0; i < row->n_kl; i++) c->kl_bins[row->kl_bins[i]]++;
    c->kl_n += (int64_t)row->n_kl;
    c->kl_sum += row->kl.sum;
    if (row->kl.max > c->kl_max) c->kl_max = row->kl.max;
}

bool em_comparator_row(em_comparator *c, const em_row_paired *row, em_error *err) {
    for (size_t i = 0; i < row->n_subsets; i++)
        if (!add_subset(c, &row->subsets[i], err)) return false;
    for (size_t i = 0; i < row->n_documents; i++) add_document(c, row, &row->documents[i]);
    for (size_t i = 0; i < row->n_stretches; i++) add_stretch(c, &row->stretches[i]);
    for (int i = 0; i < EM_GAPS; i++) add(&c->gaps[i], &row->gaps[i]);
    add_counts(&c->counts, &row->counts);
    add_kl(c, row);
    if (!c->options.groups_are_rows) return true;
    c->all.group = row->gaps[EM_GAP_ALL];
    c->affected.group = row->gaps[EM_GAP_AFFECTED];
    close_groups(c);
    return true;
}

/* ---- saved and restored ---- */

/* A bootstrap to which no group was added is left out: it is most of the bytes. */
static bool mean_state(mean *m, em_state *io) {
    return EM_STATE(io, m->group) && EM_STATE(io, m->documents) &&
           EM_STATE(io, m->document_predictions) && em_grouped_state(&m->groups, io) &&
           (m->groups.n == 0 || EM_STATE(io, m->bootstrap));
}

static bool subsets_state(em_comparator *c, em_state *io) {
    if (!em_state_list(io, &c->subsets, &c->n_subsets, &c->subset_capacity, sizeof *c->subsets,
                       "subsets"))
        return false;
    for (size_t i = 0; i < c->n_subsets; i++)
        if (!EM_STATE(io, c->subsets[i])) return false;
    return true;
}

static bool document_state(em_comparator *c, em_state *io) {
    int64_t group = c->document_group;
    if (!em_state_within(io, &c->document, -1, INT64_MAX) ||
        !EM_STATE(io, c->document_predictions) || !em_state_within(io, &group, 0, INT32_MAX))
        return false;
    if (c->document >= 0 && (size_t)group >= c->n_subsets) return em_state_bad(io);
    c->document_group = (int32_t)group;
    return EM_STATE(io, c->stretch);
}

static bool kl_state(em_comparator *c, em_state *io) {
    return EM_STATE(io, c->kl_n) && (c->kl_n == 0 || EM_STATE(io, c->kl_bins)) &&
           EM_STATE(io, c->kl_sum) && EM_STATE(io, c->kl_max);
}

bool em_comparator_state(em_comparator *c, em_state *io) {
    return mean_state(&c->all, io) && mean_state(&c->affected, io) && mean_state(&c->common, io) &&
           EM_STATE(io, c->gaps) && subsets_state(c, io) && EM_STATE(io, c->counts) &&
           document_state(c, io) && kl_state(c, io);
}

/* ---- figures ---- */

static double ratio(double a, double b) { return b > 0 ? a / b : NAN; }
static double mean_of(const em_gap *g) { return ratio(g->sum, (double)g->predictions); }

static void mean_figures(const mean *m, const em_gap *all, em_difference *out) {
    out->predictions = all->predictions;
    out->groups = m->groups.n;
    out->difference = mean_of(all);
    out->stderr_ = em_grouped_stderr(&m->groups, out->difference, all->predictions);
    out->low = out->high = NAN;
    if (m->groups.n > 1) em_bootstrap_interval(&m->bootstrap, NULL, &out->low, &out->high);
    out->documents_to_resolve = em_documents_to_resolve(m->documents, out->difference,
                                                        out->stderr_);
}

/* The upper edge of the bin that holds the quantile q. */
static double kl_quantile(const em_comparator *c, double q) {
    int64_t want = (int64_t)ceil(q * (double)c->kl_n), seen = 0;
    for (int b = 0; b < EM_KL_BINS; b++)
        if ((seen += c->kl_bins[b]) >= want)
            return b <= EM_KL_STEPS ? exp2(-40 + 48.0 * b / EM_KL_STEPS) : c->kl_max;
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

static void slice_result(const em_gap *g, em_slice *out) {
    out->predictions = g->predictions;
    out->nll = g->sum;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const em_slice *)a)->name, ((const em_slice *)b)->name);
}

static bool slices(const em_comparator *c, em_comparison *out,
                   const char *(*group_name)(const void *, int32_t), const void *data,
                   em_error *err) {
    out->subsets = em_alloc(c->n_subsets, sizeof *out->subsets, "subsets", err);
    out->by_position = em_alloc(EM_POSITION_BUCKETS, sizeof *out->by_position, "positions", err);
    if (!out->subsets || !out->by_position) return false;
    for (size_t i = 0; i < c->n_subsets; i++) {
        if (c->subsets[i].gap.predictions == 0) continue;
        em_slice *to = &out->subsets[out->n_subsets];
        slice_result(&c->subsets[i].gap, to);
        to->documents = c->subsets[i].documents;
        if (!(to->name = strdup(group_name(data, (int32_t)i))))
            return em_fail_memory(err, 64, "subsets");
        out->n_subsets++;
    }
    if (out->n_subsets) qsort(out->subsets, (size_t)out->n_subsets, sizeof *out->subsets, by_name);
    for (int b = 0; b < EM_POSITION_BUCKETS; b++) {
        const em_gap *from = &c->gaps[EM_GAP_POSITION + b];
        if (from->predictions == 0) continue;
        em_slice *to = &out->by_position[out->n_by_position++];
        slice_result(from, to);
        to->from = em_bucket_from(b);
        to->to = em_bucket_to(b);
    }
    return true;
}

static void mask_figures(const em_comparator *c, em_comparison *out) {
    if (c->options.kind != EM_COMPARE_MASKS) return;
    out->affected_direct = c->counts.direct;
    out->affected_indirect = c->counts.indirect;
    mean_figures(&c->affected, &c->gaps[EM_GAP_AFFECTED], &out->affected);
    out->common_affected = c->counts.common_affected;
}

static void common_figures(const em_comparator *c, const em_comparator *shortest,
                           em_comparison *out) {
    const em_gap *common = &c->gaps[EM_GAP_COMMON],
                 *least = shortest ? &shortest->gaps[EM_GAP_COMMON] : NULL;
    out->growth = out->growth_low = out->growth_high = NAN;
    out->has_common = c->options.has_common;
    if (!out->has_common) return;
    mean_figures(&c->common, common, &out->common);
    if (!least || least->predictions != common->predictions)
        return; /* an interrupted run's differ */
    out->growth = out->common.difference - mean_of(least);
    em_bootstrap_interval(&c->common.bootstrap, &shortest->common.bootstrap, &out->growth_low,
                          &out->growth_high);
}

static void close_all(em_comparator *c) {
    close_document(c);
    c->document = -1;
    mean_close_group(&c->common, c->options.seed, c->stretch);
}

bool em_comparator_finish(em_comparator *c, const em_comparator *shortest, em_comparison *out,
                          const char *(*group_name)(const void *, int32_t), const void *data,
                          em_error *err) {
    close_all(c);
    double n = (double)c->gaps[EM_GAP_ALL].predictions;
    out->groups_are_rows = c->options.groups_are_rows;
    mean_figures(&c->all, &c->gaps[EM_GAP_ALL], &out->all);
    out->perplexity_ratio = exp(out->all.difference);
    out->better = ratio((double)c->counts.better, n);
    out->same_top1 = ratio((double)c->counts.same_top1, n);
    out->probability_change = ratio(c->counts.change, n);
    out->probability_change_rms = sqrt(ratio(c->counts.change_squares, n));
    mask_figures(c, out);
    common_figures(c, shortest, out);
    kl_figures(c, out);
    slice_result(&c->gaps[EM_GAP_BOUNDARY], &out->boundary);
    slice_result(&c->gaps[EM_GAP_INSIDE], &out->inside);
    return slices(c, out, group_name, data, err);
}
