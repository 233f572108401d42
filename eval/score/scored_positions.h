/* A row's scored positions under one label scheme, as a list: the same for every side and mask. */
#ifndef EM_EVAL_SCORED_POSITIONS_H
#define EM_EVAL_SCORED_POSITIONS_H

#include "eval/score/common_predictions.h"

typedef struct em_scored_positions {
    em_scored_position *list; /* [n], left to right; owned */
    bool *common;             /* [n]: scored at every row length; owned */
    size_t n, capacity, common_capacity;
} em_scored_positions;

/* Into *s, which starts as {0} and serves one row after another: none where the scheme has no such
 * row, or it is dropped. common: NULL where there is one row length. They point into the row.
 * EM_MACHINE where memory is out. */
bool em_scored_positions_find(em_scored_positions *s, const em_protocol_settings *protocol,
                              const em_common_predictions *common, const em_fed_row *f, int scheme,
                              em_error *err);
/* Frees what it holds, not *s. */
void em_scored_positions_free(em_scored_positions *s);

#endif
