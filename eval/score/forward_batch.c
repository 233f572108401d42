#include "eval/score/forward_batch.h"

#include <stdlib.h>

#include "common/size.h"

static const char what[] = "forward passes";

static size_t schemes(const em_plan *plan) { return (size_t)plan->protocol->n_labels; }

void em_forward_batch_open(em_forward_batch *b, const em_plan *plan) {
    *b = (em_forward_batch){.plan = plan};
}

void em_forward_batch_free(em_forward_batch *b) {
    free(b->start);
    free(b->length);
    free(b->ids);
    free(b->positions);
    free(b->lo);
    free(b->hi);
    free(b->labels);
    *b = (em_forward_batch){0};
}

static bool reserve_tokens(em_forward_batch *b, size_t n, em_error *err) {
    return em_grow(&b->ids, &b->ids_capacity, n, sizeof *b->ids, what, err) &&
           em_grow(&b->positions, &b->positions_capacity, n, sizeof *b->positions, what, err) &&
           em_grow(&b->lo, &b->lo_capacity, n, sizeof *b->lo, what, err) &&
           em_grow(&b->hi, &b->hi_capacity, n, sizeof *b->hi, what, err) &&
           em_grow(&b->labels, &b->labels_capacity, n * schemes(b->plan), sizeof *b->labels, what,
                   err);
}

static bool reserve_rows(em_forward_batch *b, size_t n, em_error *err) {
    return em_grow(&b->start, &b->start_capacity, n, sizeof *b->start, what, err) &&
           em_grow(&b->length, &b->length_capacity, n, sizeof *b->length, what, err);
}

bool em_forward_batch_reserve(em_forward_batch *b, size_t tokens, em_error *err) {
    return reserve_rows(b, b->n_rows + 1, err) && reserve_tokens(b, b->n_tokens + tokens, err);
}

void em_forward_batch_add_row(em_forward_batch *b, int32_t tokens) {
    b->start[b->n_rows] = (int64_t)b->n_tokens;
    b->length[b->n_rows++] = tokens;
    b->n_tokens += (size_t)tokens;
}

int64_t em_forward_batch_capacity(const em_plan *plan, em_network *const *networks) {
    int64_t capacity = em_network_capacity(networks[0]);
    for (int i = 1; i < plan->n_models; i++)
        if (em_network_capacity(networks[i]) < capacity)
            capacity = em_network_capacity(networks[i]);
    return capacity;
}

em_row_range em_forward_batch_cut(const em_forward_batch *b, size_t first, int64_t padded_tokens) {
    int64_t tokens = em_network_padded(b->length[first]);
    size_t n = 1;
    for (; first + n < b->n_rows; n++) {
        tokens += em_network_padded(b->length[first + n]);
        if (tokens > padded_tokens) break;
    }
    return (em_row_range){first, n};
}

/* ---- scores ---- */

bool em_score_buffers_open(em_score_buffers *x, const em_plan *plan, em_error *err) {
    *x = (em_score_buffers){.plan = plan};
    x->sides = em_alloc((size_t)plan->n_scored, sizeof *x->sides, what, err);
    x->depths = em_alloc((size_t)plan->n_scored, sizeof *x->depths, what, err);
    if (x->sides && x->depths) return true;
    em_score_buffers_free(x);
    return false;
}

void em_score_buffers_free(em_score_buffers *x) {
    for (int i = 0; x->sides && i < x->plan->n_scored; i++) {
        free(x->sides[i].nll);
        free(x->sides[i].argmax);
        free(x->sides[i].kl);
    }
    free(x->sides);
    free(x->depths);
    free(x->alpha_nll);
    free(x->alpha_argmax);
    *x = (em_score_buffers){0};
}

static bool paired(const em_plan *plan, int side) { return plan->kl && side > 0; }

bool em_score_buffers_reserve(em_score_buffers *x, size_t n, em_error *err) {
    size_t columns = n * schemes(x->plan), alphas = (size_t)x->plan->n_logit_alphas;
    for (int i = 0; i < x->plan->n_scored; i++) {
        em_side_scores *s = &x->sides[i];
        if (!em_grow(&s->nll, &s->nll_capacity, columns, sizeof *s->nll, what, err) ||
            !em_grow(&s->argmax, &s->argmax_capacity, n, sizeof *s->argmax, what, err) ||
            (paired(x->plan, i) && !em_grow(&s->kl, &s->kl_capacity, n, sizeof *s->kl, what, err)))
            return false;
    }
    return em_grow(&x->alpha_nll, &x->alpha_nll_capacity, columns * alphas, sizeof *x->alpha_nll,
                   what, err) &&
           em_grow(&x->alpha_argmax, &x->alpha_argmax_capacity, n * alphas, sizeof *x->alpha_argmax,
                   what, err);
}

static em_scores scores_of(const em_score_buffers *x, int side) {
    return (em_scores){.nll = x->sides[side].nll, .argmax = x->sides[side].argmax};
}

/* The first model with each of the others; alphas belong to the one pair that there then is. */
static bool run_pairs(em_score_buffers *x, em_network *const *networks, const em_row_batch *batch,
                      const em_score_request *labels, em_error *err) {
    em_pair_request request = {
        .labels = *labels, .n_alphas = x->plan->n_logit_alphas, .alphas = x->plan->alphas->values};
    for (int i = 0; i < x->plan->n_models; i++)
        if (!em_network_forward(networks[i], batch, err)) return false;
    for (int i = 1; i < x->plan->n_models; i++) {
        em_pair_scores scores = {.before = scores_of(x, 0),
                                 .after = scores_of(x, i),
                                 .alpha_nll = x->alpha_nll,
                                 .alpha_argmax = x->alpha_argmax,
                                 .kl = x->sides[i].kl};
        if (!em_network_head_pair(networks[0], networks[i], batch, &request, &scores, err))
            return false;
    }
    return true;
}

bool em_forward_batch_run(const em_forward_batch *b, em_row_range rows, em_network *const *networks,
                          em_score_buffers *x, em_error *err) {
    em_row_batch batch = {.n_rows = (int)rows.n,
                          .start = b->start + rows.first,
                          .length = b->length + rows.first,
                          .ids = b->ids,
                          .positions = b->positions,
                          .lo = b->lo,
                          .hi = b->hi};
    em_score_request request = {.n_labels = b->plan->protocol->n_labels, .labels = b->labels};
    if (b->plan->kl) return run_pairs(x, networks, &batch, &request, err);
    for (int i = 0; i < b->plan->n_scored; i++) x->depths[i] = scores_of(x, i);
    for (int i = 0; i < b->plan->n_models; i++) {
        const em_model_facts *m = &b->plan->models[i];
        if (!em_network_score_depths(networks[i], &batch, &request, m->depths, m->n_scored,
                                     x->depths + m->first_scored, err))
            return false;
    }
    return true;
}
