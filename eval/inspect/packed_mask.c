#include "eval/inspect/packed_mask.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/size.h"

void em_mask_search_free(em_mask_search *s) {
    free(s->candidates);
    free(s->lo);
    free(s->hi);
    s->candidates = NULL;
    s->lo = s->hi = NULL;
}

/* The first query that is not as the mask would have it, -1: there is none. clip: documents do not
 * see the padding at the row's ends. */
static int32_t first_difference(em_mask_search *s, const em_mask *m, const em_packed_view *v,
                                bool clip) {
    em_mask_intervals(m, &v->shape, v->shape.tokens, s->lo, s->hi);
    for (int32_t i = v->from; i < v->to; i++) {
        int32_t lo = s->lo[i], hi = s->hi[i];
        if (v->padding[i]) continue;
        if (clip && lo < v->from) lo = v->from;
        if (clip && hi > v->to) hi = v->to;
        bool nothing = lo >= hi && v->lo[i] >= v->hi[i] && v->lo[i] >= 0;
        if (!nothing && (lo != v->lo[i] || hi != v->hi[i])) return i;
    }
    return -1;
}

/* A row settles a parameter where a greater one would give another row; elsewhere the parameter is
 * the least that fits. False where rows contradict each other. */
static bool settle(em_mask_candidate *c, int32_t parameter, bool settles) {
    if (!settles) c->least = parameter > c->least ? parameter : c->least;
    else if (c->parameter && c->parameter != parameter) return false;
    else c->parameter = parameter;
    return !c->parameter || c->parameter >= c->least;
}

static bool fits(em_mask_search *s, em_mask_candidate *c, const em_mask_kind *kind,
                 const em_packed_view *v) {
    em_found_intervals row = {.row = &v->shape,
                              .from = v->from,
                              .to = v->to,
                              .lo = v->lo,
                              .hi = v->hi,
                              .padding = v->padding};
    em_mask m = em_mask_make(kind, kind->infer ? kind->infer(&row) : 0);
    bool clip = first_difference(s, &m, v, true) < 0;
    if (!clip && first_difference(s, &m, v, false) >= 0) return false;
    c->sees_padding |= !clip;
    if (!kind->parameter) return true;
    em_mask boundless = em_mask_make(kind, INT32_MAX);
    return settle(c, m.parameter, first_difference(s, &boundless, v, clip) >= 0);
}

static void note_odd(em_mask_search *s, const em_packed_view *v, int64_t row) {
    em_mask doc;
    em_mask_parse("doc", &doc, &(em_error)EM_ERROR_INIT);
    int32_t not_doc = first_difference(s, &doc, v, true);
    s->odd_row = row;
    s->odd_query = not_doc >= 0 ? not_doc : v->from;
    for (int32_t i = v->to - 1; i >= v->from; i--)
        if (!v->padding[i] && v->lo[i] < 0) s->odd_query = i;
    s->odd_lo = v->lo[s->odd_query];
    s->odd_hi = v->hi[s->odd_query];
}

static bool reserve(em_mask_search *s, int kinds, size_t tokens, em_error *err) {
    if (!s->candidates)
        s->candidates = em_alloc((size_t)kinds, sizeof *s->candidates, "a mask", err);
    return s->candidates &&
           em_grow(&s->lo, &s->capacities[0], tokens, sizeof *s->lo, "a mask", err) &&
           em_grow(&s->hi, &s->capacities[1], tokens, sizeof *s->hi, "a mask", err);
}

bool em_mask_search_add(em_mask_search *s, const em_packed_view *v, int64_t row, em_error *err) {
    int n;
    const em_mask_kind *kinds = em_mask_kinds(&n);
    bool any = false;
    if (v->from == v->to || s->odd_row >= 0) return true;
    if (!reserve(s, n, (size_t)v->shape.tokens, err)) return false;
    for (int k = 0; k < n; k++) {
        em_mask_candidate *c = &s->candidates[k];
        c->dead = c->dead || !fits(s, c, &kinds[k], v);
        any |= !c->dead;
    }
    if (!any) note_odd(s, v, row);
    return true;
}

bool em_mask_search_found(const em_mask_search *s, em_mask *out, bool *sees_padding) {
    int n;
    const em_mask_kind *kinds = em_mask_kinds(&n);
    for (int k = 0; s->candidates && k < n; k++) {
        const em_mask_candidate *c = &s->candidates[k];
        if (c->dead || (kinds[k].parameter && !c->parameter)) continue;
        *out = em_mask_make(&kinds[k], c->parameter);
        *sees_padding = c->sees_padding;
        return true;
    }
    return false;
}
