#include "eval/statistics/paired.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"

static const char what[] = "a row's differences";

void em_row_paired_free(em_row_paired *r) {
    em_row_sums_free(&r->sums);
    free(r->kl_bins);
    free(r->stretches);
    *r = (em_row_paired){0};
}

void em_row_paired_clear(em_row_paired *r) {
    em_row_sums_clear(&r->sums);
    r->counts = (em_row_counts){0};
    r->kl = (em_row_kl){.max = -INFINITY};
    r->n_kl = r->n_stretches = 0;
}

/* ---- adding ---- */

static em_sum_kinds kinds_of(const em_paired *p) {
    em_sum_kinds kinds = EM_SUM_BIT(EM_SUM_ALL) |
                         EM_SUM_BIT(EM_SUM_POSITION + em_position_bucket(p->place)) |
                         EM_SUM_BIT(p->boundary ? EM_SUM_BOUNDARY : EM_SUM_INSIDE);
    if (p->common) kinds |= EM_SUM_BIT(EM_SUM_COMMON);
    if (p->effect != EM_UNAFFECTED) kinds |= EM_SUM_BIT(EM_SUM_AFFECTED);
    return kinds;
}

static bool add_stretch(em_row_paired *r, int64_t stretch, double difference, em_error *err) {
    if (r->n_stretches == 0 || r->stretches[r->n_stretches - 1].stretch != stretch) {
        if (!em_grow(&r->stretches, &r->stretches_capacity, r->n_stretches + 1,
                     sizeof *r->stretches, what, err))
            return false;
        r->stretches[r->n_stretches++] = (em_stretch_sum){.stretch = stretch};
    }
    r->stretches[r->n_stretches - 1].predictions++;
    r->stretches[r->n_stretches - 1].value += difference;
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

static void add_counts(em_row_counts *c, const em_paired *p) {
    double change = exp(-p->after) - exp(-p->before);
    c->same_top1 += p->same_top1;
    c->direct += p->effect == EM_AFFECTED_DIRECTLY;
    c->indirect += p->effect != EM_UNAFFECTED && p->effect != EM_AFFECTED_DIRECTLY;
    c->common_affected += p->common && p->effect != EM_UNAFFECTED;
    c->change += change;
    c->change_squares += change * change;
}

bool em_row_paired_add(em_row_paired *r, const em_paired *p, em_error *err) {
    double difference = p->after - p->before;
    em_addend x = {.value = difference,
                   .hit = difference < 0,
                   .kinds = kinds_of(p),
                   .group = p->group,
                   .document = p->document};
    add_counts(&r->counts, p);
    return em_row_sums_put(&r->sums, &x, err) &&
           (!p->common || add_stretch(r, p->stretch, difference, err)) &&
           (!p->has_kl || add_kl(r, p->kl, err));
}

/* ---- saved and restored ---- */

static bool stretches_state(em_row_paired *r, em_state *io) {
    if (!em_state_list(io, &r->stretches, &r->n_stretches, &r->stretches_capacity,
                       sizeof *r->stretches, what))
        return false;
    for (size_t i = 0; i < r->n_stretches; i++)
        if (!em_state_count(io, &r->stretches[i].stretch) ||
            !em_state_count(io, &r->stretches[i].predictions) ||
            !EM_STATE(io, r->stretches[i].value))
            return false;
    return true;
}

static bool counts_state(em_row_counts *c, em_state *io) {
    return em_state_count(io, &c->same_top1) && em_state_count(io, &c->direct) &&
           em_state_count(io, &c->indirect) && em_state_count(io, &c->common_affected) &&
           EM_STATE(io, c->change) && EM_STATE(io, c->change_squares);
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
    return em_row_sums_state(&r->sums, io) && counts_state(&r->counts, io) &&
           stretches_state(r, io) && kl_state(r, io);
}
