#include "eval/statistics/sums.h"

#include <stdlib.h>
#include <string.h>

#include "common/size.h"

static const char what[] = "a row's sums";

void em_row_sums_free(em_row_sums *r) {
    free(r->subsets);
    free(r->documents);
    *r = (em_row_sums){0};
}

void em_row_sums_clear(em_row_sums *r) {
    memset(r->sums, 0, sizeof r->sums);
    r->n_subsets = r->n_documents = 0;
}

/* ---- adding ---- */

static void add(em_sum *s, const em_prediction *p) {
    s->predictions++;
    s->correct += p->correct;
    s->nll += p->nll;
    if (p->added) return;
    s->text_nll += p->nll;
    s->text_bytes += p->bytes;
}

/* The index of the group's sum, which is there from now on; -1: err. */
static int64_t find_subset(em_row_sums *r, int32_t group, em_error *err) {
    for (size_t i = 0; i < r->n_subsets; i++)
        if (r->subsets[i].group == group) return (int64_t)i;
    if (!em_grow(&r->subsets, &r->subsets_capacity, r->n_subsets + 1, sizeof *r->subsets, what,
                 err))
        return -1;
    r->subsets[r->n_subsets] = (em_subset_sum){.group = group};
    return (int64_t)r->n_subsets++;
}

static bool open_document(em_row_sums *r, const em_prediction *p, em_error *err) {
    int64_t subset = find_subset(r, p->group, err);
    if (subset < 0 || !em_grow(&r->documents, &r->documents_capacity, r->n_documents + 1,
                               sizeof *r->documents, what, err))
        return false;
    r->documents[r->n_documents++] = (em_document_part){.sum.document = p->document,
                                                        .subset = subset};
    return true;
}

bool em_row_sums_add(em_row_sums *r, const em_prediction *p, em_error *err) {
    bool open = r->n_documents && r->documents[r->n_documents - 1].sum.document == p->document;
    if (!open && !open_document(r, p, err)) return false;
    em_document_part *d = &r->documents[r->n_documents - 1];
    d->sum.predictions++;
    d->sum.nll += p->nll;
    add(&r->sums[EM_SUM_ALL], p);
    if (!p->boundary) add(&r->sums[EM_SUM_INSIDE], p);
    if (p->common) add(&r->sums[EM_SUM_COMMON], p);
    add(&r->sums[EM_SUM_LEAK + p->leak], p);
    add(&r->sums[EM_SUM_POSITION + em_position_bucket(p->place)], p);
    add(&r->subsets[d->subset].sum, p);
    return true;
}

/* ---- saved and restored ---- */

static bool sum_state(em_sum *s, em_state *io) {
    return em_state_count(io, &s->predictions) && em_state_count(io, &s->correct) &&
           em_state_count(io, &s->text_bytes) && EM_STATE(io, s->nll) && EM_STATE(io, s->text_nll);
}

static bool sums_state(em_row_sums *r, em_state *io) {
    uint64_t there = 0;
    for (int i = 0; i < EM_SUMS; i++) there |= (uint64_t)(r->sums[i].predictions > 0) << i;
    if (!EM_STATE(io, there)) return false;
    if (there >> EM_SUMS) return em_state_bad(io);
    for (int i = 0; i < EM_SUMS; i++)
        if (there >> i & 1 && !sum_state(&r->sums[i], io)) return false;
    return true;
}

static bool subsets_state(em_row_sums *r, em_state *io) {
    if (!em_state_list(io, &r->subsets, &r->n_subsets, &r->subsets_capacity, sizeof *r->subsets,
                       what))
        return false;
    for (size_t i = 0; i < r->n_subsets; i++)
        if (!em_state_within(io, &r->subsets[i].group, 0, INT32_MAX) ||
            !sum_state(&r->subsets[i].sum, io))
            return false;
    return true;
}

static bool documents_state(em_row_sums *r, em_state *io) {
    if (!em_state_list(io, &r->documents, &r->n_documents, &r->documents_capacity,
                       sizeof *r->documents, what))
        return false;
    for (size_t i = 0; i < r->n_documents; i++) {
        em_document_part *d = &r->documents[i];
        if (!em_state_within(io, &d->sum.document, 0, INT64_MAX) ||
            !em_state_count(io, &d->sum.predictions) || !EM_STATE(io, d->sum.nll) ||
            !em_state_within(io, &d->subset, 0, (int64_t)r->n_subsets - 1))
            return false;
    }
    return true;
}

bool em_row_sums_state(em_row_sums *r, em_state *io) {
    return sums_state(r, io) && subsets_state(r, io) && documents_state(r, io);
}
