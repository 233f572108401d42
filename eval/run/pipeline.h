/* Super-batches of rows on their way: one is filled while others are run, and they come back in the
 * order in which they were filled. A process that is alone has one at a time and runs it itself. */
#ifndef EM_EVAL_PIPELINE_H
#define EM_EVAL_PIPELINE_H

#include <signal.h>

#include "eval/cluster/ranks.h"

typedef struct em_pipeline em_pipeline;

typedef struct em_pipeline_options {
    em_tools tools;
    em_ranks *ranks;                   /* who have agreed and started; NULL: this process alone */
    int64_t capacity, job;             /* with ranks: what they agreed on (padded tokens) */
    const volatile sig_atomic_t *stop; /* once not 0, em_pipeline_next fails with EM_INTERRUPTED */
} em_pipeline_options;

/* Super-batches under way at most, the one being filled included: what rank 0 keeps in memory. */
int em_pipeline_depth(int ranks);

/* Everything that the options point to outlives the pipeline. NULL: EM_MACHINE, memory. */
em_pipeline *em_pipeline_open(const em_pipeline_options *options, em_error *err);
/* Where the rows that are added from now on come from; nothing is under way. */
void em_pipeline_origin(em_pipeline *p, const em_origin *origin);
/* Rows are added to it. There is one after em_pipeline_next said 0. */
em_passes *em_pipeline_filling(em_pipeline *p);
/* Whether it holds enough to be run. */
bool em_pipeline_full(const em_pipeline *p);
/* The row added last, taken out again, where with it the super-batch is more than one batch: alone
 * in a batch of its own it would pass all weights once more. NULL: it stays. */
em_fed_row *em_pipeline_take_excess(em_pipeline *p);
/* What is filling is to be run now; where it is empty, nothing is. False: the ranks' error. */
bool em_pipeline_push(em_pipeline *p, em_error *err);
/* 1: *out is the oldest super-batch, its digests made, until em_pipeline_release; 0: none is; -1:
 * err. It waits for the oldest where there is no room for another one, and with `all` in any case.
 */
int em_pipeline_next(em_pipeline *p, bool all, em_job **out, em_error *err);
/* The oldest super-batch was counted: its room is free. */
void em_pipeline_release(em_pipeline *p);
void em_pipeline_drop(em_pipeline *p);  /* nothing is run or comes back any more */
void em_pipeline_close(em_pipeline *p); /* after the ranks' close; p may be NULL */

#endif
