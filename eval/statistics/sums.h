/* What one row adds to one result: every sum that the figures of design §4 need, left to right
 * within the row. Made where the row was scored; em_statistics_row adds it up, row after row. */
#ifndef EM_EVAL_SUMS_H
#define EM_EVAL_SUMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"
#include "common/state.h"
#include "eval/protocol/buckets.h"
#include "eval/protocol/leak.h"

/* Over some of the predictions. */
typedef struct em_sum {
    int64_t predictions, correct, text_bytes;
    double nll, text_nll; /* nats */
} em_sum;

/* Those of which every result has the same ones. */
enum em_sum_kind {
    EM_SUM_ALL,
    EM_SUM_INSIDE,                     /* INSIDE: but for boundary predictions */
    EM_SUM_COMMON,                     /* scored at every row length of the run */
    EM_SUM_LEAK,                       /* one for each em_leak, */
    EM_SUM_POSITION = EM_SUM_LEAK + 3, /* and for each bucket of positions */
    EM_SUMS = EM_SUM_POSITION + EM_POSITION_BUCKETS
};

typedef struct em_prediction {
    double nll;    /* nats */
    bool correct;  /* argmax is the label */
    bool boundary; /* the label belongs to another document than the position's own token */
    bool added;    /* the label was put there by packing (BOS, EOS) */
    bool common;   /* scored at every row length of the run */
    em_leak leak;
    uint32_t bytes;          /* of the input text that the label covers */
    int32_t group;           /* of the label's document, as the label itself: */
    int64_t document, place; /* which document, and where in it */
} em_prediction;

/* A document's part in one result: of one row, or of all, handed out when the document is over. */
typedef struct em_document_sum {
    int64_t document, predictions;
    double nll;
} em_document_sum;

typedef struct em_subset_sum {
    int64_t group;
    em_sum sum;
} em_subset_sum;
typedef struct em_document_part {
    em_document_sum sum;
    int64_t subset;
} em_document_part; /* subset: which of the row's */

typedef struct em_row_sums {
    em_sum sums[EM_SUMS];
    em_subset_sum *subsets;      /* [n_subsets], as they come; owned */
    em_document_part *documents; /* [n_documents], in the order of the row; owned */
    size_t n_subsets, n_documents, subsets_capacity, documents_capacity;
} em_row_sums;

void em_row_sums_free(em_row_sums *r);  /* frees and zeroes */
void em_row_sums_clear(em_row_sums *r); /* keeps the memory */
/* Predictions left to right; documents never go back. */
bool em_row_sums_add(em_row_sums *r, const em_prediction *p, em_error *err);
/* Saves r, or restores it into a clear one; what is empty takes no bytes. */
bool em_row_sums_state(em_row_sums *r, em_state *io);

#endif
