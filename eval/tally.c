#include "eval/tally.h"

#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "eval/compare.h"
#include "eval/leak.h"
#include "eval/statistics.h"

/* A scored position of the row at hand: the same for every side under every mask. */
typedef struct spot {
    int32_t i;                  /* the position, */
    int32_t at, label;          /* its label's place in the window, and the label */
    const em_segment *segment;  /* the label's */
    bool boundary, common;
} spot;

/* What a combination drops and holds, counted once for all its sides. */
typedef struct counts { int64_t batch, dropped_rows, dropped_tokens, segments; } counts;

struct em_tally {
    const em_plan *plan;
    const em_everywhere *everywhere;
    em_statistics **statistics;         /* [cells] */
    em_comparator **comparators;        /* [pairs] */
    counts *counts;                     /* [combinations]; batch: the one that is open, -1: none */
    spot *spots;
    size_t n_spots, spots_capacity;
    uint8_t *leaks;                     /* scratch, [sides without alphas, row] */
    em_reach *reach;                    /* scratch, [models, row] */
    size_t leaks_capacity, reach_capacity;
};

static bool by_document(const em_plan *p, int combination) {
    return em_mask_by_document(&p->settings->masks[p->combinations[combination].mask]) || p->settings->pack == EM_PACK_NONE;
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
    int64_t longest = t->everywhere ? t->everywhere->lengths[t->everywhere->n - 1] : 0;
    for (int i = 0; i < t->plan->n_pairs; i++) {
        const em_planned_pair *p = &t->plan->pairs[i];
        em_comparator_options o = {
            .kind = p->kind, .seed = (uint64_t)t->plan->settings->seed, .stretch = longest,
            .groups_are_rows = !by_document(t->plan, p->before.combination) || !by_document(t->plan, p->after.combination)};
        if (!(t->comparators[i] = em_comparator_new(&o, err))) return false;
    }
    return true;
}

em_tally *em_tally_new(const em_plan *plan, const em_everywhere *everywhere, em_error *err) {
    em_tally *t = em_alloc(1, sizeof *t, "statistics", err);
    if (!t) return NULL;
    t->plan = plan;
    t->everywhere = everywhere;
    t->statistics = em_alloc((size_t)em_plan_cells(plan), sizeof *t->statistics, "statistics", err);
    t->comparators = em_alloc((size_t)plan->n_pairs, sizeof *t->comparators, "statistics", err);
    t->counts = em_alloc((size_t)plan->n_combinations, sizeof *t->counts, "statistics", err);
    if (t->statistics && t->comparators && t->counts && open_statistics(t, err) && open_comparators(t, err)) return t;
    em_tally_free(t);
    return NULL;
}

void em_tally_free(em_tally *t) {
    if (!t) return;
    for (int i = 0; t->statistics && i < em_plan_cells(t->plan); i++) em_statistics_free(t->statistics[i]);
    for (int i = 0; t->comparators && i < t->plan->n_pairs; i++) em_comparator_free(t->comparators[i]);
    free(t->statistics);
    free(t->comparators);
    free(t->counts);
    free(t->spots);
    free(t->leaks);
    free(t->reach);
    free(t);
}

/* ---- a row's scored positions under a label scheme ---- */

static bool scored_everywhere(const em_tally *t, int scheme, const em_row *row, const spot *s) {
    if (!t->everywhere) return false;
    bool alone = t->plan->settings->pack == EM_PACK_NONE;
    int64_t place = s->segment->place + (s->at - s->segment->start);
    return em_everywhere_scored(t->everywhere, scheme, alone ? place : row->stream + s->at);
}

