#include "eval/inspect/packed_view.h"

#include <stdlib.h>
#include <string.h>

#include "common/size.h"

enum {
    LONG_RUN =
        2,    /* so many EOS behind a document's own are padding; fewer may be empty documents */
    START = 4 /* in padding[], while the segments are looked for: a document begins here */
};

void em_packed_view_free(em_packed_view *v) {
    free(v->padding);
    free(v->lo);
    free(v->hi);
    free(v->shape.segments);
    *v = (em_packed_view){0};
}

static bool reserve(em_packed_view *v, size_t n, em_error *err) {
    const char *what = "a packed row";
    return em_grow(&v->padding, &v->capacities[0], n, sizeof *v->padding, what, err) &&
           em_grow(&v->lo, &v->capacities[1], n, sizeof *v->lo, what, err) &&
           em_grow(&v->hi, &v->capacities[2], n, sizeof *v->hi, what, err) &&
           em_grow(&v->shape.segments, &v->capacities[3], n, sizeof *v->shape.segments, what, err);
}

/* ---- padding ---- */

static em_packed_form form_of(const em_packed_row *row) {
    if (row->lo.given) return EM_FORM_MATRIX;
    for (size_t i = 0; i < row->mask.n && row->mask.given; i++)
        if (row->mask.v[i] > 1) return EM_FORM_NUMBERS;
    if (row->cu.given) return EM_FORM_CU;
    return row->mask.given ? EM_FORM_BINARY : EM_FORM_NONE;
}

/* Tokens that the mask leaves out: 0 in one dimension, behind the last of cu_seqlens, queries
 * without keys. */
static void padding_told(em_packed_view *v, const em_packed_row *row) {
    int32_t end = row->cu.given ? row->cu.v[row->cu.n - 1] : row->tokens;
    for (int32_t i = 0; i < row->tokens; i++) {
        bool out = i >= end || (row->mask.given && !row->mask.v[i]) ||
                   (row->lo.given && row->lo.v[i] >= 0 && row->lo.v[i] == row->hi.v[i]);
        v->padding[i] = out ? EM_PADDING_TOLD : 0;
    }
}

/* PAD at either end. */
static void padding_by_pad(em_packed_view *v, const em_packed_row *row, int32_t pad) {
    int32_t n = row->tokens, first = 0, last = n;
    while (last > 0 && row->ids.v[last - 1] == pad) v->padding[--last] |= EM_PADDING_BY_TOKEN;
    while (first < last && row->ids.v[first] == pad) v->padding[first++] |= EM_PADDING_BY_TOKEN;
}

/* Long runs of EOS but for the first, which is the document's own. */
static void padding_by_eos(em_packed_view *v, const em_packed_row *row, const em_packed_ids *ids) {
    for (int32_t i = 0, end; i < row->tokens; i = end) {
        end = i + 1;
        if (row->ids.v[i] != ids->eos) continue;
        while (end < row->tokens && row->ids.v[end] == ids->eos) end++;
        int32_t least = ids->pad == ids->eos && end == row->tokens ? 1 : LONG_RUN;
        if (end - i - 1 < least) continue;
        for (int32_t k = i + 1; k < end; k++) v->padding[k] |= EM_PADDING_BY_TOKEN;
    }
}

static void find_padding(em_packed_view *v, const em_packed_row *row, const em_packed_ids *ids) {
    padding_told(v, row);
    if (ids->pad >= 0 && ids->pad != ids->eos) padding_by_pad(v, row, ids->pad);
    padding_by_eos(v, row, ids);
    v->from = 0;
    v->to = row->tokens;
    while (v->to > 0 && v->padding[v->to - 1]) v->to--;
    while (v->from < v->to && v->padding[v->from]) v->from++;
}

/* ---- documents ---- */

/* Marks where cu_seqlens says that a document begins. */
static void starts_by_cu(em_packed_view *v, const em_packed_row *row) {
    for (size_t i = 0; i < row->cu.n; i++)
        if (row->cu.v[i] < row->tokens) v->padding[row->cu.v[i]] |= START;
}

static void starts_by_numbers(em_packed_view *v, const em_packed_row *row) {
    for (int32_t i = 1; i < row->tokens; i++)
        if (row->mask.v[i] != row->mask.v[i - 1]) v->padding[i] |= START;
}

static bool starts_by_positions(em_packed_view *v, const em_packed_row *row) {
    bool any = false;
    for (int32_t i = v->from + 1; row->positions.given && i < v->to; i++) {
        if (v->padding[i] || row->positions.v[i]) continue;
        v->padding[i] |= START;
        any = true;
    }
    return any;
}

/* Whether the T x T mask is causal within at least two blocks. */
static bool is_blocks(const em_packed_view *v, const em_packed_row *row) {
    int32_t start = v->from;
    for (int32_t i = v->from; row->lo.given && i < v->to; i++) {
        if (v->padding[i]) continue;
        if (row->lo.v[i] == i) start = i;
        if (row->lo.v[i] != start || row->hi.v[i] != i + 1) return false;
    }
    return start > v->from;
}

