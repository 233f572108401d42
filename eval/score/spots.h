/* The positions of a row that a label scheme scores: the same for every side and mask. */
#ifndef EM_EVAL_SPOTS_H
#define EM_EVAL_SPOTS_H

#include "eval/score/everywhere.h"

typedef struct em_spot {
    int32_t i;                 /* the position, */
    int32_t at, label;         /* its label's place in the window, and the label */
    const em_segment *segment; /* the label's */
    bool boundary, common;
} em_spot;

typedef struct em_spots {
    em_spot *list; /* [n], left to right; owned */
    size_t n, capacity;
} em_spots;

/* everywhere: NULL where there is one row length. The spots point into the row. */
bool em_spots_find(em_spots *s, const em_settings *settings, const em_everywhere *everywhere,
                   const em_fed_row *f, int scheme, em_error *err);
void em_spots_free(em_spots *s);

/* Where in its document the label is. */
static inline int64_t em_spot_place(const em_spot *s) {
    return s->segment->place + (s->at - s->segment->start);
}

#endif
