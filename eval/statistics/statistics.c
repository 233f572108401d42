#include "eval/statistics/statistics.h"

#include <math.h>
#include <stdlib.h>

#include "common/interval.h"
#include "common/size.h"

struct em_statistics {
    em_totals totals;
    int64_t rows;
    double batch_nll, batch_means;
    int64_t batch_predictions, batches;
    double document_means;
};

em_statistics *em_statistics_new(bool groups_are_rows, em_error *err) {
    em_statistics *s = em_alloc(1, sizeof *s, "statistics", err);
    if (s) em_totals_init(&s->totals, groups_are_rows);
    return s;
}

void em_statistics_free(em_statistics *s) {
    if (!s) return;
    em_totals_free(&s->totals);
    free(s);
}

/* ---- adding ---- */

/* Documents that are over from the one at `from` on count once each. */
static void add_documents(em_statistics *s, size_t from) {
    for (size_t i = from; i < s->totals.n_over; i++) {
        const em_document_sum *d = &s->totals.over[i];
        if (d->predictions) s->document_means += d->nll / (double)d->predictions;
    }
}

static bool close_document(em_statistics *s, em_error *err) {
    size_t from = s->totals.n_over;
    if (!em_totals_close(&s->totals, err)) return false;
    add_documents(s, from);
    return true;
}

bool em_statistics_row(em_statistics *s, const em_row_sums *row, em_error *err) {
    const em_sum *all = &row->sums[EM_SUM_ALL];
    size_t from = s->totals.n_over;
    s->rows++;
    s->batch_nll += all->value;
    s->batch_predictions += all->predictions;
    if (!em_totals_row(&s->totals, row, err)) return false;
    add_documents(s, from);
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
    em_totals *t = &s->totals;
    if (t->document < before && !close_document(s, err)) return NULL;
    if (!em_grow(&t->over, &t->over_capacity, 1, sizeof *t->over, "documents", err)) return NULL;
    *n = t->n_over;
    return t->over;
}

void em_statistics_documents_taken(em_statistics *s) { s->totals.n_over = 0; }

static double ratio(double a, double b) { return b > 0 ? a / b : NAN; }
static double mean_of(const em_sum *s) { return ratio(s->value, (double)s->predictions); }

double em_statistics_running_loss(const em_statistics *s) {
    return mean_of(&s->totals.kinds[EM_SUM_ALL].sum);
}

bool em_statistics_state(em_statistics *s, em_state *io) {
    return em_totals_state(&s->totals, io) && EM_STATE(io, s->rows) && EM_STATE(io, s->batch_nll) &&
           EM_STATE(io, s->batch_means) && EM_STATE(io, s->batch_predictions) &&
           EM_STATE(io, s->batches) && EM_STATE(io, s->document_means);
}

/* ---- figures ---- */

static void leak_figures(const em_statistics *s, em_result *out) {
    const em_total *leaks = &s->totals.kinds[EM_SUM_LEAK];
    em_total_slice(&leaks[EM_CLEAN], &out->clean);
    em_total_slice(&leaks[EM_LEAK_DIRECT], &out->direct);
    em_total_slice(&leaks[EM_LEAK_INDIRECT], &out->indirect);
    out->leak = out->direct.predictions + out->indirect.predictions > 0;
}

bool em_statistics_finish(em_statistics *s, em_result *out,
                          const char *(*group_name)(const void *, int32_t), const void *data,
                          em_error *err) {
    if (!close_document(s, err)) return false;
    em_statistics_end_batch(s);
    const em_total *kinds = s->totals.kinds, *total = &kinds[EM_SUM_ALL];
    const em_sum *all = &total->sum, *inside = &kinds[EM_SUM_INSIDE].sum;
    double n = (double)all->predictions, bits = M_LN2 * (double)all->text_bytes;
    out->rows = s->rows;
    out->batches = s->batches;
    out->documents = total->documents;
    out->predictions = all->predictions;
    out->boundary_predictions = all->predictions - inside->predictions;
    out->loss = mean_of(all);
    out->loss_batch_mean = ratio(s->batch_means, (double)s->batches);
    out->loss_doc_mean = ratio(s->document_means, (double)total->documents);
    out->loss_no_boundary = mean_of(inside);
    out->perplexity = exp(out->loss);
    out->bits_per_byte = ratio(all->text_value, bits);
    out->bits_per_byte_all = ratio(all->value, bits);
    out->top1 = ratio((double)all->hits, n);
    out->stderr_ = em_grouped_stderr(&total->groups, out->loss, all->predictions);
    em_interval interval = em_grouped_interval(&total->groups);
    out->low = interval.low;
    out->high = interval.high;
    out->groups = total->groups.n;
    out->groups_are_rows = s->totals.groups_are_rows;
    em_total_slice(&kinds[EM_SUM_COMMON], &out->common);
    leak_figures(s, out);
    return em_totals_subsets(&s->totals, group_name, data, &out->subsets, &out->n_subsets, err) &&
           em_totals_positions(&s->totals, &out->by_position, &out->n_by_position, err);
}