static bool find_spots(em_tally *t, const em_fed_row *f, int scheme, em_error *err) {
    const em_reading *reading = &f->reading[scheme];
    const em_row *row = f->row;
    int offset = t->plan->settings->labels[scheme]->offset;
    t->n_spots = 0;
    if (f->dropped[scheme] || reading->from >= reading->to) return true;
    if (!em_grow(&t->spots, &t->spots_capacity, (size_t)(reading->to - reading->from), sizeof *t->spots, "scored positions", err)) return false;
    em_row_walk walk = em_row_walk_from(row, reading->from, reading->from + offset);
    for (int32_t i = reading->from; i < reading->to; i++) {
        int32_t at = i + offset;
        bool boundary = em_row_walk_to(&walk, row, i, at);
        spot s = {.i = i, .at = at, .label = row->ids[at], .segment = &row->segments[walk.label], .boundary = boundary};
        if (s.boundary && t->plan->settings->boundary == EM_BOUNDARY_DROP) continue;
        s.common = scored_everywhere(t, scheme, row, &s);
        t->spots[t->n_spots++] = s;
    }
    return true;
}

/* ---- one side ---- */

/* An alpha sees what either model sees; direct counts as more than indirect. */
static em_leak leak_at(const em_tally *t, const em_side *side, int index, int32_t inputs, int32_t i) {
    if (side->alpha < 0) return (em_leak)t->leaks[(size_t)index * (size_t)inputs + (size_t)i];
    uint8_t a = t->leaks[i], b = t->leaks[(size_t)inputs + (size_t)i];
    return a == EM_LEAK_DIRECT || b == EM_LEAK_DIRECT ? EM_LEAK_DIRECT : a || b ? EM_LEAK_INDIRECT : EM_CLEAN;
}

/* Which positions of the row can see their label, on every side without an alpha. */
static bool find_leaks(em_tally *t, const em_pass_view *v, const em_reading *reading, int offset, em_error *err) {
    const em_plan *p = t->plan;
    size_t n = (size_t)v->inputs;
    if (!em_grow(&t->leaks, &t->leaks_capacity, (size_t)p->n_plain * n, 1, "leaks", err)) return false;
    for (int side = 0; side < p->n_plain; side++)
        if (!em_leak_row(v->lo, v->hi, v->inputs, p->models[p->sides[side].model].windows, em_side_layers(p, &p->sides[side]),
                         offset, reading->from, reading->to, t->leaks + (size_t)side * n, err)) return false;
    return true;
}

static bool add_side(em_tally *t, const em_row *row, em_cell cell, const em_side_view *v, int32_t inputs, em_error *err) {
    em_statistics *into = t->statistics[em_plan_cell(t->plan, cell)];
    const em_side *side = &t->plan->sides[cell.side];
    for (size_t k = 0; k < t->n_spots; k++) {
        const spot *s = &t->spots[k];
        em_prediction p = {.nll = v->nll[(size_t)s->i * (size_t)v->stride], .label = s->label,
                           .correct = v->argmax[(size_t)s->i * (size_t)v->argmax_stride] == s->label, .boundary = s->boundary,
                           .common = s->common, .added = row->kind[s->at] == EM_TOKEN_ADDED,
                           .leak = leak_at(t, side, cell.side, inputs, s->i), .bytes = row->bytes[s->at],
                           .group = s->segment->group, .document = s->segment->document,
                           .place = s->segment->place + (s->at - s->segment->start), .stream = row->stream + s->at};
        if (!em_statistics_add(into, &p, err)) return false;
    }
    return true;
}

static void end_batch(em_tally *t, int c, int64_t batch) {
    for (int side = 0; t->counts[c].batch >= 0 && t->counts[c].batch != batch && side < t->plan->n_sides; side++)
        em_statistics_end_batch(t->statistics[em_plan_cell(t->plan, (em_cell){c, side})]);
    t->counts[c].batch = batch;
}

