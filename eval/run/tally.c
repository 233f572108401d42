#include "eval/run/tally.h"

#include <stdlib.h>
#include <xxhash.h>

#include "common/hash.h"
#include "common/size.h"
#include "eval/statistics/compare.h"
#include "eval/statistics/statistics.h"

/* What a combination drops and holds, counted once for all its sides. */
typedef struct counts {
    int64_t batch, dropped_rows, dropped_tokens, segments;
} counts;

struct em_tally {
    const em_plan *plan;
    bool has_common;
    em_statistics **statistics;         /* [cells] */
    em_comparator **comparators;        /* [pairs] */
    counts *counts;                     /* [combinations]; batch: the one that is open, -1: none */
    XXH3_state_t *data[EM_MAX_SCHEMES]; /* the data fingerprint of each label scheme */
};

static bool by_document(const em_plan *p, int combination) {
    return em_mask_by_document(&p->protocol->masks[p->combinations[combination].mask]) ||
           p->protocol->pack == EM_PACK_NONE;
}

static bool open_statistics(em_tally *t, em_error *err) {
    for (int c = 0; c < t->plan->n_combinations; c++) {
        t->counts[c].batch = -1;
        for (int side = 0; side < t->plan->n_sides; side++) {
            em_statistics **s = &t->statistics[em_plan_cell(t->plan, (em_cell){c, side})];
            if (!(*s = em_statistics_new(!by_document(t->plan, c), err))) return false;
        }
    }
    return true;
}

static bool open_comparators(em_tally *t, em_error *err) {
    for (int i = 0; i < t->plan->n_pairs; i++) {
        const em_planned_pair *p = &t->plan->pairs[i];
        em_comparator_options o = {
            .kind = p->kind,
            .seed = (uint64_t)t->plan->protocol->seed,
            .has_common = t->has_common,
            .groups_are_rows = !by_document(t->plan, p->before.combination) ||
                               !by_document(t->plan, p->after.combination)};
        if (!(t->comparators[i] = em_comparator_new(&o, err))) return false;
    }
    return true;
}

static bool open_data(em_tally *t, em_error *err) {
    for (int l = 0; l < t->plan->protocol->n_labels; l++) {
        if (!(t->data[l] = XXH3_createState())) return em_fail_memory(err, 576, "statistics");
        XXH3_128bits_reset(t->data[l]);
    }
    return true;
}

em_tally *em_tally_new(const em_plan *plan, bool has_common, em_error *err) {
    em_tally *t = em_alloc(1, sizeof *t, "statistics", err);
    if (!t) return NULL;
    t->plan = plan;
    t->has_common = has_common;
    t->statistics = em_alloc((size_t)em_plan_cells(plan), sizeof *t->statistics, "statistics", err);
    t->comparators = em_alloc((size_t)plan->n_pairs, sizeof *t->comparators, "statistics", err);
    t->counts = em_alloc((size_t)plan->n_combinations, sizeof *t->counts, "statistics", err);
    if (t->statistics && t->comparators && t->counts && open_statistics(t, err) &&
        open_comparators(t, err) && open_data(t, err))
        return t;
    em_tally_free(t);
    return NULL;
}

void em_tally_free(em_tally *t) {
    if (!t) return;
    for (int i = 0; t->statistics && i < em_plan_cells(t->plan); i++)
        em_statistics_free(t->statistics[i]);
    for (int i = 0; t->comparators && i < t->plan->n_pairs; i++)
        em_comparator_free(t->comparators[i]);
    free(t->statistics);
    free(t->comparators);
    free(t->counts);
    for (int l = 0; l < EM_MAX_SCHEMES; l++) XXH3_freeState(t->data[l]);
    free(t);
}

/* ---- a row ---- */

enum { KEY_BYTES = 20, KEYS = 64 };

/* label id, document and stream index, little-endian */
static void put_key(unsigned char *key, const em_scored_position *s, int64_t stream) {
    uint64_t label = (uint32_t)s->label, document = (uint64_t)s->segment->document,
             at = (uint64_t)(stream + s->at);
    for (int i = 0; i < 4; i++) key[i] = (unsigned char)(label >> (8 * i));
    for (int i = 0; i < 8; i++) {
        key[4 + i] = (unsigned char)(document >> (8 * i));
        key[12 + i] = (unsigned char)(at >> (8 * i));
    }
}

static void hash_data(em_tally *t, const em_fed_row *f, int scheme) {
    unsigned char keys[KEYS * KEY_BYTES];
    size_t n = 0;
    em_scored_walk walk = em_fed_row_scored(f, t->plan->protocol, scheme);
    em_scored_position p;
    while (em_scored_next(&walk, &p)) {
        put_key(keys + n++ * KEY_BYTES, &p, f->row->stream);
        if (n < KEYS) continue;
        XXH3_128bits_update(t->data[scheme], keys, n * KEY_BYTES);
        n = 0;
    }
    XXH3_128bits_update(t->data[scheme], keys, n * KEY_BYTES);
}

