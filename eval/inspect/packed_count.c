#include "eval/inspect/packed_count.h"

#include <string.h>

static const em_packed_place nowhere = {-1, -1};

void em_packed_counts_start(em_packed_counts *c) {
    *c = (em_packed_counts){.first_missing = nowhere,
                            .first_inside = nowhere,
                            .wrong.at = nowhere,
                            .wrong_over_eos.at = nowhere,
                            .mask.odd_row = -1};
    for (int s = 0; s < EM_PACKED_SCHEMES; s++)
        c->scheme[s].first_other = c->scheme[s].first_padding = nowhere;
}

void em_packed_counts_free(em_packed_counts *c) { em_mask_search_free(&c->mask); }

static void note_first(em_packed_place *p, int64_t row, int32_t index) {
    if (p->row < 0) *p = (em_packed_place){row, index};
}

/* ---- documents ---- */

typedef struct walk { /* over a row's documents in their order */
    const em_packed_view *view;
    const em_packed_row *row;
    int32_t eos;
    int32_t next;             /* segment */
    int32_t before, document; /* segments of the document before and of the one at hand, -1: none */
    bool own_eos;             /* between the two lies an EOS that is a segment by itself */
} walk;

static walk walk_begin(const em_packed_view *v, const em_packed_row *row, int32_t eos) {
    return (walk){.view = v, .row = row, .eos = eos, .before = -1, .document = -1};
}

static bool ends_with_eos(const walk *w, int32_t segment) {
    return w->row->ids.v[w->view->shape.segments[segment].end - 1] == w->eos;
}

static bool is_own_eos(const walk *w, int32_t segment) {
    const em_segment *g = &w->view->shape.segments[segment];
    return w->view->told != EM_TOLD_BY_TOKENS && w->document >= 0 && g->end - g->start == 1 &&
           ends_with_eos(w, segment) && !ends_with_eos(w, w->document);
}

static bool walk_next(walk *w) {
    bool own = false;
    for (; w->next < w->view->shape.n_segments; w->next++) {
        if (em_packed_is_padding(&w->view->shape.segments[w->next])) continue;
        if (!is_own_eos(w, w->next)) break;
        own = true;
    }
    w->own_eos = own;
    if (w->next == w->view->shape.n_segments) return false;
    w->before = w->document;
    w->document = w->next++;
    return true;
}

int32_t em_packed_documents(const em_packed_view *v, const em_packed_row *row,
                            const em_packed_ids *ids) {
    int32_t n = 0;
    for (walk w = walk_begin(v, row, ids->eos); walk_next(&w);) n++;
    return n;
}

static void count_boundary(em_packed_counts *c, const walk *w) {
    const em_segment *g = &w->view->shape.segments[w->document];
    c->boundaries++;
    if (w->own_eos) c->eos_own++;
    else if (ends_with_eos(w, w->before)) c->eos_ends++;
    else if (w->row->ids.v[g->start] == w->eos) c->eos_begins++;
    else c->eos_missing++, note_first(&c->first_missing, c->rows, g->start);
}

static void count_document(em_packed_counts *c, const walk *w, const em_packed_ids *ids) {
    const em_segment *g = &w->view->shape.segments[w->document];
    const int32_t *id = w->row->ids.v;
    c->bos_begins += id[g->start] == ids->bos;
    for (int32_t i = g->start + 1; i < g->end - 1; i++) {
        if (id[i] != w->eos) continue;
        c->eos_inside++;
        note_first(&c->first_inside, c->rows, i);
    }
}

static void count_documents(em_packed_counts *c, const em_packed_view *v, const em_packed_row *row,
                            const em_packed_ids *ids) {
    int32_t n = 0;
    for (walk w = walk_begin(v, row, ids->eos); walk_next(&w); n++) {
        count_document(c, &w, ids);
        if (w.before >= 0) count_boundary(c, &w);
    }
    c->told[v->told]++;
    c->documents += n;
    c->several += n > 1;
    if (c->rows == 0 || n < c->least_documents) c->least_documents = n;
    if (n > c->most_documents) c->most_documents = n;
}

