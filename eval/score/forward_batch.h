/* Rows for forward passes, as networks take them, and the buffers of the scores that networks give.
 */
#ifndef EM_EVAL_FORWARD_BATCH_H
#define EM_EVAL_FORWARD_BATCH_H

#include "eval/score/plan.h"

typedef struct em_forward_batch {
    const em_plan *plan;
    int64_t *start; /* [n_rows], into the token arrays */
    int32_t *length;
    size_t n_rows, start_capacity, length_capacity;

    int32_t *ids, *positions, *lo, *hi,
        *labels; /* [n_tokens] (labels: [n_tokens, schemes]; -1: none) */
    size_t n_tokens, ids_capacity, positions_capacity, lo_capacity, hi_capacity, labels_capacity;
} em_forward_batch;

/* Empty. plan outlives it. */
void em_forward_batch_open(em_forward_batch *b, const em_plan *plan);
void em_forward_batch_free(em_forward_batch *b); /* what it holds; b itself is the caller's */
/* Room for one more row of so many tokens, behind the last one. EM_MACHINE where memory is out. */
bool em_forward_batch_reserve(em_forward_batch *b, size_t tokens, em_error *err);
/* Takes the row that was written behind the last one, of so many tokens, into the batch. */
void em_forward_batch_add_row(em_forward_batch *b, int32_t tokens);

typedef struct em_row_range {
    size_t first, n;
} em_row_range; /* rows */

/* Padded tokens that all of the plan's networks, [n_models], take at once. */
int64_t em_forward_batch_capacity(const em_plan *plan, em_network *const *networks);
/* The rows from `first` on that fit into so many padded tokens; one in any case. */
em_row_range em_forward_batch_cut(const em_forward_batch *b, size_t first, int64_t padded_tokens);

/* [tokens, schemes], [tokens], and [tokens] where the side is paired with the first model. */
typedef struct em_side_scores {
    double *nll;
    int32_t *argmax;
    double *kl;
    size_t nll_capacity, argmax_capacity, kl_capacity;
} em_side_scores;

/* Scores of a batch's tokens; they serve one batch after another. */
typedef struct em_score_buffers {
    const em_plan *plan;
    em_side_scores *sides; /* [plan->n_scored] */
    em_scores *depths;     /* [plan->n_scored]: scratch */
    double *alpha_nll;     /* [tokens, alphas, schemes] */
    int32_t *alpha_argmax; /* [tokens, alphas] */
    size_t alpha_nll_capacity, alpha_argmax_capacity;
} em_score_buffers;

/* Empty; plan outlives them. EM_MACHINE where memory is out, here and below. */
bool em_score_buffers_open(em_score_buffers *x, const em_plan *plan, em_error *err);
/* Frees what the buffers hold, not *x. */
void em_score_buffers_free(em_score_buffers *x);
/* Room for the scores of so many tokens. */
bool em_score_buffers_reserve(em_score_buffers *x, size_t tokens, em_error *err);

/* These rows of the batch through the networks, [n_models], of all the plan's models, into buffers
 * that have room for the whole batch. Errors: those of the networks. */
bool em_forward_batch_run(const em_forward_batch *b, em_row_range rows, em_network *const *networks,
                          em_score_buffers *x, em_error *err);

#endif
