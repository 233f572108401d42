#include "eval/statistics/sums.h"

#include <stdlib.h>
#include <string.h>

#include "common/size.h"

static const char what[] = "a row's sums";

void em_row_sums_free(em_row_sums *r) {
    free(r->subsets);
    free(r->documents);
    free(r->pieces);
    *r = (em_row_sums){0};
}

void em_row_sums_clear(em_row_sums *r) {
    memset(r->sums, 0, sizeof r->sums);
    r->n_subsets = r->n_documents = r->n_pieces = 0;
}

/* ---- adding ---- */

static void add(em_sum *s, const em_addend *x) {
    s->predictions++;
    s->hits += x->hit;
    s->value += x->value;
    if (!x->text) return;
    s->text_value += x->value;
    s->text_bytes += x->bytes;
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

static bool open_document(em_row_sums *r, const em_addend *x, em_error *err) {
    int64_t subset = find_subset(r, x->group, err);
    if (subset < 0 || !em_grow(&r->documents, &r->documents_capacity, r->n_documents + 1,
                               sizeof *r->documents, what, err))
        return false;
    r->documents[r->n_documents++] = (em_document_part){x->document, subset};
    for (int k = 0; k < EM_SUMS; k++) r->open[k] = -1;
    return true;
}

static bool add_piece(em_row_sums *r, int kind, double value, em_error *err) {
    if (r->open[kind] < 0) {
        if (!em_grow(&r->pieces, &r->pieces_capacity, r->n_pieces + 1, sizeof *r->pieces, what,
                     err))
            return false;
        r->open[kind] = (int32_t)r->n_pieces;
        r->pieces[r->n_pieces++] = (em_piece){.document = (int64_t)r->n_documents - 1,
                                              .kind = kind};
    }
    em_piece *p = &r->pieces[r->open[kind]];
    p->predictions++;
    p->value += value;
    return true;
}

bool em_row_sums_put(em_row_sums *r, const em_addend *x, em_error *err) {
    bool open = r->n_documents && r->documents[r->n_documents - 1].document == x->document;
    if (!open && !open_document(r, x, err)) return false;
    for (em_sum_kinds left = x->kinds; left; left &= left - 1) {
        int kind = __builtin_ctzll(left);
        add(&r->sums[kind], x);
        if (!add_piece(r, kind, x->value, err)) return false;
    }
    add(&r->subsets[r->documents[r->n_documents - 1].subset].sum, x);
    return true;
}

bool em_row_sums_add(em_row_sums *r, const em_prediction *p, em_error *err) {
    em_sum_kinds kinds = EM_SUM_BIT(EM_SUM_ALL) | EM_SUM_BIT(EM_SUM_LEAK + p->leak) |
                         EM_SUM_BIT(EM_SUM_POSITION + em_position_bucket(p->place)) |
                         EM_SUM_BIT(p->boundary ? EM_SUM_BOUNDARY : EM_SUM_INSIDE);
    if (p->common) kinds |= EM_SUM_BIT(EM_SUM_COMMON);
    em_addend x = {.value = p->nll,
                   .hit = p->correct,
                   .text = !p->added,
                   .bytes = p->bytes,
                   .kinds = kinds,
                   .group = p->group,
                   .document = p->document};
    return em_row_sums_put(r, &x, err);
}

/* ---- saved and restored ---- */

static bool sum_state(em_sum *s, em_state *io) {
    return em_state_count(io, &s->predictions) && em_state_count(io, &s->hits) &&
           em_state_count(io, &s->text_bytes) && EM_STATE(io, s->value) &&
           EM_STATE(io, s->text_value);
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
    for (size_t i = 0; i < r->n_documents; i++)
        if (!em_state_within(io, &r->documents[i].document, 0, INT64_MAX) ||
            !em_state_within(io, &r->documents[i].subset, 0, (int64_t)r->n_subsets - 1))
            return false;
    return true;
}

static bool pieces_state(em_row_sums *r, em_state *io) {
    if (!em_state_list(io, &r->pieces, &r->n_pieces, &r->pieces_capacity, sizeof *r->pieces, what))
        return false;
    int64_t least = 0;
    for (size_t i = 0; i < r->n_pieces; i++) {
        em_piece *p = &r->pieces[i];
        if (!em_state_within(io, &p->document, least, (int64_t)r->n_documents - 1) ||
            !em_state_within(io, &p->kind, 0, EM_SUMS - 1) ||
            !em_state_count(io, &p->predictions) || !EM_STATE(io, p->value))
            return false;
        least = p->document;
    }
    return true;
}

bool em_row_sums_state(em_row_sums *r, em_state *io) {
    return sums_state(r, io) && subsets_state(r, io) && documents_state(r, io) &&
           pieces_state(r, io);
}
