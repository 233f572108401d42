#include "eval/inspect/packed_mask.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/size.h"

void em_mask_search_free(em_mask_search *s) {
    free(s->lo);
    free(s->hi);
    s->lo = s->hi = NULL;
}

static bool is_window(em_mask_kind k) { return k == EM_MASK_WINDOW || k == EM_MASK_DOC_WINDOW; }

/* The parameter with which the kind could give the row's mask. 0: none, or the kind has none. */
static int32_t parameter_for(em_mask_kind k, const em_packed_view *v) {
    int32_t n = v->shape.tokens, first = v->from, last = v->to - 1, widest = 1;
    switch (k) {
    case EM_MASK_WINDOW:
    case EM_MASK_DOC_WINDOW:
        for (int32_t i = first; i <= last; i++)
            if (!v->padding[i] && v->hi[i] - v->lo[i] > widest) widest = v->hi[i] - v->lo[i];
        return widest;
    case EM_MASK_PREFIX: return v->hi[first] > 0 ? v->hi[first] : 1;
    case EM_MASK_FLIP0: {
        int32_t m = v->hi[first] < n ? v->hi[first] + first : v->hi[last] + last;
        return m > 0 && m != n ? m : 0;
    }
    default: return 0;
    }
}

/* The first query that is not as the mask would have it, -1: there is none. clip: documents do not
 * see the padding at the row's ends. */
static int32_t first_difference(em_mask_search *s, em_mask_kind k, int32_t parameter,
                                const em_packed_view *v, bool clip) {
    em_mask m = {.kind = k, .parameter = parameter};
    em_mask_intervals(&m, &v->shape, v->shape.tokens, s->lo, s->hi);
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

/* A window's width shows only where a row has queries that it cuts off; elsewhere it is the whole
 * that fits. */
static bool settle(em_mask_search *s, em_mask_kind k, int32_t parameter, bool cut) {
    if (is_window(k) && !cut) {
        if (parameter > s->least[k]) s->least[k] = parameter;
        return true;
    }
    if (s->parameter[k] && s->parameter[k] != parameter) return false;
    s->parameter[k] = parameter;
    return true;
}

static bool fits(em_mask_search *s, em_mask_kind k, const em_packed_view *v, bool cut) {
    int32_t parameter = parameter_for(k, v);
    if (first_difference(s, k, parameter, v, true) >= 0) {
        if (first_difference(s, k, parameter, v, false) >= 0) return false;
        s->sees_padding[k] = true;
    }
    return settle(s, k, parameter, cut);
}

static bool any_alive(const em_mask_search *s) {
    for (int k = 0; k < EM_MASK_KINDS; k++)
        if (!s->dead[k]) return true;
    return false;
}

static void note_odd(em_mask_search *s, const em_packed_view *v, int64_t row, int32_t not_doc) {
    s->odd_row = row;
    s->odd_query = not_doc >= 0 ? not_doc : v->from;
    for (int32_t i = v->to - 1; i >= v->from; i--)
        if (!v->padding[i] && v->lo[i] < 0) s->odd_query = i;
    s->odd_lo = v->lo[s->odd_query];
    s->odd_hi = v->hi[s->odd_query];
}

bool em_mask_search_add(em_mask_search *s, const em_packed_view *v, int64_t row, em_error *err) {
    size_t n = (size_t)v->shape.tokens;
    if (v->from == v->to || s->odd_row >= 0) return true;
    if (!em_grow(&s->lo, &s->capacities[0], n, sizeof *s->lo, "a mask", err) ||
        !em_grow(&s->hi, &s->capacities[1], n, sizeof *s->hi, "a mask", err))
        return false;
    int32_t not_doc = first_difference(s, EM_MASK_DOC, 0, v, true);
    bool regular_cut = first_difference(s, EM_MASK_REGULAR, 0, v, true) >= 0;
    for (int k = 0; k < EM_MASK_KINDS; k++)
        if (!s->dead[k])
            s->dead[k] = !fits(s, (em_mask_kind)k, v,
                               k == EM_MASK_WINDOW ? regular_cut : not_doc >= 0);
    if (any_alive(s)) return true;
    note_odd(s, v, row, not_doc);
    return true;
}

bool em_mask_search_found(const em_mask_search *s, em_mask *out, bool *sees_padding) {
    for (int k = 0; k < EM_MASK_KINDS; k++) {
        if (s->dead[k] ||
            (is_window((em_mask_kind)k) && (!s->parameter[k] || s->parameter[k] < s->least[k])))
            continue;
        *out = (em_mask){.kind = (em_mask_kind)k, .parameter = s->parameter[k]};
        *sees_padding = s->sees_padding[k];
        em_mask_name(out);
        return true;
    }
    return false;
}
