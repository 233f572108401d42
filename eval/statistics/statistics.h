/* What one result is made of (design §4): the sums of its rows, added in their order; a document's
 * sum is the sum of its per-row parts. Memory is flat but for one sum a subset. */
#ifndef EM_EVAL_STATISTICS_H
#define EM_EVAL_STATISTICS_H

#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"
#include "reports/results/results.h"
#include "common/state.h"
#include "eval/statistics/sums.h"

typedef struct em_statistics em_statistics;

em_statistics *em_statistics_new(bool groups_are_rows, em_error *err);
void em_statistics_free(em_statistics *s);

/* The next row, which may be without predictions; documents never go back. */
bool em_statistics_row(em_statistics *s, const em_row_sums *row, em_error *err);
void em_statistics_end_batch(em_statistics *s);

/* Documents that are over and were not taken yet, in order; valid until the next row. No prediction
 * of a document below `before` will come any more. NULL with err where memory is out. */
const em_document_sum *em_statistics_documents(em_statistics *s, int64_t before, size_t *n,
                                               em_error *err);
void em_statistics_documents_taken(em_statistics *s);

double em_statistics_running_loss(const em_statistics *s);

/* Saves s, or restores it into a new one made with the same arguments; between rows, documents that
 * are over taken. */
bool em_statistics_state(em_statistics *s, em_state *io);

/* Closes what is open and fills the figures of out (not its names and fingerprints).
 * group_name(data, i) names a subset. */
bool em_statistics_finish(em_statistics *s, em_result *out,
                          const char *(*group_name)(const void *data, int32_t group),
                          const void *data, em_error *err);

#endif