static void end_batch(em_tally *t, int c, int64_t batch) {
    for (int side = 0;
         t->counts[c].batch >= 0 && t->counts[c].batch != batch && side < t->plan->n_sides; side++)
        em_statistics_end_batch(t->statistics[em_plan_cell(t->plan, (em_cell){c, side})]);
    t->counts[c].batch = batch;
}

static bool count_combination(em_tally *t, const em_fed_row *f, const em_digest *d, int c,
                              em_error *err) {
    int scheme = t->plan->combinations[c].labels;
    if (f->reading[scheme].inputs < 1) return true;
    t->counts[c].dropped_rows += f->dropped[scheme];
    t->counts[c].dropped_tokens += f->dropped[scheme] ? f->row->tokens - f->row->overlap : 0;
    if (f->dropped[scheme]) return true;
    t->counts[c].segments += em_row_segment(f->row, f->row->tokens - 1) + 1;
    end_batch(t, c, f->batch[scheme]);
    for (int side = 0; side < t->plan->n_sides; side++) {
        int cell = em_plan_cell(t->plan, (em_cell){c, side});
        if (!em_statistics_row(t->statistics[cell], &d->cells[cell], err)) return false;
    }
    return true;
}

bool em_tally_row(em_tally *t, const em_fed_row *f, const em_digest *d, em_error *err) {
    for (int l = 0; l < t->plan->protocol->n_labels; l++) hash_data(t, f, l);
    for (int c = 0; c < t->plan->n_combinations; c++)
        if (!count_combination(t, f, d, c, err)) return false;
    for (int i = 0; i < t->plan->n_pairs; i++)
        if (!em_comparator_row(t->comparators[i], &d->pairs[i], err)) return false;
    return true;
}

bool em_tally_settle(em_tally *t, em_sidecar *sidecar, int64_t before, em_error *err) {
    for (int c = 0; c < em_plan_cells(t->plan); c++) {
        size_t n;
        const em_document_sum *sums = em_statistics_documents(t->statistics[c], before, &n, err);
        if (!sums) return false;
        for (size_t i = 0; sidecar && i < n; i++) em_sidecar_add(sidecar, c, &sums[i]);
        em_statistics_documents_taken(t->statistics[c]);
    }
    return !sidecar || em_sidecar_flush(sidecar, before, err);
}

double em_tally_running_loss(const em_tally *t) {
    return em_statistics_running_loss(t->statistics[0]);
}

static bool counts_state(counts *c, em_state *io) {
    return em_state_within(io, &c->batch, -1, INT64_MAX) && EM_STATE(io, c->dropped_rows) &&
           EM_STATE(io, c->dropped_tokens) && EM_STATE(io, c->segments);
}

bool em_tally_state(em_tally *t, em_state *io) {
    bool good = true;
    for (int l = 0; l < t->plan->protocol->n_labels; l++)
        good = good && em_state_hash(io, t->data[l]);
    for (int i = 0; i < t->plan->n_combinations; i++)
        good = good && counts_state(&t->counts[i], io);
    for (int i = 0; i < em_plan_cells(t->plan); i++)
        good = good && em_statistics_state(t->statistics[i], io);
    for (int i = 0; i < t->plan->n_pairs; i++)
        good = good && em_comparator_state(t->comparators[i], io);
    return good;
}

bool em_tally_finish(em_tally *t, const em_tally *shortest, em_result *results,
                     em_comparison *comparisons, const char *(*group_name)(const void *, int32_t),
                     const void *data, em_error *err) {
    for (int i = 0; i < em_plan_cells(t->plan); i++) {
        const counts *c = &t->counts[i / t->plan->n_sides];
        em_result *x = &results[i];
        if (!em_statistics_finish(t->statistics[i], x, group_name, data, err)) return false;
        x->dropped_rows = c->dropped_rows;
        x->dropped_tokens = c->dropped_tokens;
        x->segments = c->segments;
        x->has_common = t->has_common;
        em_hash_hex(
            XXH3_128bits_digest(t->data[t->plan->combinations[i / t->plan->n_sides].labels]),
            x->fingerprints.data);
    }
    for (int i = 0; i < t->plan->n_pairs; i++)
        if (!em_comparator_finish(t->comparators[i], shortest ? shortest->comparators[i] : NULL,
                                  &comparisons[i], group_name, data, err))
            return false;
    return true;
}
