/* What one row adds to one comparison, each sum left to right within the row; differences are after
 * minus before, in nats. Made where the row was scored; em_comparator_row adds it up, row after
 * row. */
#ifndef EM_EVAL_PAIRED_H
#define EM_EVAL_PAIRED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"
#include "common/state.h"
#include "eval/protocol/affected.h"
#include "eval/protocol/buckets.h"

/* Bin 1 + b of the histogram of KL spans [2^(-40 + 48 b / 4096), 2^(-40 + 48 (b + 1) / 4096)); 0 is
 * what lies under them, the last one what lies over them. */
enum { EM_KL_STEPS = 4096, EM_KL_BINS = EM_KL_STEPS + 2 };

typedef struct em_gap {
    int64_t predictions;
    double sum;
} em_gap; /* differences over some of the predictions */

/* Those of which every comparison has the same ones. */
enum em_gap_kind {
    EM_GAP_ALL,
    EM_GAP_AFFECTED, /* by the choice of masks, directly or not */
    EM_GAP_COMMON,   /* scored at every row length of the run */
    EM_GAP_BOUNDARY,
    EM_GAP_INSIDE,
    EM_GAP_POSITION, /* one for each bucket of positions */
    EM_GAPS = EM_GAP_POSITION + EM_POSITION_BUCKETS
};

typedef struct em_paired {
    double before, after; /* nats */
    bool same_top1;       /* both sides' largest logit has the same id */
    bool has_kl;
    double kl; /* KL(after || before) at this position, nats */
    bool boundary;
    bool common;      /* scored at every row length, */
    int64_t stretch;  /* then: which group of those the label belongs to */
    em_effect effect; /* EM_COMPARE_MASKS */
    int32_t group;    /* of the label's document, the document and the place in it */
    int64_t document, place;
} em_paired;

typedef struct em_gap_subset {
    int64_t group;
    em_gap gap;
} em_gap_subset;
typedef struct em_gap_stretch {
    int64_t stretch;
    em_gap gap;
} em_gap_stretch; /* common ones */
typedef struct em_gap_document {
    int64_t document, subset, common;
    em_gap all, affected;
} em_gap_document; /* subset: which of the row's */

/* Counts of predictions, and sums of the change of the label's probability and of its square. */
typedef struct em_row_counts {
    int64_t better, same_top1, direct, indirect, common_affected;
    double change, change_squares;
} em_row_counts;

typedef struct em_row_kl {
    double sum, max;
} em_row_kl;

typedef struct em_row_paired {
    em_gap gaps[EM_GAPS];
    em_row_counts counts;
    em_row_kl kl;
    uint16_t *kl_bins;          /* [n_kl]: of each prediction that has one; owned, as the others */
    em_gap_subset *subsets;     /* [n_subsets], as they come */
    em_gap_document *documents; /* [n_documents], in the order of the row */
    em_gap_stretch *stretches;  /* [n_stretches], likewise */
    size_t n_kl, n_subsets, n_documents, n_stretches;
    size_t kl_capacity, subsets_capacity, documents_capacity, stretches_capacity;
} em_row_paired;

void em_row_paired_free(em_row_paired *r);  /* frees and zeroes */
void em_row_paired_clear(em_row_paired *r); /* keeps the memory */
/* Predictions left to right; documents and stretches never go back. */
bool em_row_paired_add(em_row_paired *r, const em_paired *p, em_error *err);
/* Saves r, or restores it into a clear one; what is empty takes no bytes. */
bool em_row_paired_state(em_row_paired *r, em_state *io);

#endif
