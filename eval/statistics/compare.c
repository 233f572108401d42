#include "eval/statistics/compare.h"

#include <math.h>
#include <stdlib.h>

#include "common/interval.h"
#include "common/size.h"

struct em_comparator {
    em_comparator_options options;
    em_totals totals;
    em_row_counts counts;

    em_stretch_sum stretch; /* the open group of common predictions */
    em_grouped common;
    em_bootstrap common_bootstrap;

    int64_t kl_bins[EM_KL_BINS], kl_n;
    double kl_sum, kl_max;
};

em_comparator *em_comparator_new(const em_comparator_options *o, em_error *err) {
    em_comparator *c = em_alloc(1, sizeof *c, "a comparison", err);
    if (!c) return NULL;
    c->options = *o;
    c->kl_max = -INFINITY;
    em_totals_init(&c->totals, o->groups_are_rows);
    return c;
}

void em_comparator_free(em_comparator *c) {
    if (!c) return;
    em_totals_free(&c->totals);
    free(c);
}

/* ---- adding ---- */

static void close_stretch(em_comparator *c) {
    em_stretch_sum *s = &c->stretch;
    em_bootstrap_add(&c->common_bootstrap, c->options.seed, s->stretch, s->value, s->predictions);
    em_grouped_add(&c->common, s->value, s->predictions);
    s->predictions = 0;
    s->value = 0;
}

static void add_stretch(em_comparator *c, const em_stretch_sum *row) {
    if (row->stretch != c->stretch.stretch) {
        close_stretch(c);
        c->stretch.stretch = row->stretch;
    }
    c->stretch.predictions += row->predictions;
    c->stretch.value += row->value;
}

static void add_counts(em_row_counts *c, const em_row_counts *row) {
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
    if (!em_totals_row(&c->totals, &row->sums, err)) return false;
    c->totals.n_over = 0;
    for (size_t i = 0; i < row->n_stretches; i++) add_stretch(c, &row->stretches[i]);
    add_counts(&c->counts, &row->counts);
    add_kl(c, row);
    return true;
}

/* ---- saved and restored ---- */

/* A bootstrap to which no group was added is left out: it is most of the bytes. */
static bool common_state(em_comparator *c, em_state *io) {
    return EM_STATE(io, c->stretch) && em_grouped_state(&c->common, io) &&
           (c->common.n == 0 || EM_STATE(io, c->common_bootstrap));
}

static bool kl_state(em_comparator *c, em_state *io) {
    return EM_STATE(io, c->kl_n) && (c->kl_n == 0 || EM_STATE(io, c->kl_bins)) &&
           EM_STATE(io, c->kl_sum) && EM_STATE(io, c->kl_max);
}

bool em_comparator_state(em_comparator *c, em_state *io) {
    return em_totals_state(&c->totals, io) && common_state(c, io) && EM_STATE(io, c->counts) &&
           kl_state(c, io);
}

/* ---- figures ---- */

static double ratio(double a, double b) { return b > 0 ? a / b : NAN; }
static double mean_of(const em_sum *s) { return ratio(s->value, (double)s->predictions); }

static void mean_figures(const em_total *t, const em_grouped *groups, em_difference *out) {
    em_interval interval = em_grouped_interval(groups);
    out->predictions = t->sum.predictions;
    out->groups = groups->n;
    out->difference = mean_of(&t->sum);
    out->stderr_ = em_grouped_stderr(groups, out->difference, t->sum.predictions);
    out->low = interval.low;
    out->high = interval.high;
    out->documents_to_resolve = em_documents_to_resolve(t->documents, out->difference,
                                                        out->stderr_);
}

static void kind_figures(const em_comparator *c, int kind, em_difference *out) {
    mean_figures(&c->totals.kinds[kind], &c->totals.kinds[kind].groups, out);
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

static void mask_figures(const em_comparator *c, em_comparison *out) {
    if (c->options.kind != EM_COMPARE_MASKS) return;
    out->affected_direct = c->counts.direct;
    out->affected_indirect = c->counts.indirect;
    kind_figures(c, EM_SUM_AFFECTED, &out->affected);
    out->common_affected = c->counts.common_affected;
}

static void common_figures(const em_comparator *c, const em_comparator *shortest,
                           em_comparison *out) {
    const em_total *common = &c->totals.kinds[EM_SUM_COMMON],
                   *least = shortest ? &shortest->totals.kinds[EM_SUM_COMMON] : NULL;
    out->growth = out->growth_low = out->growth_high = NAN;
    out->has_common = c->options.has_common;
    if (!out->has_common) return;
    mean_figures(common, &c->common, &out->common);
    if (!least || least->sum.predictions != common->sum.predictions)
        return; /* an interrupted run's differ */
    out->growth = out->common.difference - mean_of(&least->sum);
    em_grouped g = em_bootstrap_growth(&c->common_bootstrap, &shortest->common_bootstrap,
                                       c->common.n, out->growth, common->sum.predictions);
    em_interval interval = em_grouped_interval(&g);
    out->growth_low = interval.low;
    out->growth_high = interval.high;
}

bool em_comparator_finish(em_comparator *c, const em_comparator *shortest, em_comparison *out,
                          const char *(*group_name)(const void *, int32_t), const void *data,
                          em_error *err) {
    if (!em_totals_close(&c->totals, err)) return false;
    close_stretch(c);
    const em_sum *all = &c->totals.kinds[EM_SUM_ALL].sum;
    double n = (double)all->predictions;
    out->groups_are_rows = c->options.groups_are_rows;
    kind_figures(c, EM_SUM_ALL, &out->all);
    out->perplexity_ratio = exp(out->all.difference);
    out->better = ratio((double)all->hits, n);
    out->same_top1 = ratio((double)c->counts.same_top1, n);
    out->probability_change = ratio(c->counts.change, n);
    out->probability_change_rms = sqrt(ratio(c->counts.change_squares, n));
    mask_figures(c, out);
    common_figures(c, shortest, out);
    kl_figures(c, out);
    em_total_slice(&c->totals.kinds[EM_SUM_BOUNDARY], &out->boundary);
    em_total_slice(&c->totals.kinds[EM_SUM_INSIDE], &out->inside);
    return em_totals_subsets(&c->totals, group_name, data, &out->subsets, &out->n_subsets, err) &&
           em_totals_positions(&c->totals, &out->by_position, &out->n_by_position, err);
}
