#include "eval/statistics/totals.h"

#include <stdlib.h>
#include <string.h>

#include "common/size.h"

void em_totals_init(em_totals *t, bool groups_are_rows) {
    *t = (em_totals){.groups_are_rows = groups_are_rows, .document = -1};
}

void em_totals_free(em_totals *t) {
    free(t->subsets);
    free(t->over);
    *t = (em_totals){.document = -1};
}

/* ---- groups ---- */

static void close_part(em_totals *t, em_total *x) {
    if (x->open.predictions == 0) return;
    x->documents++;
    if (!t->groups_are_rows) em_grouped_add(&x->groups, x->open.value, x->open.predictions);
    x->open.predictions = 0;
    x->open.value = 0;
}

bool em_totals_close(em_totals *t, em_error *err) {
    if (t->document < 0) return true;
    if (!em_grow(&t->over, &t->over_capacity, t->n_over + 1, sizeof *t->over, "documents", err))
        return false;
    const em_total *all = &t->kinds[EM_SUM_ALL];
    t->over[t->n_over++] = (em_document_sum){t->document, all->open.predictions, all->open.value};
    for (int k = 0; k < EM_SUMS; k++) close_part(t, &t->kinds[k]);
    close_part(t, &t->subsets[t->subset]);
    t->document = -1;
    return true;
}

/* ---- adding ---- */

static void add(em_sum *s, const em_sum *row) {
    s->predictions += row->predictions;
    s->hits += row->hits;
    s->text_bytes += row->text_bytes;
    s->value += row->value;
    s->text_value += row->text_value;
}

static void add_sum(em_totals *t, em_total *x, const em_sum *row) {
    if (row->predictions == 0) return;
    add(&x->sum, row);
    if (t->groups_are_rows) em_grouped_add(&x->groups, row->value, row->predictions);
}

static bool add_subset(em_totals *t, const em_subset_sum *row, em_error *err) {
    size_t need = (size_t)row->group + 1;
    if (need > t->n_subsets) {
        if (!em_grow(&t->subsets, &t->subsets_capacity, need, sizeof *t->subsets, "subsets", err))
            return false;
        memset(t->subsets + t->n_subsets, 0, (need - t->n_subsets) * sizeof *t->subsets);
        t->n_subsets = need;
    }
    add_sum(t, &t->subsets[row->group], &row->sum);
    return true;
}

static void add_open(em_total *x, const em_piece *p) {
    x->open.predictions += p->predictions;
    x->open.value += p->value;
}

/* first: the number of the first piece of the row's document i; returns what follows its last. */
static size_t add_document(em_totals *t, const em_row_sums *row, int64_t i, size_t first) {
    for (; first < (size_t)row->n_pieces && row->pieces[first].document == i; first++) {
        const em_piece *p = &row->pieces[first];
        add_open(&t->kinds[p->kind], p);
        if (p->kind == EM_SUM_ALL) add_open(&t->subsets[t->subset], p);
    }
    return first;
}

static bool open_document(em_totals *t, const em_row_sums *row, const em_document_part *d,
                          em_error *err) {
    if (d->document == t->document) return true;
    if (!em_totals_close(t, err)) return false;
    t->document = d->document;
    t->subset = row->subsets[d->subset].group;
    return true;
}

bool em_totals_row(em_totals *t, const em_row_sums *row, em_error *err) {
    size_t piece = 0;
    for (int k = 0; k < EM_SUMS; k++) add_sum(t, &t->kinds[k], &row->sums[k]);
    for (size_t i = 0; i < row->n_subsets; i++)
        if (!add_subset(t, &row->subsets[i], err)) return false;
    for (size_t i = 0; i < row->n_documents; i++) {
        if (!open_document(t, row, &row->documents[i], err)) return false;
        piece = add_document(t, row, (int64_t)i, piece);
    }
    return true;
}

/* ---- saved and restored ---- */

static bool total_state(em_total *x, em_state *io) {
    return EM_STATE(io, x->sum) && em_state_count(io, &x->documents) &&
           EM_STATE(io, x->open.predictions) && EM_STATE(io, x->open.value) &&
           em_grouped_state(&x->groups, io);
}

static bool kinds_state(em_totals *t, em_state *io) {
    uint64_t there = 0;
    for (int k = 0; k < EM_SUMS; k++) there |= (uint64_t)(t->kinds[k].sum.predictions > 0) << k;
    if (!EM_STATE(io, there)) return false;
    if (there >> EM_SUMS) return em_state_bad(io);
    for (int k = 0; k < EM_SUMS; k++) {
        if (!(there >> k & 1)) continue;
        if (!total_state(&t->kinds[k], io)) return false;
        if (t->kinds[k].sum.predictions <= 0) return em_state_bad(io); /* it was not there */
    }
    return true;
}

static bool subsets_state(em_totals *t, em_state *io) {
    size_t n = t->n_subsets;
    if (!em_state_list(io, &t->subsets, &t->n_subsets, &t->subsets_capacity, sizeof *t->subsets,
                       "subsets"))
        return false;
    if (!io->into && t->n_subsets > n)
        memset(t->subsets + n, 0, (t->n_subsets - n) * sizeof *t->subsets);
    for (size_t i = 0; i < t->n_subsets; i++)
        if (!total_state(&t->subsets[i], io)) return false;
    return true;
}

static bool document_state(em_totals *t, em_state *io) {
    if (!em_state_within(io, &t->document, -1, INT64_MAX) ||
        !em_state_within(io, &t->subset, 0, INT32_MAX))
        return false;
    return t->document < 0 || (size_t)t->subset < t->n_subsets || em_state_bad(io);
}

bool em_totals_state(em_totals *t, em_state *io) {
    return kinds_state(t, io) && subsets_state(t, io) && document_state(t, io);
}

/* ---- figures ---- */

void em_total_slice(const em_total *t, em_slice *out) {
    out->predictions = t->sum.predictions;
    out->top1_count = t->sum.hits;
    out->nll = t->sum.value;
    out->text_nll = t->sum.text_value;
    out->text_bytes = t->sum.text_bytes;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const em_slice *)a)->name, ((const em_slice *)b)->name);
}

bool em_totals_subsets(const em_totals *t, const char *(*group_name)(const void *, int32_t),
                       const void *data, em_slice **out, int *n, em_error *err) {
    *n = 0;
    if (!(*out = em_alloc(t->n_subsets, sizeof **out, "subsets", err))) return false;
    for (size_t i = 0; i < t->n_subsets; i++) {
        if (t->subsets[i].sum.predictions == 0) continue;
        em_slice *to = &(*out)[*n];
        em_total_slice(&t->subsets[i], to);
        to->documents = t->subsets[i].documents;
        to->name = strdup(group_name(data, (int32_t)i));
        if (!to->name) return em_fail_memory(err, 64, "subsets");
        ++*n;
    }
    if (*n) qsort(*out, (size_t)*n, sizeof **out, by_name);
    return true;
}

bool em_totals_positions(const em_totals *t, em_slice **out, int *n, em_error *err) {
    *n = 0;
    if (!(*out = em_alloc(EM_POSITION_BUCKETS, sizeof **out, "positions", err))) return false;
    for (int b = 0; b < EM_POSITION_BUCKETS; b++) {
        const em_total *from = &t->kinds[EM_SUM_POSITION + b];
        if (from->sum.predictions == 0) continue;
        em_slice *to = &(*out)[(*n)++];
        em_total_slice(from, to);
        to->from = em_bucket_from(b);
        to->to = em_bucket_to(b);
    }
    return true;
}
