#include "eval/statistics/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/grouped.h"
#include "common/size.h"

typedef struct subset {
    em_sum sum;
    int64_t documents;
} subset;

struct em_statistics {
    bool groups_are_rows;
    em_sum sums[EM_SUMS];
    subset *subsets; /* by the loader's group index */
    size_t n_subsets, subset_capacity;

    int64_t rows;
    double batch_nll, batch_means;
    int64_t batch_predictions, batches;

    em_document_sum document; /* the open one; document -1: none */
    int32_t document_group;
    double document_means;
    int64_t documents;
    em_document_sum *over;
    size_t n_over, over_capacity;

    em_grouped groups;
};

em_statistics *em_statistics_new(bool groups_are_rows, em_error *err) {
    em_statistics *s = em_alloc(1, sizeof *s, "statistics", err);
    if (!s) return NULL;
    s->groups_are_rows = groups_are_rows;
    s->document.document = -1;
    return s;
}

void em_statistics_free(em_statistics *s) {
    if (!s) return;
    free(s->subsets);
    free(s->over);
    free(s);
}

/* ---- documents ---- */

static bool close_document(em_statistics *s, em_error *err) {
    em_document_sum *d = &s->document;
    if (d->document < 0) return true;
    if (d->predictions) {
        s->document_means += d->nll / (double)d->predictions;
        s->documents++;
        s->subsets[s->document_group].documents++;
        if (!s->groups_are_rows) em_grouped_add(&s->groups, d->nll, d->predictions);
    }
    if (!em_grow(&s->over, &s->over_capacity, s->n_over + 1, sizeof *s->over, "documents", err))
        return false;
    s->over[s->n_over++] = *d;
    d->document = -1;
    return true;
}

/* ---- adding ---- */

static void add(em_sum *s, const em_sum *row) {
    s->predictions += row->predictions;
    s->correct += row->correct;
    s->text_bytes += row->text_bytes;
    s->nll += row->nll;
    s->text_nll += row->text_nll;
}

static bool add_subset(em_statistics *s, const em_subset_sum *row, em_error *err) {
    size_t need = (size_t)row->group + 1;
    if (need > s->n_subsets) {
        if (!em_grow(&s->subsets, &s->subset_capacity, need, sizeof *s->subsets, "subsets", err))
            return false;
        memset(s->subsets + s->n_subsets, 0, (need - s->n_subsets) * sizeof *s->subsets);
        s->n_subsets = need;
    }
    add(&s->subsets[row->group].sum, &row->sum);
    return true;
}

static bool add_document(em_statistics *s, const em_row_sums *row, const em_document_part *part,
                         em_error *err) {
    if (part->sum.document != s->document.document) {
        if (!close_document(s, err)) return false;
        s->document = (em_document_sum){.document = part->sum.document};
        s->document_group = (int32_t)row->subsets[part->subset].group;
    }
    s->document.predictions += part->sum.predictions;
    s->document.nll += part->sum.nll;
    return true;
}

bool em_statistics_row(em_statistics *s, const em_row_sums *row, em_error *err) {
    const em_sum *all = &row->sums[EM_SUM_ALL];
    s->rows++;
    s->batch_nll += all->nll;
    s->batch_predictions += all->predictions;
    if (s->groups_are_rows) em_grouped_add(&s->groups, all->nll, all->predictions);
    for (int i = 0; i < EM_SUMS; i++)
        if (row->sums[i].predictions) add(&s->sums[i], &row->sums[i]);
    for (size_t i = 0; i < row->n_subsets; i++)
        if (!add_subset(s, &row->subsets[i], err)) return false;
    for (size_t i = 0; i < row->n_documents; i++)
        if (!add_document(s, row, &row->documents[i], err)) return false;
    return true;
}

void em_statistics_end_batch(em_statistics *s) {
    if (s->batch_predictions) {
        s->batch_means += s->batch_nll / (double)s->batch_predictions;
        s->batches++;
    }
    s->batch_nll = 0;
    s->batch_predictions = 0;
}

const em_document_sum *em_statistics_documents(em_statistics *s, int64_t before, size_t *n,
                                               em_error *err) {
    if (s->document.document < before && !close_document(s, err)) return NULL;
    if (!em_grow(&s->over, &s->over_capacity, 1, sizeof *s->over, "documents", err)) return NULL;
    *n = s->n_over;
    return s->over;
}

void em_statistics_documents_taken(em_statistics *s) { s->n_over = 0; }

double em_statistics_running_loss(const em_statistics *s) {
    const em_sum *all = &s->sums[EM_SUM_ALL];
    return all->predictions ? all->nll / (double)all->predictions : NAN;
}

/* ---- saved and restored ---- */

static bool subsets_state(em_statistics *s, em_state *io) {
    if (!em_state_list(io, &s->subsets, &s->n_subsets, &s->subset_capacity, sizeof *s->subsets,
                       "subsets"))
        return false;
    for (size_t i = 0; i < s->n_subsets; i++)
        if (!EM_STATE(io, s->subsets[i].sum) || !em_state_count(io, &s->subsets[i].documents))
            return false;
    return true;
}