static void count_tokens(em_packed_counts *c, const em_packed_view *v, const em_packed_row *row,
                         const em_packed_ids *ids) {
    c->tokens += row->tokens;
    if (c->rows == 0 || row->tokens < c->shortest) c->shortest = row->tokens;
    if (row->tokens > c->longest) c->longest = row->tokens;
    for (int32_t i = 0; i < row->tokens; i++) {
        c->eos += row->ids.v[i] == ids->eos;
        c->eos_padding += row->ids.v[i] == ids->eos && v->padding[i];
        c->bos += row->ids.v[i] == ids->bos && !v->padding[i];
        c->padding += v->padding[i] != 0;
        c->padding_seen += v->padding[i] && v->form == EM_FORM_BINARY && row->mask.v[i];
    }
}

/* ---- positions ---- */

/* The first token, but for padding, whose position does not count from its segment's begin; -1:
 * none. */
static int32_t first_without_restart(const em_packed_view *v, const em_packed_row *row) {
    for (int32_t g = 0; g < v->shape.n_segments; g++) {
        const em_segment *s = &v->shape.segments[g];
        for (int32_t i = s->start; i < s->end && !em_packed_is_padding(s); i++)
            if (row->positions.v[i] != i - s->start) return i;
    }
    return -1;
}

static bool runs_on(const em_packed_view *v, const em_packed_row *row) {
    for (int32_t i = v->from; i < v->to; i++)
        if (!v->padding[i] && row->positions.v[i] != i - v->from) return false;
    return true;
}

static void note_wrong(em_packed_wrong_position *w, int64_t r, const em_packed_view *v,
                       const em_packed_row *row, int32_t i) {
    if (w->at.row >= 0) return;
    int32_t start = v->shape.segments[em_row_segment(&v->shape, i)].start;
    *w = (em_packed_wrong_position){.at = {r, i}, .found = row->positions.v[i], .due = i - start};
}

static void count_positions(em_packed_counts *c, const em_packed_view *v,
                            const em_packed_row *row) {
    if (!row->positions.given) return;
    int32_t wrong = first_without_restart(v, row);
    bool on = runs_on(v, row), over_eos = on && v->told == EM_TOLD_BY_TOKENS;
    c->positions++;
    if (wrong < 0) {
        c->restart += !on;
        return;
    }
    if (over_eos) c->over_eos++;
    else if (on) c->run_on++;
    else c->neither++;
    note_wrong(over_eos ? &c->wrong_over_eos : &c->wrong, c->rows, v, row, wrong);
}

/* ---- labels ---- */

/* The label at i, which counts, read as that of token i + shift. */
static void count_label(em_packed_labels *s, int64_t r, const em_packed_view *v,
                        const em_packed_row *row, int32_t i, int32_t shift, int32_t eos) {
    int32_t label = row->labels.v[i], token = i + shift;
    bool padding = token < row->tokens && v->padding[token];
    s->eos += label == eos && !padding;
    if (padding) {
        s->padding++;
        note_first(&s->first_padding, r, i);
    }
    if (token < row->tokens &&
        label != row->ids.v[token]) { /* behind the row's end lies what only the next one knows */
        s->others++;
        note_first(&s->first_other, r, i);
    }
}

static void count_labels(em_packed_counts *c, const em_packed_view *v, const em_packed_row *row,
                         int32_t eos) {
    if (!row->labels.given) return;
    c->labels_rows++;
    c->labels += row->tokens;
    for (int shift = 0; shift < EM_PACKED_SCHEMES; shift++) {
        int64_t before = c->scheme[shift].padding;
        for (int32_t i = 0; i < row->tokens; i++)
            if (row->labels.v[i] != EM_LABEL_IGNORED)
                count_label(&c->scheme[shift], c->rows, v, row, i, shift, eos);
        c->scheme[shift].padding_rows += c->scheme[shift].padding > before;
    }
    for (int32_t i = 0; i < row->tokens; i++) c->ignored += row->labels.v[i] == EM_LABEL_IGNORED;
}

bool em_packed_counts_add(em_packed_counts *c, const em_packed_row *row, const em_packed_view *view,
                          const em_packed_ids *ids, em_error *err) {
    count_tokens(c, view, row, ids);
    count_documents(c, view, row, ids);
    count_positions(c, view, row);
    count_labels(c, view, row, ids->eos);
    c->form[view->form]++;
    if (view->form != EM_FORM_NONE && !em_mask_search_add(&c->mask, view, c->rows, err))
        return false;
    c->rows++;
    return true;
}
