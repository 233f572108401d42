/* Masks as intervals: for every query position of a row one half-open interval [lo, hi) of key
 * positions (design §2). O(T) memory, never a T x T matrix. FlashMask (arXiv 2410.01359) is the
 * published relative. */
#ifndef EM_EVAL_MASK_H
#define EM_EVAL_MASK_H

#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"
#include "loader/pack.h"

typedef enum em_mask_kind {
    EM_MASK_REGULAR,
    EM_MASK_DOC,
    EM_MASK_WINDOW,
    EM_MASK_DOC_WINDOW,
    EM_MASK_PREFIX,
    EM_MASK_FULL,
    EM_MASK_DOC_FULL,
    EM_MASK_BACKWARD,
    EM_MASK_DOC_BACKWARD,
    EM_MASK_FLIP0,
    EM_MASK_KINDS
} em_mask_kind;

typedef struct em_mask {
    em_mask_kind kind;
    int32_t parameter; /* W, N or M; 0 where the mask has none */
    char name[32];     /* as it stands in reports: "window:256" */
} em_mask;

/* "doc", "window:256" … An unknown one is refused (EM_USAGE) with the list. */
bool em_mask_parse(const char *text, em_mask *out, em_error *err);
void em_mask_name(em_mask *m);              /* fills name by kind and parameter */
const char *em_mask_list(void);             /* "regular, doc, window:W, …" */
const char *em_mask_words(em_mask_kind k);  /* one line for people */
bool em_mask_by_document(const em_mask *m); /* a query never sees another document */

/* The intervals of the row's first `inputs` tokens; lo >= hi where a query sees nothing. */
void em_mask_intervals(const em_mask *m, const em_row *row, int32_t inputs, int32_t *lo,
                       int32_t *hi);

/* A model's own window bounds the distance on both sides: [i+1-window, i+window). 0: none. */
static inline void em_mask_clip(int32_t i, int32_t window, int32_t *lo, int32_t *hi) {
    if (window <= 0) return;
    if (*lo < i + 1 - window) *lo = i + 1 - window;
    if (*hi - window > i) *hi = i + window;
}

typedef enum em_positions {
    EM_POSITIONS_AUTO,
    EM_POSITIONS_CONTINUOUS,
    EM_POSITIONS_RESET
} em_positions;
/* auto: reset under the doc… masks, else continuous. */
em_positions em_positions_resolve(em_positions p, const em_mask *m);
/* Position ids of the row's first `inputs` tokens; reset counts from the segment's start. */
void em_positions_fill(em_positions resolved, const em_row *row, int32_t inputs, int32_t *out);

#endif
