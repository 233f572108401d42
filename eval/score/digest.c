#include "eval/score/digest.h"

#include <stdlib.h>

#include "common/size.h"

static const char what[] = "a row's sums";

em_digest *em_digest_new(const em_plan *plan, em_error *err) {
    em_digest *d = em_alloc(1, sizeof *d, what, err);
    if (!d) return NULL;
    d->plan = plan;
    d->cells = em_alloc((size_t)em_plan_cells(plan), sizeof *d->cells, what, err);
    d->pairs = em_alloc((size_t)plan->n_pairs, sizeof *d->pairs, what, err);
    if (d->cells && d->pairs) return d;
    em_digest_free(d);
    return NULL;
}

void em_digest_free(em_digest *d) {
    if (!d) return;
    for (int i = 0; d->cells && i < em_plan_cells(d->plan); i++) em_row_sums_free(&d->cells[i]);
    for (int i = 0; d->pairs && i < d->plan->n_pairs; i++) em_row_paired_free(&d->pairs[i]);
    free(d->cells);
    free(d->pairs);
    em_buffer_free(&d->lines);
    em_scored_positions_free(&d->scored);
    free(d->leaks);
    free(d->reach);
    free(d);
}

static void clear(em_digest *d) {
    for (int i = 0; i < em_plan_cells(d->plan); i++) em_row_sums_clear(&d->cells[i]);
    for (int i = 0; i < d->plan->n_pairs; i++) em_row_paired_clear(&d->pairs[i]);
    em_buffer_clear(&d->lines);
}

/* ---- one side ---- */

/* An alpha sees what either model sees; direct counts as more than indirect. */
static em_leak leak_at(const em_digest *d, const em_side *side, int index, int32_t inputs,
                       int32_t i) {
    if (side->alpha < 0) return (em_leak)d->leaks[(size_t)index * (size_t)inputs + (size_t)i];
    uint8_t a = d->leaks[i], b = d->leaks[(size_t)inputs + (size_t)i];
    return a == EM_LEAK_DIRECT || b == EM_LEAK_DIRECT ? EM_LEAK_DIRECT
           : a || b                                   ? EM_LEAK_INDIRECT
                                                      : EM_CLEAN;
}

/* Which positions of the row can see their label, on every side without an alpha. */
static bool find_leaks(em_digest *d, const em_pass_view *v, const em_reading *reading, int offset,
                       em_error *err) {
    const em_plan *p = d->plan;
    size_t n = (size_t)v->inputs;
    if (!em_grow(&d->leaks, &d->leaks_capacity, (size_t)p->n_plain * n, 1, "leaks", err))
        return false;
    for (int side = 0; side < p->n_plain; side++)
        if (!em_leak_row(v->lo, v->hi, v->inputs, p->models[p->sides[side].model].windows,
                         em_side_layers(p, &p->sides[side]), offset, reading->from, reading->to,
                         d->leaks + (size_t)side * n, err))
            return false;
    return true;
}

static bool add_side(em_digest *d, const em_row *row, em_cell cell, const em_side_view *v,
                     int32_t inputs, em_error *err) {
    em_row_sums *into = &d->cells[em_plan_cell(d->plan, cell)];
    const em_side *side = &d->plan->sides[cell.side];
    for (size_t k = 0; k < d->scored.n; k++) {
        const em_scored_position *s = &d->scored.list[k];
        em_prediction p = {.nll = v->nll[(size_t)s->i * (size_t)v->stride],
                           .correct = v->argmax[(size_t)s->i * (size_t)v->argmax_stride] ==
                                      s->label,
                           .boundary = s->boundary,
                           .common = d->scored.common[k],
                           .added = row->kind[s->at] == EM_TOKEN_ADDED,
                           .leak = leak_at(d, side, cell.side, inputs, s->i),
                           .bytes = row->bytes[s->at],
                           .group = s->segment->group,
                           .document = s->segment->document,
                           .place = em_scored_place(s)};
        if (!em_row_sums_add(into, &p, err)) return false;
    }
    return true;
}

static bool add_combination(em_digest *d, const em_digest_source *from, int row, int c,
                            em_error *err) {
    const em_fed_row *f = em_passes_row(from->passes, row);
    int scheme = d->plan->combinations[c].labels;
    em_pass_view v = em_passes_view(from->passes, row, c);
    if (!find_leaks(d, &v, &f->reading[scheme], d->plan->protocol->labels[scheme]->offset, err))
        return false;
    for (int side = 0; side < d->plan->n_sides; side++) {
        em_cell cell = {c, side};
        em_side_view x = em_passes_side(from->passes, from->scores, row, cell);
        if (!add_side(d, f->row, cell, &x, v.inputs, err)) return false;
    }
    return true;
}

/* ---- one pair ---- */

/* How soon the choice between two combinations can be felt, in each model. */
static bool find_reach(em_digest *d, const em_passes *passes, int row, const em_planned_pair *p,
                       em_error *err) {
    em_pass_view a = em_passes_view(passes, row, p->before.combination),
                 b = em_passes_view(passes, row, p->after.combination);
    em_view x = {a.lo, a.hi, a.positions}, y = {b.lo, b.hi, b.positions};
    size_t n = (size_t)a.inputs;
    if (!em_grow(&d->reach, &d->reach_capacity, (size_t)d->plan->n_models * n, sizeof *d->reach,
                 "affected predictions", err))
        return false;
    for (int i = 0; i < d->plan->n_models; i++) {
        const em_model_facts *m = &d->plan->models[i];
        if (!em_affected_row(&x, &y, a.inputs, m->windows, m->layers, m->learned_positions,
                             d->reach + (size_t)i * n, err))
            return false;
    }
    return true;
}

