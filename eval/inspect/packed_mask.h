/* Which of the masks of eval/mask.h is it that somebody else's rows carry? */
#ifndef EM_EVAL_PACKED_MASK_H
#define EM_EVAL_PACKED_MASK_H

#include <stdbool.h>
#include <stdint.h>
#include "eval/protocol/mask.h"
#include "eval/inspect/packed_view.h"

/* Every kind that fits all rows so far, with its parameter. Starts as {.odd_row = -1}. */
typedef struct em_mask_search {
    bool dead[EM_MASK_KINDS];
    int32_t parameter[EM_MASK_KINDS]; /* 0: no row has settled it, or it has none */
    int32_t
        least[EM_MASK_KINDS]; /* what a window must be at least, for rows that do not settle it */
    bool sees_padding[EM_MASK_KINDS]; /* it fits only if documents see the padding at the row's ends
                                       */
    int64_t odd_row;                  /* the first row that left no kind alive; -1: none */
    int32_t odd_query, odd_lo,
        odd_hi; /* and its first query without an interval (lo -1), or else not as under doc */
    int32_t *lo, *hi; /* scratch */
    size_t capacities[2];
} em_mask_search;

/* A row whose view has a mask. Only queries that are no padding count. */
bool em_mask_search_add(em_mask_search *s, const em_packed_view *v, int64_t row, em_error *err);
/* The simplest mask that fits all rows; false where there is none. */
bool em_mask_search_found(const em_mask_search *s, em_mask *out, bool *sees_padding);
void em_mask_search_free(em_mask_search *s);

#endif
