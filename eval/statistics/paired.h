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
#include "eval/statistics/sums.h"

/* Bin 1 + b of the histogram of KL spans [2^(-40 + 48 b / 4096), 2^(-40 + 48 (b + 1) / 4096)); 0 is
 * what lies under them, the last one what lies over them. */
enum { EM_KL_STEPS = 4096, EM_KL_BINS = EM_KL_STEPS + 2 };

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

/* Differences of common predictions in one stretch. */
typedef struct em_stretch_sum {
    int64_t stretch, predictions;
    double value; /* nats */
} em_stretch_sum;

/* Counts of predictions, and sums of the change of the label's probability and of its square. */
typedef struct em_row_counts {
    int64_t same_top1, direct, indirect, common_affected;
    double change, change_squares;
} em_row_counts;

typedef struct em_row_kl {
    double sum, max;
} em_row_kl;

typedef struct em_row_paired {
    em_row_sums sums; /* of the differences */
    em_row_counts counts;
    em_row_kl kl;
    uint16_t *kl_bins;         /* [n_kl]: of each prediction that has one; owned, as stretches */
    em_stretch_sum *stretches; /* [n_stretches], in the order of the row */
    size_t n_kl, n_stretches;
    size_t kl_capacity, stretches_capacity;
} em_row_paired;

/* Frees what r holds and zeroes it. */
void em_row_paired_free(em_row_paired *r);
/* Empties r and keeps its memory; a zeroed one is cleared before its first use. */
void em_row_paired_clear(em_row_paired *r);
/* Adds the next prediction, left to right; documents and stretches never go back. False with
 * EM_MACHINE where memory is out. */
bool em_row_paired_add(em_row_paired *r, const em_paired *p, em_error *err);
/* Saves r, or restores it into a clear one, to be read and not added to; what is empty takes no
 * bytes. False as em_state says. */
bool em_row_paired_state(em_row_paired *r, em_state *io);

#endif