static bool add_sides(em_tally *t, const em_passes *passes, int row, int c, em_error *err) {
    const em_fed_row *f = em_passes_row(passes, row);
    int scheme = t->plan->combinations[c].labels;
    em_pass_view v = em_passes_view(passes, row, c);
    if (v.inputs && !find_leaks(t, &v, &f->reading[scheme], t->plan->settings->labels[scheme]->offset, err)) return false;
    for (int side = 0; side < t->plan->n_sides; side++) {
        em_cell cell = {c, side};
        em_side_view x = {0};
        if (v.inputs) x = em_passes_side(passes, row, cell);
        if (v.inputs && !add_side(t, f->row, cell, &x, v.inputs, err)) return false;
        if (!em_statistics_end_row(t->statistics[em_plan_cell(t->plan, cell)], err)) return false;
    }
    return true;
}

static bool count_combination(em_tally *t, const em_passes *passes, int row, int c, em_error *err) {
    const em_fed_row *f = em_passes_row(passes, row);
    int scheme = t->plan->combinations[c].labels;
    if (f->reading[scheme].inputs < 1) return true;
    t->counts[c].dropped_rows += f->dropped[scheme];
    t->counts[c].dropped_tokens += f->dropped[scheme] ? f->row->tokens : 0;
    if (f->dropped[scheme]) return true;
    t->counts[c].segments += em_row_segment(f->row, f->row->tokens - 1) + 1;
    end_batch(t, c, f->batch[scheme]);
    return add_sides(t, passes, row, c, err);
}

/* ---- one pair ---- */

/* How soon the choice between two combinations can be felt, in each model. */
static bool find_reach(em_tally *t, const em_passes *passes, int row, const em_planned_pair *p, em_error *err) {
    em_pass_view a = em_passes_view(passes, row, p->before.combination), b = em_passes_view(passes, row, p->after.combination);
    em_view x = {a.lo, a.hi, a.positions}, y = {b.lo, b.hi, b.positions};
    size_t n = (size_t)a.inputs;
    if (!em_grow(&t->reach, &t->reach_capacity, (size_t)t->plan->n_models * n, sizeof *t->reach, "affected predictions", err)) return false;
    for (int i = 0; i < t->plan->n_models; i++) {
        const em_model_facts *m = &t->plan->models[i];
        if (!em_affected_row(&x, &y, a.inputs, m->windows, m->layers, m->learned_positions, t->reach + (size_t)i * n, err)) return false;
    }
    return true;
}

/* An alpha's logits feel what either model feels. */
static em_effect effect_at(const em_tally *t, const em_side *side, int32_t inputs, int32_t i) {
    int layers = em_side_layers(t->plan, side);
    em_effect own = em_effect_at(&t->reach[(size_t)side->model * (size_t)inputs + (size_t)i], layers);
    if (side->alpha < 0 || own == EM_AFFECTED_DIRECTLY) return own;
    em_effect other = em_effect_at(&t->reach[i], t->plan->models[0].layers);
    return other == EM_UNAFFECTED ? own : other;
}

static bool add_pair(em_tally *t, const em_passes *passes, int row, int pair, bool affected, em_error *err) {
    const em_planned_pair *p = &t->plan->pairs[pair];
    em_side_view a = em_passes_side(passes, row, p->before), b = em_passes_side(passes, row, p->after);
    const em_side *side = &t->plan->sides[p->after.side];
    bool kl = p->kind == EM_COMPARE_MODELS && p->before.side == 0 && b.kl;
    int64_t stream = em_passes_row(passes, row)->row->stream;
    int32_t inputs = em_passes_view(passes, row, p->after.combination).inputs;
    for (size_t k = 0; k < t->n_spots; k++) {
        const spot *s = &t->spots[k];
        em_paired x = {.before = a.nll[(size_t)s->i * (size_t)a.stride], .after = b.nll[(size_t)s->i * (size_t)b.stride],
                       .same_top1 = a.argmax[(size_t)s->i * (size_t)a.argmax_stride] == b.argmax[(size_t)s->i * (size_t)b.argmax_stride],
                       .has_kl = kl, .kl = kl ? b.kl[s->i] : 0, .boundary = s->boundary, .common = s->common,
                       .effect = affected ? effect_at(t, side, inputs, s->i) : EM_UNAFFECTED, .group = s->segment->group,
                       .document = s->segment->document, .place = s->segment->place + (s->at - s->segment->start),
                       .stream = stream + s->at};
        if (!em_comparator_add(t->comparators[pair], &x, err)) return false;
    }
    return true;
}

