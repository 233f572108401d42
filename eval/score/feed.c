#include "eval/score/feed.h"

#include <stdlib.h>

#include "common/size.h"

typedef struct waiting {
    em_fed_row *row;
    struct waiting *next;
} waiting;

struct em_feed {
    em_packer *packer;
    const em_protocol_settings *protocol;
    int32_t row_tokens;
    waiting *first, **last;
    int64_t entered[EM_MAX_SCHEMES];  /* rows that the scheme has */
    int64_t complete[EM_MAX_SCHEMES]; /* and of those the complete ones */
    int64_t rows;
    bool ended;
};

void em_fed_row_free(em_fed_row *f) {
    if (!f) return;
    em_row_free(f->row);
    free(f);
}

em_scored_walk em_fed_row_scored(const em_fed_row *f, const em_protocol_settings *protocol,
                                 int scheme) {
    em_reading none = {0};
    return em_scored_begin(f->row, f->dropped[scheme] ? &none : &f->reading[scheme],
                           protocol->labels[scheme]->offset, protocol->boundary);
}

em_feed *em_feed_open(em_packer *packer, const em_protocol_settings *protocol, int32_t row_tokens,
                      em_error *err) {
    em_feed *f = em_alloc(1, sizeof *f, "rows", err);
    if (!f) return NULL;
    f->packer = packer;
    f->protocol = protocol;
    f->row_tokens = row_tokens;
    f->last = &f->first;
    return f;
}

void em_feed_close(em_feed *f) {
    if (!f) return;
    for (waiting *w = f->first, *next; w; w = next) {
        next = w->next;
        em_fed_row_free(w->row);
        free(w);
    }
    free(f);
}

int64_t em_feed_rows(const em_feed *f) { return f->rows; }

/* Gives the row its place in each scheme's batches; false where no scheme has it. */
static bool place_row(em_feed *f, em_fed_row *r) {
    bool any = false;
    const em_protocol_settings *s = f->protocol;
    em_row_rules rules = em_protocol_row_rules(s, f->row_tokens);
    for (int i = 0; i < s->n_labels; i++) {
        r->reading[i] = em_labels_read(s->labels[i], &rules, r->row);
        if (r->reading[i].inputs < 1) continue;
        any = true;
        r->batch[i] = f->entered[i]++ / s->batch;
        f->complete[i] += r->reading[i].complete;
    }
    return any;
}

static bool pull(em_feed *f, em_error *err) {
    em_row *row;
    int got = em_packer_next(f->packer, &row, err);
    if (got <= 0) return f->ended = true, got == 0;
    f->rows++;
    em_fed_row *r = em_alloc(1, sizeof *r, "rows", err);
    waiting *w = em_alloc(1, sizeof *w, "rows", err);
    if (!r || !w) {
        free(r);
        free(w);
        em_row_free(row);
        return false;
    }
    r->row = row;
    if (!place_row(f, r)) {
        free(w);
        em_fed_row_free(r);
        return true;
    }
    w->row = r;
    *f->last = w;
    f->last = &w->next;
    return true;
}

static bool batch_complete(const em_feed *f, const em_fed_row *r, int scheme) {
    return f->complete[scheme] >= (r->batch[scheme] + 1) * f->protocol->batch;
}

/* Whether it is known what becomes of the row. */
static bool decided(const em_feed *f, const em_fed_row *r) {
    if (f->ended || f->protocol->tail == EM_TAIL_PAD) return true;
    for (int i = 0; i < f->protocol->n_labels; i++)
        if (r->reading[i].inputs > 0 && !batch_complete(f, r, i)) return false;
    return true;
}

int em_feed_next(em_feed *f, em_fed_row **out, em_error *err) {
    while (!f->first || !decided(f, f->first->row)) {
        if (!f->first && f->ended) return 0;
        if (!pull(f, err)) return -1;
    }
    waiting *w = f->first;
    f->first = w->next;
    if (!f->first) f->last = &f->first;
    *out = w->row;
    free(w);
    if (f->protocol->tail == EM_TAIL_DROP)
        for (int i = 0; i < f->protocol->n_labels; i++)
            (*out)->dropped[i] = (*out)->reading[i].inputs > 0 && !batch_complete(f, *out, i);
    return 1;
}