static void starts_by_blocks(em_packed_view *v, const em_packed_row *row) {
    for (int32_t i = v->from; i < v->to; i++)
        if (!v->padding[i] && row->lo.v[i] == i) v->padding[i] |= START;
}

static void starts_by_tokens(em_packed_view *v, const em_packed_row *row,
                             const em_packed_ids *ids) {
    for (int32_t i = 1; i < row->tokens; i++) {
        bool begins = ids->bos >= 0 && ids->bos != ids->eos && row->ids.v[i] == ids->bos;
        if (begins || row->ids.v[i - 1] == ids->eos) v->padding[i] |= START;
    }
}

static void find_starts(em_packed_view *v, const em_packed_row *row, const em_packed_ids *ids) {
    if (row->cu.given) {
        v->told = EM_TOLD_BY_CU;
        starts_by_cu(v, row);
    } else if (v->form == EM_FORM_NUMBERS) {
        v->told = EM_TOLD_BY_NUMBERS;
        starts_by_numbers(v, row);
    } else if (starts_by_positions(v, row)) {
        v->told = EM_TOLD_BY_POSITIONS;
    } else if (is_blocks(v, row)) {
        v->told = EM_TOLD_BY_BLOCKS;
        starts_by_blocks(v, row);
    } else {
        v->told = EM_TOLD_BY_TOKENS;
        starts_by_tokens(v, row, ids);
    }
}

/* Segments from the marks, which are taken away. Padding is one segment however it is marked. */
static void cut_segments(em_packed_view *v) {
    int32_t n = 0;
    bool before = false;
    for (int32_t i = 0; i < v->shape.tokens; i++) {
        bool marked = v->padding[i] & START, padding = v->padding[i] & ~START;
        v->padding[i] &= (uint8_t)~START;
        if (i == 0 || padding != before || (marked && !padding))
            v->shape.segments[n++] = (em_segment){.start = i, .document = padding ? -1 : 0};
        v->shape.segments[n - 1].end = i + 1;
        before = padding;
    }
    v->shape.n_segments = n;
}

/* ---- the mask ---- */

/* From documents' numbers; -1 where a number comes back, since its keys are then no interval. */
static void intervals_of_numbers(em_packed_view *v, const em_packed_row *row) {
    int32_t start = 0, most = 0;
    for (int32_t i = 0; i < row->tokens; i++) {
        int32_t number = row->mask.v[i];
        if (i && number != row->mask.v[i - 1]) start = i;
        bool back = number && number < most;
        if (number > most) most = number;
        v->lo[i] = back ? -1 : start;
        v->hi[i] = back ? -1 : i + 1;
    }
}

static void intervals_of_cu(em_packed_view *v, const em_packed_row *row) {
    for (size_t g = 0; g + 1 < row->cu.n; g++)
        for (int32_t i = row->cu.v[g]; i < row->cu.v[g + 1]; i++) {
            v->lo[i] = row->cu.v[g];
            v->hi[i] = i + 1;
        }
    for (int32_t i = row->cu.v[row->cu.n - 1]; i < row->tokens; i++) v->lo[i] = v->hi[i] = 0;
}

/* A mask of 0 and 1 in one dimension only hides padding: a causal model sees all before a token. */
static void intervals_of_binary(em_packed_view *v, const em_packed_row *row) {
    int32_t first = 0;
    while (first < row->tokens && !row->mask.v[first]) first++;
    for (int32_t i = 0; i < row->tokens; i++) {
        v->lo[i] = i < first ? 0 : first;
        v->hi[i] = i < first ? 0 : i + 1;
    }
}

static void find_intervals(em_packed_view *v, const em_packed_row *row) {
    size_t bytes = (size_t)row->tokens * sizeof *v->lo;
    switch (v->form) {
    case EM_FORM_MATRIX:
        memcpy(v->lo, row->lo.v, bytes);
        memcpy(v->hi, row->hi.v, bytes);
        break;
    case EM_FORM_NUMBERS: intervals_of_numbers(v, row); break;
    case EM_FORM_CU: intervals_of_cu(v, row); break;
    case EM_FORM_BINARY: intervals_of_binary(v, row); break;
    case EM_FORM_NONE:
    case EM_FORM_KINDS: break;
    }
}

bool em_packed_view_make(em_packed_view *v, const em_packed_row *row, const em_packed_ids *ids,
                         em_error *err) {
    if (!reserve(v, (size_t)row->tokens, err)) return false;
    v->shape.tokens = v->shape.window = row->tokens;
    v->form = form_of(row);
    find_padding(v, row, ids);
    find_starts(v, row, ids);
    cut_segments(v);
    find_intervals(v, row);
    return true;
}
