#include "eval/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "eval/buckets.h"

enum { REPLICATES = 1000, KL_BINS = 4096 };

/* Differences after minus before: total, and the part of the row that is being added. */
typedef struct slice {
    int64_t predictions, documents;
    double total, row;
    bool touched;
} slice;

struct em_comparator {
    bool groups_are_rows;
    uint64_t seed;
    slice all, boundary, inside, positions[EM_POSITION_BUCKETS];
    slice *subsets;
    size_t n_subsets, subset_capacity;
    int32_t *touched;                           /* subsets of this row */
    size_t n_touched, touched_capacity;
    int64_t better, same_top1, row_predictions;
    double change, change_squares;              /* of the label's probability */

    int64_t document, document_predictions;     /* the open one; -1: none */
    int32_t document_group;
    double document_sum, document_row;

    int64_t groups;
    double centre, xx, xn, nn;                  /* as in statistics.c */
    double sums[REPLICATES], counts[REPLICATES];

    int64_t kl_bins[KL_BINS + 2], kl_n;         /* under, bins, over */
    double kl_sum, kl_max;
};

em_comparator *em_comparator_new(bool groups_are_rows, uint64_t seed, em_error *err) {
    em_comparator *c = em_alloc(1, sizeof *c, "a comparison", err);
    if (!c) return NULL;
    c->groups_are_rows = groups_are_rows;
    c->seed = seed;
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

/* ---- the bootstrap ---- */

/* splitmix64's finalizer (Steele, Lea, Flood 2014): a counter-based generator. */
static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Poisson(1) by inversion of a uniform 53-bit number. */
static int poisson(uint64_t bits) {
    double u = (double)(bits >> 11) * 0x1p-53, p = exp(-1), cumulated = p;
    int k = 0;
    while (u >= cumulated && k < 30) {
        p /= ++k;
        cumulated += p;
    }
    return k;
}

static void close_group(em_comparator *c, double sum, int64_t predictions) {
    if (predictions == 0) return;
    double n = (double)predictions;
    if (c->groups == 0) c->centre = sum / n;
    double x = sum - c->centre * n;
    c->xx += x * x;
    c->xn += x * n;
    c->nn += n * n;
    uint64_t key = mix(c->seed + 0x9e3779b97f4a7c15u * (uint64_t)(c->groups + 1));
    for (int r = 0; r < REPLICATES; r++) {
        int w = poisson(mix(key + 0x9e3779b97f4a7c15u * (uint64_t)(r + 1)));
        c->sums[r] += w * sum;
        c->counts[r] += w * n;
    }
    c->groups++;
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

static bool grow_subsets(em_comparator *c, int32_t group, em_error *err) {
    size_t need = (size_t)group + 1;
    if (need <= c->n_subsets) return true;
    if (!em_grow(&c->subsets, &c->subset_capacity, need, sizeof *c->subsets, "subsets", err)) return false;
    memset(c->subsets + c->n_subsets, 0, (need - c->n_subsets) * sizeof *c->subsets);
    c->n_subsets = need;
    return true;
}

static void close_document(em_comparator *c) {
    c->document_sum += c->document_row;
    c->document_row = 0;
    if (c->document >= 0 && c->document_predictions) {
        c->subsets[c->document_group].documents++;
        c->all.documents++;
        if (!c->groups_are_rows) close_group(c, c->document_sum, c->document_predictions);
    }
    c->document_sum = 0;
    c->document_predictions = 0;
}

/* Bin b of 4096 spans [2^(-40 + 48 b / 4096), 2^(-40 + 48 (b + 1) / 4096)). */
static void add_kl(em_comparator *c, double kl) {
    int bin = kl < 0x1p-40 ? 0 : kl >= 256 ? KL_BINS + 1 : 1 + (int)((log2(kl) + 40) * (KL_BINS / 48.0));
    if (bin > KL_BINS && kl < 256) bin = KL_BINS;
    c->kl_bins[bin]++;
    c->kl_n++;
    c->kl_sum += kl;
    if (kl > c->kl_max) c->kl_max = kl;
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
    c->document_row += difference;
    slice_add(&c->all, difference);
    slice_add(p->boundary ? &c->boundary : &c->inside, difference);
    slice_add(&c->positions[em_position_bucket(p->place)], difference);
    if (!c->subsets[p->group].touched) {
        if (!em_grow(&c->touched, &c->touched_capacity, c->n_touched + 1, sizeof *c->touched, "subsets", err)) return false;
        c->touched[c->n_touched++] = p->group;
    }
    slice_add(&c->subsets[p->group], difference);
    c->better += difference < 0;
    c->same_top1 += p->same_top1;
    c->change += change;
    c->change_squares += change * change;
    c->row_predictions++;
    if (p->has_kl) add_kl(c, p->kl);
    return true;
}

void em_comparator_end_row(em_comparator *c) {
    if (c->groups_are_rows) close_group(c, c->all.row, c->row_predictions);
    c->row_predictions = 0;
    slice_end_row(&c->all);
    slice_end_row(&c->boundary);
    slice_end_row(&c->inside);
    for (int i = 0; i < EM_POSITION_BUCKETS; i++) slice_end_row(&c->positions[i]);
    for (size_t i = 0; i < c->n_touched; i++) slice_end_row(&c->subsets[c->touched[i]]);
    c->n_touched = 0;
    c->document_sum += c->document_row;
    c->document_row = 0;
}

/* ---- figures ---- */

static double ratio(double a, double b) { return b > 0 ? a / b : NAN; }

static double standard_error(const em_comparator *c, double mean) {
    if (c->groups < 2) return NAN;
    double d = mean - c->centre, g = (double)c->groups, squares = c->xx - 2 * d * c->xn + d * d * c->nn;
    return sqrt(g / (g - 1) * (squares > 0 ? squares : 0)) / (double)c->all.predictions;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Percentile interval, 2.5 to 97.5, of the replicates that hold any prediction. */
static void interval(const em_comparator *c, em_comparison *out) {
    double means[REPLICATES];
    int n = 0;
    for (int r = 0; r < REPLICATES; r++)
        if (c->counts[r] > 0) means[n++] = c->sums[r] / c->counts[r];
    out->low = out->high = NAN;
    if (c->groups < 2 || n < REPLICATES / 2) return;
    qsort(means, (size_t)n, sizeof *means, ascending);
    out->low = means[(int)(0.025 * (n - 1) + 0.5)];
    out->high = means[(int)(0.975 * (n - 1) + 0.5)];
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

bool em_comparator_finish(em_comparator *c, em_comparison *out, const char *(*group_name)(const void *, int32_t),
                          const void *data, em_error *err) {
    close_document(c);
    c->document = -1;
    double n = (double)c->all.predictions;
    out->predictions = c->all.predictions;
    out->groups = c->groups;
    out->groups_are_rows = c->groups_are_rows;
    out->difference = ratio(c->all.total, n);
    out->stderr_ = standard_error(c, out->difference);
    interval(c, out);
    double z = 1.959963984540054 * out->stderr_ / out->difference;      /* the normal 97.5 % point */
    out->documents_to_resolve = ceil((double)c->all.documents * z * z);
    out->perplexity_ratio = exp(out->difference);
    out->better = ratio((double)c->better, n);
    out->same_top1 = ratio((double)c->same_top1, n);
    out->probability_change = ratio(c->change, n);
    out->probability_change_rms = sqrt(ratio(c->change_squares, n));
    kl_figures(c, out);
    slice_result(&c->boundary, &out->boundary);
    slice_result(&c->inside, &out->inside);
    return slices(c, out, group_name, data, err);
}
