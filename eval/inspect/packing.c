#include "eval/inspect/packing.h"

#include <stdlib.h>

#include "common/size.h"

struct em_packing_counter {
    const em_protocol_settings *protocol;
    int32_t row_tokens, eos, bos;
    em_packing sum;
    em_packing_scheme open[EM_MAX_SCHEMES]; /* the batch that is not full yet */
    int64_t entered[EM_MAX_SCHEMES];        /* rows that the scheme has */
    int64_t complete[EM_MAX_SCHEMES];       /* of the open batch */
    int64_t document, document_tokens;      /* the last one seen, which may go on; -1: none */
    int32_t last_id;                        /* of the token before */
    int64_t *rows_with;                     /* [T + 1]: rows with so many documents */
};

em_packing_counter *em_packing_open(const em_protocol_settings *protocol, int32_t row_tokens,
                                    int32_t eos, int32_t bos, em_error *err) {
    em_packing_counter *c = em_alloc(1, sizeof *c, "packing statistics", err);
    if (!c) return NULL;
    *c = (em_packing_counter){
        .protocol = protocol, .row_tokens = row_tokens, .eos = eos, .bos = bos, .document = -1};
    c->rows_with = em_alloc((size_t)row_tokens + 1, sizeof *c->rows_with, "packing statistics",
                            err);
    if (c->rows_with) return c;
    free(c);
    return NULL;
}

void em_packing_close(em_packing_counter *c) {
    if (!c) return;
    free(c->rows_with);
    free(c);
}

static void end_document(em_packing_counter *c) {
    int64_t n = c->document_tokens;
    if (c->document < 0 || n == 0) return;
    int bucket = 0;
    while (n >> (bucket + 1)) bucket++;
    em_packing *s = &c->sum;
    s->lengths[bucket]++;
    if (s->documents == 0 || n < s->shortest) s->shortest = n;
    if (n > s->longest) s->longest = n;
    s->documents++;
}

static void count_followed(em_packing_counter *c, int32_t last_id) {
    c->sum.followed++;
    c->sum.followed_with_eos += last_id == c->eos;
}

/* The segments of the row itself; a window's last token counts in the row that it begins. */
static void count_documents(em_packing_counter *c, const em_row *row) {
    int32_t n = 0;
    for (; n < row->n_segments && row->segments[n].start < row->tokens; n++) {
        const em_segment *g = &row->segments[n];
        int32_t end = g->end < row->tokens ? g->end : row->tokens;
        if (g->document != c->document) {
            if (c->document >= 0) count_followed(c, g->start ? row->ids[g->start - 1] : c->last_id);
            end_document(c);
            c->document = g->document;
            c->document_tokens = 0;
        }
        c->document_tokens += end - g->start;
    }
    c->rows_with[n]++;
    c->last_id = row->ids[row->tokens - 1];
}

/* Where EOS and BOS are the same token, the one that begins a document is its BOS. */
static void count_special(em_packing_counter *c, const em_row *row) {
    em_packing *s = &c->sum;
    for (int32_t i = 0, g = 0; i < row->tokens; i++) {
        int32_t id = row->ids[i];
        while (row->segments[g].end <= i) g++;
        bool added = row->kind[i] == EM_TOKEN_ADDED,
             first = row->segments[g].place == 0 && row->segments[g].start == i;
        bool begins = id == c->bos && (id != c->eos || (added && first));
        if (id != c->eos && !begins) continue;
        int64_t *n = begins  ? added ? &s->bos_added : &s->bos_in_text
                     : added ? &s->eos_added
                             : &s->eos_in_text;
        (*n)++;
    }
}

static void count_labels(em_packing_scheme *to, const em_row *row, const em_reading *r, int offset,
                         const em_packing_counter *c) {
    em_scored_walk walk = em_scored_begin(row, r, offset, c->protocol->boundary);
    em_scored_position p;
    while (em_scored_next(&walk, &p)) {
        to->predictions++;
        to->boundary += p.boundary;
        to->eos += p.label == c->eos && row->kind[p.at] == EM_TOKEN_ADDED;
    }
    to->predictions += walk.dropped;
    to->boundary += walk.dropped;
}

static void close_batch(em_packing_scheme *to, em_packing_scheme *open, bool drop) {
    if (drop) {
        to->dropped_rows += open->rows;
        to->dropped_tokens += open->tokens;
    } else if (open->rows) {
        to->rows += open->rows;
        to->tokens += open->tokens;
        to->predictions += open->predictions;
        to->boundary += open->boundary;
        to->eos += open->eos;
        to->batches += open->predictions > 0; /* a batch without predictions is no batch */
    }
    *open = (em_packing_scheme){0};
}

static void count_scheme(em_packing_counter *c, int l, const em_row *row) {
    const em_protocol_settings *s = c->protocol;
    em_row_rules rules = em_protocol_row_rules(s, c->row_tokens);
    em_reading r = em_labels_read(s->labels[l], &rules, row);
    if (r.inputs < 1) return;
    em_packing_scheme *open = &c->open[l];
    open->rows++;
    open->tokens += row->tokens;
    count_labels(open, row, &r, s->labels[l]->offset, c);
    c->complete[l] += r.complete;
    if (++c->entered[l] % s->batch) return;
    close_batch(&c->sum.schemes[l], open, s->tail == EM_TAIL_DROP && c->complete[l] < s->batch);
    c->complete[l] = 0;
}

void em_packing_add(em_packing_counter *c, const em_row *row) {
    c->sum.rows++;
    c->sum.tokens += row->tokens;
    c->sum.slots += c->row_tokens;
    c->sum.last_row_tokens = row->tokens;
    count_documents(c, row);
    count_special(c, row);
    for (int l = 0; l < c->protocol->n_labels; l++) count_scheme(c, l, row);
}

static void documents_per_row(const em_packing_counter *c, em_packing *out) {
    int64_t seen = 0;
    for (int32_t n = 1; n <= c->row_tokens; n++) {
        if (!c->rows_with[n]) continue;
        if (!seen) out->least_documents = n;
        if (seen * 2 < out->rows) out->median_documents = n;
        seen += c->rows_with[n];
        out->most_documents = n;
    }
}

void em_packing_finish(em_packing_counter *c, em_packing *out) {
    end_document(c);
    c->document = -1;
    for (int l = 0; l < c->protocol->n_labels; l++)
        close_batch(&c->sum.schemes[l], &c->open[l], c->protocol->tail == EM_TAIL_DROP);
    *out = c->sum;
    documents_per_row(c, out);
}
