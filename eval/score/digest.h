/* What a row comes to: its sums for every result and comparison of the plan, and its lines for
 * --tokens. It depends on the row and its scores alone, so whoever scored the row makes it, and
 * only it goes on to be counted (eval/run/tally.h). */
#ifndef EM_EVAL_DIGEST_H
#define EM_EVAL_DIGEST_H

#include "common/state.h"
#include "eval/statistics/paired.h"
#include "eval/score/passes.h"
#include "eval/score/scored_positions.h"
#include "eval/statistics/sums.h"
#include "eval/score/tokens_file.h"

typedef struct em_digest {
    const em_plan *plan;
    em_row_sums
        *cells; /* [plan's cells]; without predictions where its scheme has none in the row */
    em_row_paired *pairs; /* [plan's pairs], likewise */
    em_buffer lines;
    em_scored_positions scored; /* the rest is scratch */
    uint8_t *leaks;             /* [sides without alphas, inputs] */
    em_reach *reach;            /* [models, inputs] */
    size_t leaks_capacity, reach_capacity;
} em_digest;

/* The caller's to free; plan outlives it; one serves one row after another. NULL: EM_MACHINE,
 * memory is out. */
em_digest *em_digest_new(const em_plan *plan, em_error *err);
void em_digest_free(em_digest *d); /* d may be NULL */

typedef struct em_digest_source {
    const em_passes *passes;
    const em_score_buffers *scores;
    const em_common_predictions *common; /* NULL where there is one row length */
    const em_tokens_source *tokens;      /* NULL: no lines are asked for */
} em_digest_source;

/* Of row `row` of the passes, which have been run, into *d, whatever it held. EM_MACHINE where
 * memory is out. */
bool em_digest_make(em_digest *d, const em_digest_source *source, int row, em_error *err);
/* Saves d, or restores it, whatever it held; what does not hold together is io's error. */
bool em_digest_state(em_digest *d, em_state *io);

#endif
