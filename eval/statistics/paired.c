#include "eval/statistics/paired.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"

static const char what[] = "a row's differences";

void em_row_paired_free(em_row_paired *r) {
    free(r->kl_bins);
    free(r->subsets);
    free(r->documents);
    free(r->stretches);
    *r = (em_row_paired){0};
}

void em_row_paired_clear(em_row_paired *r) {
    memset(r->gaps, 0, sizeof r->gaps);
    r->counts = (em_row_counts){0};
    r->kl = (em_row_kl){.max = -INFINITY};
    r->n_kl = r->n_subsets = r->n_documents = r->n_stretches = 0;
}

/* ---- adding ---- */

static void add(em_gap *g, double difference) {
    g->predictions++;
    g->sum += difference;
}

/* The index of the group's sum, which is there from now on; -1: err. */
static int64_t find_subset(em_row_paired *r, int32_t group, em_error *err) {
    for (size_t i = 0; i < r->n_subsets; i++)
        if (r->subsets[i].group == group) return (int64_t)i;
    if (!em_grow(&r->subsets, &r->subsets_capacity, r->n_subsets + 1, sizeof *r->subsets, what,
                 err))
        return -1;
    r->subsets[r->n_subsets] = (em_gap_subset){.group = group};
    return (int64_t)r->n_subsets++;
}

static bool open_document(em_row_paired *r, const em_paired *p, em_error *err) {
    int64_t subset = find_subset(r, p->group, err);
    if (subset < 0 || !em_grow(&r->documents, &r->documents_capacity, r->n_documents + 1,
                               sizeof *r->documents, what, err))
        return false;
    r->documents[r->n_documents++] = (em_gap_document){.document = p->document, .subset = subset};
    return true;
}

static void add_effect(em_row_paired *r, em_gap_document *d, em_effect effect, double difference) {
    if (effect == EM_UNAFFECTED) return;
    if (effect == EM_AFFECTED_DIRECTLY) r->counts.direct++;
    else r->counts.indirect++;
    add(&r->gaps[EM_GAP_AFFECTED], difference);
    add(&d->affected, difference);
}

static bool add_common(em_row_paired *r, em_gap_document *d, const em_paired *p, double difference,
                       em_error *err) {
    if (!p->common) return true;
    if (r->n_stretches == 0 || r->stretches[r->n_stretches - 1].stretch != p->stretch) {
        if (!em_grow(&r->stretches, &r->stretches_capacity, r->n_stretches + 1,
                     sizeof *r->stretches, what, err))
            return false;
        r->stretches[r->n_stretches++] = (em_gap_stretch){.stretch = p->stretch};
    }
    add(&r->stretches[r->n_stretches - 1].gap, difference);
    add(&r->gaps[EM_GAP_COMMON], difference);
    r->counts.common_affected += p->effect != EM_UNAFFECTED;
    d->common++;
    return true;
}

static bool add_kl(em_row_paired *r, double kl, em_error *err) {
    if (!em_grow(&r->kl_bins, &r->kl_capacity, r->n_kl + 1, sizeof *r->kl_bins, what, err))
        return false;
    int bin = kl < 0x1p-40 ? 0
              : kl < 256   ? 1 + (int)((log2(kl) + 40) * (EM_KL_STEPS / 48.0))
                           : EM_KL_BINS - 1;
    if (bin > EM_KL_STEPS && kl < 256) bin = EM_KL_STEPS;
    r->kl_bins[r->n_kl++] = (uint16_t)bin;
    r->kl.sum += kl;
    if (kl > r->kl.max) r->kl.max = kl;
    return true;
}

static void add_counts(em_row_counts *c, const em_paired *p, double difference) {
    double change = exp(-p->after) - exp(-p->before);
    c->better += difference < 0;
    c->same_top1 += p->same_top1;
    c->change += change;
    c->change_squares += change * change;
}

