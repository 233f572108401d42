/* What one result is made of (design §4): the sums of its rows, added in their order; a document's
 * sum is the sum of its per-row parts. Memory is flat but for one sum a subset. */
#ifndef EM_EVAL_STATISTICS_H
#define EM_EVAL_STATISTICS_H

#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"
#include "reports/results/results.h"
#include "common/state.h"
#include "eval/statistics/totals.h"

typedef struct em_statistics em_statistics;

/* Without rows; the caller frees it. groups_are_rows: the standard error is over rows, where a mask
 * lets documents of a row depend on each other; else over documents. NULL with EM_MACHINE. */
em_statistics *em_statistics_new(bool groups_are_rows, em_error *err);
/* Frees it; NULL may be freed. */
void em_statistics_free(em_statistics *s);

/* Adds the next row, which may be without predictions; documents never go back. False with
 * EM_MACHINE where memory is out. */
bool em_statistics_row(em_statistics *s, const em_row_sums *row, em_error *err);
/* The rows since the last call were a batch; one without predictions is none. */
void em_statistics_end_batch(em_statistics *s);

/* Documents that are over and were not taken yet, in order; valid until the next row. No prediction
 * of a document below `before` will come any more. NULL with err where memory is out. */
const em_document_sum *em_statistics_documents(em_statistics *s, int64_t before, size_t *n,
                                               em_error *err);
/* Empties the list that em_statistics_documents gave. */
void em_statistics_documents_taken(em_statistics *s);

/* Nats, the mean over all predictions so far; NaN where there is none. */
double em_statistics_running_loss(const em_statistics *s);

/* Saves s, or restores it into a new one made with the same arguments; between rows, documents that
 * are over taken. False as em_state says. */
bool em_statistics_state(em_statistics *s, em_state *io);

/* Closes what is open and fills the figures of out (not its names and fingerprints).
 * group_name(data, i) names a subset. out owns its lists, also where this fails: false with
 * EM_MACHINE. Nothing is added afterwards. */
bool em_statistics_finish(em_statistics *s, em_result *out,
                          const char *(*group_name)(const void *data, int32_t group),
                          const void *data, em_error *err);

#endif
