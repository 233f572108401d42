/* Rows as networks take them, and the scores that networks give, token after token. */
#ifndef EM_EVAL_BLOCK_H
#define EM_EVAL_BLOCK_H

#include "eval/score/plan.h"

typedef struct em_block {
    const em_plan *plan;
    int64_t *start; /* [n_rows], into the token arrays */
    int32_t *length;
    size_t n_rows, start_capacity, length_capacity;

    int32_t *ids, *positions, *lo, *hi,
        *labels; /* [n_tokens] (labels: [n_tokens, schemes]; -1: none) */
    size_t n_tokens, ids_capacity, positions_capacity, lo_capacity, hi_capacity, labels_capacity;
} em_block;

/* plan outlives the block. */
void em_block_open(em_block *b, const em_plan *plan);
void em_block_free(em_block *b);
/* Room for one more row of so many tokens. */
bool em_block_reserve(em_block *b, size_t tokens, em_error *err);
/* The row that was just written behind the last one is one of the block's. */
void em_block_add_row(em_block *b, int32_t tokens);

typedef struct em_stretch {
    size_t first, n;
} em_stretch; /* rows */

/* Padded tokens that all of the plan's networks take at once. */
int64_t em_block_capacity(const em_plan *plan, em_network *const *networks);
/* The rows from `first` that fit into so many padded tokens; one in any case. */
em_stretch em_block_cut(const em_block *b, size_t first, int64_t padded_tokens);

/* [tokens, schemes], [tokens], and [tokens] where the side is paired with the first model. */
typedef struct em_side_scores {
    double *nll;
    int32_t *argmax;
    double *kl;
    size_t nll_capacity, argmax_capacity, kl_capacity;
} em_side_scores;

/* Scores of a block's tokens; one sheet serves one block after another. */
typedef struct em_sheet {
    const em_plan *plan;
    em_side_scores *sides; /* [plan->n_scored] */
    em_scores *depths;     /* [plan->n_scored]: scratch */
    double *alpha_nll;     /* [tokens, alphas, schemes] */
    int32_t *alpha_argmax; /* [tokens, alphas] */
    size_t alpha_nll_capacity, alpha_argmax_capacity;
} em_sheet;

/* plan outlives the sheet. */
bool em_sheet_open(em_sheet *x, const em_plan *plan, em_error *err);
void em_sheet_free(em_sheet *x);
/* Room for the scores of so many tokens. */
bool em_sheet_reserve(em_sheet *x, size_t tokens, em_error *err);

/* The block's rows through the networks of all the plan's models, onto a sheet that has room for
 * all of it. */
bool em_block_run(const em_block *b, em_stretch rows, em_network *const *networks, em_sheet *x,
                  em_error *err);

#endif
