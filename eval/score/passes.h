/* A super-batch of rows turned into forward passes. Masks, positions and label schemes that give a
 * row the same inputs, intervals and position ids share one pass, so shared work is done once. */
#ifndef EM_EVAL_PASSES_H
#define EM_EVAL_PASSES_H

#include "eval/score/forward_batch.h"
#include "eval/score/feed.h"

typedef struct em_passes em_passes;

/* Empty, the caller's to free; plan outlives them. NULL: EM_MACHINE, memory is out. */
em_passes *em_passes_new(const em_plan *plan, em_error *err);
void em_passes_free(em_passes *p); /* and its rows; p may be NULL */

/* Takes the row over, also on failure (EM_MACHINE: memory is out), and adds the passes that it asks
 * for. */
bool em_passes_add(em_passes *p, em_fed_row *row, em_error *err);
/* The row added last, which is the caller's again. */
em_fed_row *em_passes_take_last(em_passes *p);
int64_t em_passes_padded(const em_passes *p); /* tokens, in whole tiles, that wait to be run */
int em_passes_rows(const em_passes *p);       /* rows added */
/* The row number `row`, from 0 in the order added; still the passes'. */
const em_fed_row *em_passes_row(const em_passes *p, int row);
void em_passes_clear(em_passes *p); /* frees the rows */

/* Runs all passes through the networks, [plan's models], in as many batches as their capacities ask
 * for, into scores, which make room. Errors: those of the networks, or EM_MACHINE. */
bool em_passes_run(const em_passes *p, em_network *const *networks, em_score_buffers *scores,
                   em_error *err);

/* One row under one combination of the plan. */
typedef struct em_pass_view {
    int32_t inputs;                     /* 0: the scheme has no such row, or it is dropped */
    const int32_t *lo, *hi, *positions; /* [inputs] */
} em_pass_view;

/* It points into the passes, until a row is added. */
em_pass_view em_passes_view(const em_passes *p, int row, int combination);
/* Whether two combinations gave the row the same inputs, intervals and position ids. */
bool em_passes_same(const em_passes *p, int row, int a, int b);

/* A side's scores on that row, where it has inputs. */
typedef struct em_side_view {
    const double *nll;     /* position i's is nll[i * stride] */
    const int32_t *argmax; /* position i's is argmax[i * argmax_stride] */
    const double *kl;      /* [inputs]: KL(side || first model); NULL: not there */
    int stride, argmax_stride;
} em_side_view;

/* The row is under the cell's combination (em_passes_view has inputs); it points into scores. */
em_side_view em_passes_side(const em_passes *p, const em_score_buffers *scores, int row,
                            em_cell cell);

#endif
