/* Which of the masks of eval/protocol/mask.h is it that somebody else's rows carry? */
#ifndef EM_EVAL_PACKED_MASK_H
#define EM_EVAL_PACKED_MASK_H

#include <stdbool.h>
#include <stdint.h>
#include "eval/protocol/mask.h"
#include "eval/inspect/packed_view.h"

/* A kind, as far as the rows so far tell. */
typedef struct em_mask_candidate {
    bool dead;         /* some row does not fit */
    int32_t parameter; /* 0: no row has settled it, or the kind has none */
    int32_t least;     /* what it must be at least, for the rows that do not settle it */
    bool sees_padding; /* it fits only if documents see the padding at the row's ends */
} em_mask_candidate;

/* Every kind that fits all rows so far, with its parameter. Starts as {.odd_row = -1}. */
typedef struct em_mask_search {
    em_mask_candidate *candidates; /* [kinds], in their order; NULL: no row yet; owned */
    int64_t odd_row;               /* the first row that left no kind alive; -1: none */
    int32_t odd_query, odd_lo,
        odd_hi; /* and its first query without an interval (lo -1), or else not as under doc */
    int32_t *lo, *hi; /* scratch */
    size_t capacities[2];
} em_mask_search;

/* A row whose view has a mask. Only queries that are no padding count. False: EM_MACHINE,
 * memory is out. */
bool em_mask_search_add(em_mask_search *s, const em_packed_view *v, int64_t row, em_error *err);
/* The simplest mask that fits all rows into *out, and whether its documents see padding; false
 * where there is none. */
bool em_mask_search_found(const em_mask_search *s, em_mask *out, bool *sees_padding);
void em_mask_search_free(em_mask_search *s); /* what it holds */

#endif
