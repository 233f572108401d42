/* Everything that is counted of one data set at one row length: statistics of each side under each
 * combination, and the comparisons of the plan's pairs. Rows come in order. */
#ifndef EM_EVAL_TALLY_H
#define EM_EVAL_TALLY_H

#include "eval/score/digest.h"
#include "eval/statistics/sidecar.h"

typedef struct em_tally em_tally;

/* Without rows; the caller frees it. has_common: there are several row lengths. plan outlives the
 * tally. NULL with EM_MACHINE. */
em_tally *em_tally_new(const em_plan *plan, bool has_common, em_error *err);
/* Frees it; NULL may be freed. */
void em_tally_free(em_tally *t);

/* Adds the next row and what it came to. False with EM_MACHINE where memory is out. */
bool em_tally_row(em_tally *t, const em_fed_row *row, const em_digest *digest, em_error *err);
/* Hands documents that no row can add to any more, those below `before`, on to the sidecar (NULL:
 * nowhere). False with EM_MACHINE: memory, or the sidecar's file. */
bool em_tally_settle(em_tally *t, em_sidecar *sidecar, int64_t before, em_error *err);
/* Nats; of the first combination and side, NaN where nothing is counted yet. */
double em_tally_running_loss(const em_tally *t);

/* Saves t, or restores it into a new one of the same plan; when settled, before it is finished.
 * False as em_state says. */
bool em_tally_state(em_tally *t, em_state *io);

/* Closes what is open and fills the figures of results [plan's cells] and comparisons [plan's
 * pairs] (not their names). shortest: the finished tally of the shortest row length, or NULL.
 * group_name(data, i) names a subset. False with EM_MACHINE. */
bool em_tally_finish(em_tally *t, const em_tally *shortest, em_result *results,
                     em_comparison *comparisons,
                     const char *(*group_name)(const void *data, int32_t group), const void *data,
                     em_error *err);

#endif
