/* Which positions of a row are scored, and on what: the one rule for all that count predictions,
 * fill in labels or write lines. */
#ifndef EM_EVAL_SCORED_H
#define EM_EVAL_SCORED_H

#include "eval/protocol/labels.h"

typedef enum em_boundary { EM_BOUNDARY_KEEP, EM_BOUNDARY_DROP } em_boundary;

typedef struct em_scored_position {
    int32_t i;                 /* the position, among the row's inputs */
    int32_t at, label;         /* its label's place in the row's window, and the label's id */
    const em_segment *segment; /* the label's; the row's */
    bool boundary;             /* the position's own token is of another segment */
} em_scored_position;

/* Where in its document the label is, in tokens. */
static inline int64_t em_scored_place(const em_scored_position *p) {
    return p->segment->place + (p->at - p->segment->start);
}

/* Over a row's scored positions, left to right. */
typedef struct em_scored_walk {
    const em_row *row;
    int32_t next, to, offset;
    int32_t own, label; /* segments of the next position and of its label */
    bool drop;
    int64_t dropped; /* boundary predictions passed over so far */
} em_scored_walk;

/* reading: what the scheme with this offset makes of the row, which outlives the walk. */
em_scored_walk em_scored_begin(const em_row *row, const em_reading *reading, int offset,
                               em_boundary boundary);
/* The next one into *out; false: there is none. */
bool em_scored_next(em_scored_walk *w, em_scored_position *out);

#endif
