#include "eval/score/passes.h"

#include <stdlib.h>
#include <string.h>

#include "common/size.h"

struct em_passes {
    const em_plan *plan;
    const em_protocol_settings *protocol;
    em_forward_batch block; /* its rows are the passes */

    em_fed_row **rows;
    int *pass_of; /* [rows, combinations]: index of the pass, -1: none */
    size_t n_rows, rows_capacity, pass_of_capacity;
    int64_t padded;
    size_t last_pass, last_token; /* the block's rows and tokens, */
    int64_t last_padded;          /* and padded, before the row added last */
};

em_passes *em_passes_new(const em_plan *plan, em_error *err) {
    em_passes *p = em_alloc(1, sizeof *p, "forward passes", err);
    if (!p) return NULL;
    p->plan = plan;
    p->protocol = plan->protocol;
    em_forward_batch_open(&p->block, plan);
    return p;
}

void em_passes_clear(em_passes *p) {
    for (size_t i = 0; i < p->n_rows; i++) em_fed_row_free(p->rows[i]);
    p->n_rows = p->block.n_rows = p->block.n_tokens = 0;
    p->padded = 0;
}

void em_passes_free(em_passes *p) {
    if (!p) return;
    em_passes_clear(p);
    free(p->rows);
    free(p->pass_of);
    em_forward_batch_free(&p->block);
    free(p);
}

int64_t em_passes_padded(const em_passes *p) { return p->padded; }
int em_passes_rows(const em_passes *p) { return (int)p->n_rows; }
const em_fed_row *em_passes_row(const em_passes *p, int row) { return p->rows[row]; }

/* The pass whose intervals and positions were just written behind the last one: an earlier one
 * of this row that is the same, or a new one. */
static int settle_pass(em_passes *p, size_t first_pass, int32_t inputs, const em_row *row) {
    em_forward_batch *b = &p->block;
    size_t at = b->n_tokens, bytes = (size_t)inputs * sizeof *b->lo,
           columns = (size_t)p->protocol->n_labels;
    for (size_t i = first_pass; i < b->n_rows; i++) {
        size_t old = (size_t)b->start[i];
        if (b->length[i] == inputs && !memcmp(b->lo + old, b->lo + at, bytes) &&
            !memcmp(b->hi + old, b->hi + at, bytes) &&
            !memcmp(b->positions + old, b->positions + at, bytes))
            return (int)i;
    }
    memcpy(b->ids + at, row->ids, bytes);
    for (size_t i = 0; i < (size_t)inputs * columns; i++) b->labels[at * columns + i] = -1;
    em_forward_batch_add_row(b, inputs);
    p->padded += em_network_padded(inputs);
    return (int)b->n_rows - 1;
}

static void fill_labels(em_passes *p, int pass, int scheme, const em_fed_row *f) {
    size_t columns = (size_t)p->protocol->n_labels;
    int32_t *labels = p->block.labels + (size_t)p->block.start[pass] * columns;
    em_scored_walk walk = em_fed_row_scored(f, p->protocol, scheme);
    em_scored_position s;
    while (em_scored_next(&walk, &s)) labels[(size_t)s.i * columns + (size_t)scheme] = s.label;
}

bool em_passes_add(em_passes *p, em_fed_row *f, em_error *err) {
    const em_protocol_settings *s = p->protocol;
    em_forward_batch *b = &p->block;
    size_t cells = (p->n_rows + 1) * (size_t)p->plan->n_combinations, first_pass = p->block.n_rows;
    if (!em_grow(&p->rows, &p->rows_capacity, p->n_rows + 1, sizeof *p->rows, "rows", err) ||
        !em_grow(&p->pass_of, &p->pass_of_capacity, cells, sizeof *p->pass_of, "rows", err)) {
        em_fed_row_free(f);
        return false;
    }
    int *pass_of = p->pass_of + p->n_rows * (size_t)p->plan->n_combinations;
    p->last_pass = first_pass;
    p->last_token = b->n_tokens;
    p->last_padded = p->padded;
    p->rows[p->n_rows++] = f;
    for (int c = 0; c < p->plan->n_combinations; c++) {
        em_combination k = p->plan->combinations[c];
        int32_t inputs = f->reading[k.labels].inputs;
        pass_of[c] = -1;
        if (inputs < 1 || f->dropped[k.labels] ||
            f->reading[k.labels].from >= f->reading[k.labels].to)
            continue;
        if (!em_forward_batch_reserve(b, (size_t)inputs, err)) return false;
        em_mask_intervals(&s->masks[k.mask], f->row, inputs, b->lo + b->n_tokens,
                          b->hi + b->n_tokens);
        em_positions_fill(em_positions_resolve(s->positions[k.positions], &s->masks[k.mask]),
                          f->row, inputs, b->positions + b->n_tokens);
        pass_of[c] = settle_pass(p, first_pass, inputs, f->row);
        fill_labels(p, pass_of[c], k.labels, f);
    }
    return true;
}

/* No other row has a share in the row's passes. */
em_fed_row *em_passes_take_last(em_passes *p) {
    p->block.n_rows = p->last_pass;
    p->block.n_tokens = p->last_token;
    p->padded = p->last_padded;
    return p->rows[--p->n_rows];
}

bool em_passes_run(const em_passes *p, em_network *const *networks, em_score_buffers *scores,
                   em_error *err) {
    int64_t capacity = em_forward_batch_capacity(p->plan, networks);
    if (!em_score_buffers_reserve(scores, p->block.n_tokens, err)) return false;
    em_row_range next;
    for (size_t first = 0; first < p->block.n_rows; first += next.n) {
        next = em_forward_batch_cut(&p->block, first, capacity);
        if (!em_forward_batch_run(&p->block, next, networks, scores, err)) return false;
    }
    return true;
}

static int pass_of(const em_passes *p, int row, int combination) {
    return p->pass_of[(size_t)row * (size_t)p->plan->n_combinations + (size_t)combination];
}

em_pass_view em_passes_view(const em_passes *p, int row, int combination) {
    int pass = pass_of(p, row, combination);
    if (pass < 0) return (em_pass_view){0};
    const em_forward_batch *b = &p->block;
    size_t at = (size_t)b->start[pass];
    return (em_pass_view){.inputs = b->length[pass],
                          .lo = b->lo + at,
                          .hi = b->hi + at,
                          .positions = b->positions + at};
}

bool em_passes_same(const em_passes *p, int row, int a, int b) {
    return pass_of(p, row, a) == pass_of(p, row, b);
}

em_side_view em_passes_side(const em_passes *p, const em_score_buffers *scores, int row,
                            em_cell cell) {
    size_t at = (size_t)p->block.start[pass_of(p, row, cell.combination)],
           schemes = (size_t)p->protocol->n_labels;
    size_t scheme = (size_t)p->plan->combinations[cell.combination].labels;
    const em_side *side = &p->plan->sides[cell.side];
    if (side->scored >= 0) {
        const em_side_scores *s = &scores->sides[side->scored];
        return (em_side_view){.nll = s->nll + at * schemes + scheme,
                              .argmax = s->argmax + at,
                              .kl = s->kl ? s->kl + at : NULL,
                              .stride = (int)schemes,
                              .argmax_stride = 1};
    }
    size_t alphas = (size_t)p->plan->n_logit_alphas, a = (size_t)side->alpha;
    return (em_side_view){.nll = scores->alpha_nll + (at * alphas + a) * schemes + scheme,
                          .argmax = scores->alpha_argmax + at * alphas + a,
                          .stride = (int)(alphas * schemes),
                          .argmax_stride = (int)alphas};
}
