/* What a row that somebody else packed says about itself: its documents, its padding and the mask
 * that the file gives, as intervals. */
#ifndef EM_EVAL_PACKED_VIEW_H
#define EM_EVAL_PACKED_VIEW_H

#include <stdbool.h>
#include <stdint.h>
#include "loader/pack.h"
#include "loader/packed_row.h"

typedef struct em_packed_ids {
    int32_t eos, bos, pad;
} em_packed_ids; /* -1: none, or not known */

/* What tells where a row's documents begin; the first of these that the row has. */
typedef enum em_packed_told {
    EM_TOLD_BY_CU,        /* cu_seqlens */
    EM_TOLD_BY_NUMBERS,   /* attention_mask holds the documents' numbers */
    EM_TOLD_BY_POSITIONS, /* position_ids that restart */
    EM_TOLD_BY_BLOCKS,    /* the blocks of a T x T mask that is causal within each */
    EM_TOLD_BY_TOKENS,    /* nothing but EOS, and BOS where it is another token */
    EM_TOLD_KINDS
} em_packed_told;

typedef enum em_packed_form { /* of the mask */
                              EM_FORM_NONE,
                              EM_FORM_BINARY,
                              EM_FORM_CU,
                              EM_FORM_NUMBERS,
                              EM_FORM_MATRIX,
                              EM_FORM_KINDS
} em_packed_form;

enum {
    EM_PADDING_TOLD = 1,
    EM_PADDING_BY_TOKEN = 2
}; /* the mask leaves it out; its token says so */

typedef struct em_packed_view { /* reused from row to row; starts as {0} */
    em_packed_told told;
    em_packed_form form;
    em_row shape;     /* tokens and segments only; .document -1: a segment of padding */
    int32_t from, to; /* without the padding at either end; from = to: nothing but padding */
    uint8_t *padding; /* [T] */
    int32_t *lo,
        *hi; /* [T] the mask; undefined where form is EM_FORM_NONE; -1: see em_packed_row */
    size_t capacities[4];
} em_packed_view;

/* Of one row, into *v, whatever it held; it points to nothing of the row. False: EM_MACHINE, memory
 * is out. */
bool em_packed_view_make(em_packed_view *v, const em_packed_row *row, const em_packed_ids *ids,
                         em_error *err);
void em_packed_view_free(em_packed_view *v); /* what it holds */

/* Of a segment of a view's shape. */
static inline bool em_packed_is_padding(const em_segment *g) { return g->document < 0; }

#endif