/* Pairs of the same two combinations stand together in the plan, so their reach is found once. */
static bool same_choice(const em_planned_pair *a, const em_planned_pair *b) {
    return a->kind == b->kind && a->before.combination == b->before.combination && a->after.combination == b->after.combination;
}

static bool count_pairs(em_tally *t, const em_passes *passes, int row, int scheme, em_error *err) {
    const em_planned_pair *last = NULL;
    bool affected = false;
    for (int i = 0; i < t->plan->n_pairs; i++) {
        const em_planned_pair *p = &t->plan->pairs[i];
        if (t->plan->combinations[p->after.combination].labels != scheme) continue;
        if (!last || !same_choice(last, p)) {
            affected = p->kind == EM_COMPARE_MASKS && !em_passes_same(passes, row, p->before.combination, p->after.combination);
            if (affected && !find_reach(t, passes, row, p, err)) return false;
        }
        last = p;
        if (!add_pair(t, passes, row, i, affected, err)) return false;
        em_comparator_end_row(t->comparators[i]);
    }
    return true;
}

/* ---- together ---- */

static bool count_scheme(em_tally *t, const em_passes *passes, int row, int scheme, em_error *err) {
    if (!find_spots(t, em_passes_row(passes, row), scheme, err)) return false;
    for (int c = 0; c < t->plan->n_combinations; c++)
        if (t->plan->combinations[c].labels == scheme && !count_combination(t, passes, row, c, err)) return false;
    return t->n_spots == 0 || count_pairs(t, passes, row, scheme, err);
}

bool em_tally_row(em_tally *t, const em_passes *passes, int row, em_error *err) {
    for (int l = 0; l < t->plan->settings->n_labels; l++)
        if (!count_scheme(t, passes, row, l, err)) return false;
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

double em_tally_running_loss(const em_tally *t) { return em_statistics_running_loss(t->statistics[0]); }

static bool counts_state(counts *c, em_state *io) {
    return em_state_within(io, &c->batch, -1, INT64_MAX) && EM_STATE(io, c->dropped_rows) && EM_STATE(io, c->dropped_tokens) &&
           EM_STATE(io, c->segments);
}

bool em_tally_state(em_tally *t, em_state *io) {
    bool good = true;
    for (int i = 0; i < t->plan->n_combinations; i++) good = good && counts_state(&t->counts[i], io);
    for (int i = 0; i < em_plan_cells(t->plan); i++) good = good && em_statistics_state(t->statistics[i], io);
    for (int i = 0; i < t->plan->n_pairs; i++) good = good && em_comparator_state(t->comparators[i], io);
    return good;
}

bool em_tally_finish(em_tally *t, const em_tally *shortest, em_result *results, em_comparison *comparisons,
                     const char *(*group_name)(const void *, int32_t), const void *data, em_error *err) {
    for (int i = 0; i < em_plan_cells(t->plan); i++) {
        const counts *c = &t->counts[i / t->plan->n_sides];
        em_result *x = &results[i];
        if (!em_statistics_finish(t->statistics[i], x, group_name, data, err)) return false;
        x->dropped_rows = c->dropped_rows;
        x->dropped_tokens = c->dropped_tokens;
        x->segments = c->segments;
        x->has_common = t->everywhere != NULL;
    }
    for (int i = 0; i < t->plan->n_pairs; i++)
        if (!em_comparator_finish(t->comparators[i], shortest ? shortest->comparators[i] : NULL, &comparisons[i], group_name, data, err))
            return false;
    return true;
}