bool em_row_paired_add(em_row_paired *r, const em_paired *p, em_error *err) {
    double difference = p->after - p->before;
    bool open = r->n_documents && r->documents[r->n_documents - 1].document == p->document;
    if (!open && !open_document(r, p, err)) return false;
    em_gap_document *d = &r->documents[r->n_documents - 1];
    add(&d->all, difference);
    add(&r->gaps[EM_GAP_ALL], difference);
    add(&r->gaps[p->boundary ? EM_GAP_BOUNDARY : EM_GAP_INSIDE], difference);
    add(&r->gaps[EM_GAP_POSITION + em_position_bucket(p->place)], difference);
    add(&r->subsets[d->subset].gap, difference);
    add_counts(&r->counts, p, difference);
    add_effect(r, d, p->effect, difference);
    return add_common(r, d, p, difference, err) && (!p->has_kl || add_kl(r, p->kl, err));
}

/* ---- saved and restored ---- */

static bool gap_state(em_gap *g, em_state *io) {
    return em_state_count(io, &g->predictions) && EM_STATE(io, g->sum);
}

static bool gaps_state(em_row_paired *r, em_state *io) {
    uint64_t there = 0;
    for (int i = 0; i < EM_GAPS; i++) there |= (uint64_t)(r->gaps[i].predictions > 0) << i;
    if (!EM_STATE(io, there)) return false;
    if (there >> EM_GAPS) return em_state_bad(io);
    for (int i = 0; i < EM_GAPS; i++)
        if (there >> i & 1 && !gap_state(&r->gaps[i], io)) return false;
    return true;
}

static bool subsets_state(em_row_paired *r, em_state *io) {
    if (!em_state_list(io, &r->subsets, &r->n_subsets, &r->subsets_capacity, sizeof *r->subsets,
                       what))
        return false;
    for (size_t i = 0; i < r->n_subsets; i++)
        if (!em_state_within(io, &r->subsets[i].group, 0, INT32_MAX) ||
            !gap_state(&r->subsets[i].gap, io))
            return false;
    return true;
}

static bool documents_state(em_row_paired *r, em_state *io) {
    if (!em_state_list(io, &r->documents, &r->n_documents, &r->documents_capacity,
                       sizeof *r->documents, what))
        return false;
    for (size_t i = 0; i < r->n_documents; i++) {
        em_gap_document *d = &r->documents[i];
        if (!em_state_within(io, &d->document, 0, INT64_MAX) ||
            !em_state_within(io, &d->subset, 0, (int64_t)r->n_subsets - 1) ||
            !em_state_count(io, &d->common) || !gap_state(&d->all, io) ||
            !gap_state(&d->affected, io))
            return false;
    }
    return true;
}

static bool stretches_state(em_row_paired *r, em_state *io) {
    if (!em_state_list(io, &r->stretches, &r->n_stretches, &r->stretches_capacity,
                       sizeof *r->stretches, what))
        return false;
    for (size_t i = 0; i < r->n_stretches; i++)
        if (!em_state_count(io, &r->stretches[i].stretch) || !gap_state(&r->stretches[i].gap, io))
            return false;
    return true;
}

static bool counts_state(em_row_counts *c, em_state *io) {
    return em_state_count(io, &c->better) && em_state_count(io, &c->same_top1) &&
           em_state_count(io, &c->direct) && em_state_count(io, &c->indirect) &&
           em_state_count(io, &c->common_affected) && EM_STATE(io, c->change) &&
           EM_STATE(io, c->change_squares);
}

static bool kl_state(em_row_paired *r, em_state *io) {
    if (!em_state_list(io, &r->kl_bins, &r->n_kl, &r->kl_capacity, sizeof *r->kl_bins, what))
        return false;
    if (!EM_STATE(io, r->kl) || !em_state_bytes(io, r->kl_bins, r->n_kl * sizeof *r->kl_bins))
        return false;
    for (size_t i = 0; !io->into && i < r->n_kl; i++)
        if (r->kl_bins[i] >= EM_KL_BINS) return em_state_bad(io);
    return true;
}

bool em_row_paired_state(em_row_paired *r, em_state *io) {
    return gaps_state(r, io) && counts_state(&r->counts, io) && subsets_state(r, io) &&
           documents_state(r, io) && stretches_state(r, io) && kl_state(r, io);
}