/* An alpha's logits feel what either model feels. */
static em_effect effect_at(const em_digest *d, const em_side *side, int32_t inputs, int32_t i) {
    int layers = em_side_layers(d->plan, side);
    em_effect own = em_effect_at(&d->reach[(size_t)side->model * (size_t)inputs + (size_t)i],
                                 layers);
    if (side->alpha < 0 || own == EM_AFFECTED_DIRECTLY) return own;
    em_effect other = em_effect_at(&d->reach[i], d->plan->models[0].layers);
    return other == EM_UNAFFECTED ? own : other;
}

/* Common predictions are grouped by stretches of the longest row length. */
static int64_t stretch_of(const em_common_predictions *e, int64_t stream) {
    return e ? stream / e->lengths[e->n - 1] : 0;
}

static bool add_pair(em_digest *d, const em_digest_source *from, int row, int pair, bool affected,
                     em_error *err) {
    const em_planned_pair *p = &d->plan->pairs[pair];
    em_side_view a = em_passes_side(from->passes, from->scores, row, p->before),
                 b = em_passes_side(from->passes, from->scores, row, p->after);
    const em_side *side = &d->plan->sides[p->after.side];
    bool kl = p->kind == EM_COMPARE_MODELS && p->before.side == 0 && b.kl;
    int64_t stream = em_passes_row(from->passes, row)->row->stream;
    int32_t inputs = em_passes_view(from->passes, row, p->after.combination).inputs;
    for (size_t k = 0; k < d->scored.n; k++) {
        const em_scored_position *s = &d->scored.list[k];
        em_paired x = {.before = a.nll[(size_t)s->i * (size_t)a.stride],
                       .after = b.nll[(size_t)s->i * (size_t)b.stride],
                       .same_top1 = a.argmax[(size_t)s->i * (size_t)a.argmax_stride] ==
                                    b.argmax[(size_t)s->i * (size_t)b.argmax_stride],
                       .has_kl = kl,
                       .kl = kl ? b.kl[s->i] : 0,
                       .boundary = s->boundary,
                       .common = d->scored.common[k],
                       .stretch = stretch_of(from->common, stream + s->at),
                       .effect = affected ? effect_at(d, side, inputs, s->i) : EM_UNAFFECTED,
                       .group = s->segment->group,
                       .document = s->segment->document,
                       .place = em_scored_place(s)};
        if (!em_row_paired_add(&d->pairs[pair], &x, err)) return false;
    }
    return true;
}

/* Pairs of the same two combinations stand together in the plan, so their reach is found once. */
static bool same_choice(const em_planned_pair *a, const em_planned_pair *b) {
    return a->kind == b->kind && a->before.combination == b->before.combination &&
           a->after.combination == b->after.combination;
}

static bool add_pairs(em_digest *d, const em_digest_source *from, int row, int scheme,
                      em_error *err) {
    const em_planned_pair *last = NULL;
    bool affected = false;
    for (int i = 0; i < d->plan->n_pairs; i++) {
        const em_planned_pair *p = &d->plan->pairs[i];
        if (d->plan->combinations[p->after.combination].labels != scheme) continue;
        if (!last || !same_choice(last, p)) {
            affected = p->kind == EM_COMPARE_MASKS &&
                       !em_passes_same(from->passes, row, p->before.combination,
                                       p->after.combination);
            if (affected && !find_reach(d, from->passes, row, p, err)) return false;
        }
        last = p;
        if (!add_pair(d, from, row, i, affected, err)) return false;
    }
    return true;
}

/* ---- together ---- */

static bool add_scheme(em_digest *d, const em_digest_source *from, int row, int scheme,
                       em_error *err) {
    if (!em_scored_positions_find(&d->scored, d->plan->protocol, from->common,
                                  em_passes_row(from->passes, row), scheme, err))
        return false;
    if (d->scored.n == 0) return true;
    for (int c = 0; c < d->plan->n_combinations; c++)
        if (d->plan->combinations[c].labels == scheme && !add_combination(d, from, row, c, err))
            return false;
    return add_pairs(d, from, row, scheme, err);
}

bool em_digest_make(em_digest *d, const em_digest_source *from, int row, em_error *err) {
    clear(d);
    for (int l = 0; l < d->plan->protocol->n_labels; l++)
        if (!add_scheme(d, from, row, l, err)) return false;
    if (from->tokens) em_tokens_row(&d->lines, from->tokens, from->passes, from->scores, row);
    return true;
}

static bool lines_state(em_buffer *lines, em_state *io) {
    size_t n = lines->length;
    if (!em_state_length(io, &n, 1)) return false;
    if (!em_buffer_reserve(lines, n, io->err)) return io->failed = true, false;
    if (!em_state_bytes(io, lines->data, n)) return false;
    lines->length = n;
    lines->data[n] = 0;
    return true;
}

bool em_digest_state(em_digest *d, em_state *io) {
    if (!io->into) clear(d);
    for (int i = 0; i < em_plan_cells(d->plan); i++)
        if (!em_row_sums_state(&d->cells[i], io)) return false;
    for (int i = 0; i < d->plan->n_pairs; i++)
        if (!em_row_paired_state(&d->pairs[i], io)) return false;
    return lines_state(&d->lines, io);
}