static bool document_state(em_statistics *s, em_state *io) {
    int64_t group = s->document_group;
    if (!em_state_within(io, &s->document.document, -1, INT64_MAX) ||
        !EM_STATE(io, s->document.predictions) || !EM_STATE(io, s->document.nll) ||
        !em_state_within(io, &group, 0, INT32_MAX))
        return false;
    if (s->document.document >= 0 && (size_t)group >= s->n_subsets) return em_state_bad(io);
    s->document_group = (int32_t)group;
    return EM_STATE(io, s->document_means) && em_state_count(io, &s->documents);
}

bool em_statistics_state(em_statistics *s, em_state *io) {
    return EM_STATE(io, s->sums) && subsets_state(s, io) && EM_STATE(io, s->rows) &&
           EM_STATE(io, s->batch_nll) && EM_STATE(io, s->batch_means) &&
           EM_STATE(io, s->batch_predictions) && EM_STATE(io, s->batches) &&
           document_state(s, io) && em_grouped_state(&s->groups, io);
}

/* ---- figures ---- */

static double ratio(double a, double b) { return b > 0 ? a / b : NAN; }

static void slice_result(const em_sum *a, em_slice *out) {
    out->predictions = a->predictions;
    out->top1_count = a->correct;
    out->nll = a->nll;
    out->text_nll = a->text_nll;
    out->text_bytes = a->text_bytes;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const em_slice *)a)->name, ((const em_slice *)b)->name);
}

static bool subsets_result(const em_statistics *s, em_result *out,
                           const char *(*group_name)(const void *, int32_t), const void *data,
                           em_error *err) {
    out->subsets = em_alloc(s->n_subsets, sizeof *out->subsets, "subsets", err);
    if (!out->subsets) return false;
    for (size_t i = 0; i < s->n_subsets; i++) {
        if (s->subsets[i].sum.predictions == 0) continue;
        em_slice *to = &out->subsets[out->n_subsets];
        slice_result(&s->subsets[i].sum, to);
        to->documents = s->subsets[i].documents;
        to->name = strdup(group_name(data, (int32_t)i));
        if (!to->name) return em_fail_memory(err, 64, "subsets");
        out->n_subsets++;
    }
    if (out->n_subsets) qsort(out->subsets, (size_t)out->n_subsets, sizeof *out->subsets, by_name);
    return true;
}

static bool positions_result(const em_statistics *s, em_result *out, em_error *err) {
    out->by_position = em_alloc(EM_POSITION_BUCKETS, sizeof *out->by_position, "positions", err);
    if (!out->by_position) return false;
    for (int b = 0; b < EM_POSITION_BUCKETS; b++) {
        const em_sum *from = &s->sums[EM_SUM_POSITION + b];
        if (from->predictions == 0) continue;
        em_slice *to = &out->by_position[out->n_by_position++];
        slice_result(from, to);
        to->from = em_bucket_from(b);
        to->to = em_bucket_to(b);
    }
    return true;
}

bool em_statistics_finish(em_statistics *s, em_result *out,
                          const char *(*group_name)(const void *, int32_t), const void *data,
                          em_error *err) {
    if (!close_document(s, err)) return false;
    em_statistics_end_batch(s);
    const em_sum *all = &s->sums[EM_SUM_ALL], *inside = &s->sums[EM_SUM_INSIDE];
    double n = (double)all->predictions, bits = M_LN2 * (double)all->text_bytes;
    out->rows = s->rows;
    out->batches = s->batches;
    out->documents = s->documents;
    out->predictions = all->predictions;
    out->boundary_predictions = all->predictions - inside->predictions;
    out->loss = ratio(all->nll, n);
    out->loss_batch_mean = ratio(s->batch_means, (double)s->batches);
    out->loss_doc_mean = ratio(s->document_means, (double)s->documents);
    out->loss_no_boundary = ratio(inside->nll, (double)inside->predictions);
    out->perplexity = exp(out->loss);
    out->bits_per_byte = ratio(all->text_nll, bits);
    out->bits_per_byte_all = ratio(all->nll, bits);
    out->top1 = ratio((double)all->correct, n);
    out->stderr_ = em_grouped_stderr(&s->groups, out->loss, all->predictions);
    out->groups = s->groups.n;
    out->groups_are_rows = s->groups_are_rows;
    slice_result(&s->sums[EM_SUM_COMMON], &out->common);
    slice_result(&s->sums[EM_SUM_LEAK + EM_CLEAN], &out->clean);
    slice_result(&s->sums[EM_SUM_LEAK + EM_LEAK_DIRECT], &out->direct);
    slice_result(&s->sums[EM_SUM_LEAK + EM_LEAK_INDIRECT], &out->indirect);
    out->leak = out->direct.predictions + out->indirect.predictions > 0;
    return subsets_result(s, out, group_name, data, err) && positions_result(s, out, err);
}
