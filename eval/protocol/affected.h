/* Which predictions can a choice of mask or positions affect? (design §2) */
#ifndef EM_EVAL_AFFECTED_H
#define EM_EVAL_AFFECTED_H

#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"

typedef enum em_effect {
    EM_UNAFFECTED = 0,
    EM_AFFECTED_DIRECTLY = 1,
    EM_AFFECTED_INDIRECTLY = 2
} em_effect;

/* What a row looks like under one choice. [inputs] each. */
typedef struct em_view {
    const int32_t *lo, *hi, *positions;
} em_view;

/* How soon the two choices can make a difference at each position of a row. */
typedef struct em_reach {
    int32_t own; /* after so many layers, because its own interval or position id differs;
                    INT32_MAX: never */
    int32_t any; /* or because of what it reads, at the soonest */
} em_reach;

/* windows: [layers], each layer's own window (0: none), which bounds both intervals. learned:
 * positions are added to the embedding, so that they count from layer 0 on. out: [inputs]. O(inputs
 * * layers). False: EM_MACHINE, memory is out. */
bool em_affected_row(const em_view *a, const em_view *b, int32_t inputs, const int32_t *windows,
                     int32_t layers, bool learned, em_reach *out, em_error *err);

/* What that says of a model of so many layers. */
static inline em_effect em_effect_at(const em_reach *r, int32_t layers) {
    return r->own <= layers   ? EM_AFFECTED_DIRECTLY
           : r->any <= layers ? EM_AFFECTED_INDIRECTLY
                              : EM_UNAFFECTED;
}

#endif
