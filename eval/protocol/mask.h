/* Masks as intervals: for every query position of a row one half-open interval [lo, hi) of key
 * positions (design §2). O(T) memory, never a T x T matrix. FlashMask (arXiv 2410.01359) is the
 * published relative. */
#ifndef EM_EVAL_MASK_H
#define EM_EVAL_MASK_H

#include <stdbool.h>
#include <stdint.h>
#include "common/buffer.h"
#include "common/error.h"
#include "loader/pack.h"

typedef struct em_interval {
    int32_t lo, hi; /* [lo, hi) */
} em_interval;

/* Intervals that a row carries and whose mask is not known: those of the queries [from, to) that
 * are no padding. */
typedef struct em_found_intervals {
    const em_row *row;      /* tokens and segments */
    int32_t from, to;       /* not empty */
    const int32_t *lo, *hi; /* [tokens] */
    const uint8_t *padding; /* [tokens] */
} em_found_intervals;

/* A row of the table in mask.c. Two may share a name, with a parameter and without. */
typedef struct em_mask_kind {
    const char *name;
    char parameter;      /* its letter in lists; 0: the mask has none */
    bool by_document;    /* a query never sees another document */
    const char *formula; /* for people: of query i of n in the segment [s, e), p: the parameter */
    const char *words;   /* one line for people */
    em_interval (*interval)(int64_t i, int64_t n, int64_t s, int64_t e, int64_t p);
    /* The parameter, at least 1, with which the mask could give such a row: where the parameter
     * makes a difference there the only one, else one that is large enough. NULL: there is none. */
    int32_t (*infer)(const em_found_intervals *row);
} em_mask_kind;

typedef struct em_mask {
    const em_mask_kind *kind;
    int32_t parameter; /* 0 where the kind has none */
    char name[32];     /* as it stands in reports: "window:256" */
} em_mask;

/* All kinds, [*n], the simpler ones first; static. */
const em_mask_kind *em_mask_kinds(int *n);
/* parameter: at least 1 where the kind has one, else 0. */
em_mask em_mask_make(const em_mask_kind *kind, int32_t parameter);
/* "doc", "window:256" … into *out; EM_USAGE, with the list where there is no such mask. */
bool em_mask_parse(const char *text, em_mask *out, em_error *err);
/* Appends "regular, doc, window:W, …"; ends the program where memory is out. */
void em_mask_list(em_buffer *out);
/* Whether no query sees another document. */
bool em_mask_by_document(const em_mask *m);

/* The intervals of the row's first `inputs` tokens, lo and hi: [inputs]; lo >= hi where a query
 * sees nothing. A segment ends at the last of the inputs. */
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
/* Never AUTO: that is reset under the doc… masks, else continuous. */
em_positions em_positions_resolve(em_positions p, const em_mask *m);
/* Position ids of the row's first `inputs` tokens, out: [inputs]; reset counts from the segment's
 * start. resolved: not AUTO. */
void em_positions_fill(em_positions resolved, const em_row *row, int32_t inputs, int32_t *out);

#endif
