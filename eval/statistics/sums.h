/* What one row adds to one result or to one comparison: sums over some of its predictions, left to
 * right within the row. One shape serves both: a side's values are NLLs, a pair's the differences
 * after minus before (paired.h). Made where the row was scored; em_totals_row adds it up, row after
 * row. */
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
    int64_t predictions;
    int64_t hits;             /* a side's: argmax is the label; a pair's: after is better */
    int64_t text_bytes;       /* of the input text that the text tokens cover; pairs: 0 */
    double value, text_value; /* nats; text_value: of text tokens alone; pairs: 0 */
} em_sum;

/* Which predictions a sum is over, where every row has the same ones. */
enum em_sum_kind {
    EM_SUM_ALL,
    EM_SUM_INSIDE,                     /* but for boundary predictions */
    EM_SUM_BOUNDARY,                   /* pairs */
    EM_SUM_AFFECTED,                   /* pairs: by the choice of masks, directly or not */
    EM_SUM_COMMON,                     /* scored at every row length of the run */
    EM_SUM_LEAK,                       /* a side's: one for each em_leak, */
    EM_SUM_POSITION = EM_SUM_LEAK + 3, /* and for each bucket of positions */
    EM_SUMS = EM_SUM_POSITION + EM_POSITION_BUCKETS
};

/* A set of kinds, kind k as bit k. */
typedef uint64_t em_sum_kinds;
#define EM_SUM_BIT(kind) ((em_sum_kinds)1 << (kind))

/* One prediction as the sums take it. */
typedef struct em_addend {
    double value; /* nats: a side's NLL, a pair's difference */
    bool hit;
    bool text;          /* it counts in text_value and text_bytes, too */
    uint32_t bytes;     /* of the input text that the label covers */
    em_sum_kinds kinds; /* EM_SUM_ALL among them */
    int32_t group;      /* of the label's document, and which document that is */
    int64_t document;
} em_addend;

/* One prediction of one side. */
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

typedef struct em_subset_sum {
    int64_t group;
    em_sum sum;
} em_subset_sum;

/* A document in a row. */
typedef struct em_document_part {
    int64_t document;
    int64_t subset; /* which of the row's */
} em_document_part;

/* What a document of a row has of one kind. */
typedef struct em_piece {
    int64_t document; /* which of the row's */
    int64_t kind;     /* em_sum_kind; EM_SUM_ALL is always there */
    int64_t predictions;
    double value; /* nats */
} em_piece;

typedef struct em_row_sums {
    em_sum sums[EM_SUMS];
    em_subset_sum *subsets;      /* [n_subsets], as they come; owned, as the others */
    em_document_part *documents; /* [n_documents], in the order of the row */
    em_piece *pieces;            /* [n_pieces], document by document, each kind once */
    size_t n_subsets, n_documents, n_pieces;
    size_t subsets_capacity, documents_capacity, pieces_capacity;
    int32_t open[EM_SUMS]; /* while adding: the last document's piece of each kind, or -1 */
} em_row_sums;

/* Frees what r holds and zeroes it; a zeroed one is empty. */
void em_row_sums_free(em_row_sums *r);
/* Empties r and keeps its memory. */
void em_row_sums_clear(em_row_sums *r);
/* Adds the next prediction, left to right; documents never go back. False with EM_MACHINE where
 * memory is out. */
bool em_row_sums_put(em_row_sums *r, const em_addend *x, em_error *err);
/* The same for a prediction of one side. */
bool em_row_sums_add(em_row_sums *r, const em_prediction *p, em_error *err);
/* Saves r, or restores it into an empty one, to be read and not added to; what is empty takes no
 * bytes. False as em_state says. */
bool em_row_sums_state(em_row_sums *r, em_state *io);

#endif
