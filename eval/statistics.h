/* What one result is made of (design §4). Sums are in double; the row is the unit of summation:
 * left to right within it, rows added in order; a document's sum is the sum of its per-row
 * parts. Memory is flat but for one slice a subset. */
#ifndef EM_EVAL_STATISTICS_H
#define EM_EVAL_STATISTICS_H

#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"
#include "common/result.h"
#include "common/state.h"
#include "eval/leak.h"

typedef struct em_statistics em_statistics;

typedef struct em_prediction {
    double nll;                 /* nats */
    int32_t label;
    bool correct;               /* argmax is the label */
    bool boundary;              /* the label belongs to another document than the position's own token */
    bool added;                 /* the label was put there by packing (BOS, EOS) */
    bool common;                /* scored at every row length of the run */
    em_leak leak;
    uint32_t bytes;             /* of the input text that the label covers */
    int32_t group;              /* of the label's document, as the label itself: */
    int64_t document, place;    /* which document, and where in it */
    int64_t stream;             /* stream index */
} em_prediction;

/* A document's part in one result, handed out when the document is over. */
typedef struct em_document_sum { int64_t document, predictions; double nll; } em_document_sum;

em_statistics *em_statistics_new(bool groups_are_rows, em_error *err);
void em_statistics_free(em_statistics *s);

/* Predictions of one row, left to right, between begin and end; documents never go back. */
bool em_statistics_add(em_statistics *s, const em_prediction *p, em_error *err);
bool em_statistics_end_row(em_statistics *s, em_error *err);
void em_statistics_end_batch(em_statistics *s);

/* Documents that are over and were not taken yet, in order; valid until the next add. No prediction
 * of a document below `before` will come any more. NULL with err where memory is out. */
const em_document_sum *em_statistics_documents(em_statistics *s, int64_t before, size_t *n, em_error *err);
void em_statistics_documents_taken(em_statistics *s);

double em_statistics_running_loss(const em_statistics *s);

/* Saves s, or restores it into a new one made with the same arguments; between rows, documents that are over taken. */
bool em_statistics_state(em_statistics *s, em_state *io);

/* Closes what is open and fills the figures of out (not its names). group_name(data, i) names a subset. */
bool em_statistics_finish(em_statistics *s, em_result *out, const char *(*group_name)(const void *data, int32_t group),
                          const void *data, em_error *err);

#endif
