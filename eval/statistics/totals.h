/* The sums of a run's rows, added in their order, for a side or a pair: by kind, by subset and by
 * document, each with what says how sure its mean is (common/grouped.h). A document's sum is the
 * sum of its per-row parts (design §4). Memory is flat but for one total a subset. */
#ifndef EM_EVAL_TOTALS_H
#define EM_EVAL_TOTALS_H

#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"
#include "common/grouped.h"
#include "common/state.h"
#include "eval/statistics/sums.h"
#include "reports/results/results.h"

/* Over one kind of predictions, or one subset's. */
typedef struct em_total {
    em_sum sum;
    int64_t documents; /* that hold some of the predictions */
    struct {
        int64_t predictions;
        double value;
    } open; /* the open document's part */
    em_grouped groups;
} em_total;

/* A document that is over. */
typedef struct em_document_sum {
    int64_t document, predictions;
    double nll; /* a side's; a pair's: the difference */
} em_document_sum;

typedef struct em_totals {
    bool groups_are_rows; /* else documents */
    em_total kinds[EM_SUMS];
    em_total *subsets; /* [n_subsets] by the loader's group index; owned */
    size_t n_subsets, subsets_capacity;
    int64_t document;      /* the open one; -1: none */
    int64_t subset;        /* its subset */
    em_document_sum *over; /* [n_over] documents that are over, in order, until the owner empties
                              the list; owned */
    size_t n_over, over_capacity;
} em_totals;

/* An empty one is opened with this and freed with em_totals_free. */
void em_totals_init(em_totals *t, bool groups_are_rows);
/* Frees what the totals hold, not *t. */
void em_totals_free(em_totals *t);

/* Adds the next row, which may be without predictions; documents never go back. False with
 * EM_MACHINE where memory is out. */
bool em_totals_row(em_totals *t, const em_row_sums *row, em_error *err);
/* The open document is over, if there is one; errors likewise. */
bool em_totals_close(em_totals *t, em_error *err);

/* Saves t, or restores it into one that was opened alike and has no row; between rows, with an
 * empty list of documents that are over. */
bool em_totals_state(em_totals *t, em_state *io);

/* The figures of a result's or a comparison's slice. */
void em_total_slice(const em_total *t, em_slice *out);
/* Every subset with predictions, by name, and every bucket of positions with any: lists for the
 * caller to free. group_name(data, i) names a subset. False with EM_MACHINE. */
bool em_totals_subsets(const em_totals *t, const char *(*group_name)(const void *, int32_t),
                       const void *data, em_slice **out, int *n, em_error *err);
bool em_totals_positions(const em_totals *t, em_slice **out, int *n, em_error *err);

#endif
