/* One row that somebody else packed: a line of JSON with token ids and, where present, labels,
 * positions and a mask. Scanned once and strictly; other keys are skipped. Of a T x T mask only the
 * interval that each query sees is kept, so that memory is O(T). */
#ifndef EM_LOADER_PACKED_ROW_H
#define EM_LOADER_PACKED_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"

enum { EM_LABEL_IGNORED = -100 }; /* torch.nn.CrossEntropyLoss's ignore_index */

typedef struct em_ints {
    int32_t *v; /* [n], owned */
    size_t n, capacity;
    bool given; /* the row has the field (null: it has not) */
} em_ints;

/* Every field but cu has as many entries as ids. Reused from row to row; starts as {0}. */
typedef struct em_packed_row {
    size_t batch;      /* rows of the line: more than 1 only where its fields are arrays of rows */
    int32_t tokens;    /* T, at least 1 */
    em_ints ids;       /* input_ids */
    em_ints labels;    /* EM_LABEL_IGNORED where none counts */
    em_ints positions; /* position_ids */
    em_ints
        mask; /* attention_mask of one dimension: 0 and 1, or the number of each token's document */
    em_ints lo, hi; /* attention_mask of two: query i sees keys [lo, hi); 0, 0 where none, -1, -1
                       where those that it sees are no interval */
    em_ints cu;     /* cu_seqlens or cu_seq_lens_q: from 0, never descending, T at most */
} em_packed_row;

#define EM_PACKED_TOKENS_MAX ((size_t)1 << 24)

/* Frees what r owns and makes it {0}, not r itself. */
void em_packed_row_free(em_packed_row *r);

/* Row `index`, from 0, of a line without its newline that is not blank. A line is one row, or a
 * batch as a collator makes it: input_ids is an array of arrays, and every other field that is read
 * has as many elements (cu_seqlens of a batch of one may be flat). out->batch says how many rows
 * there are; index must be less. On failure (EM_INPUT, EM_MACHINE) err->byte is the offset within
 * the line, and *out is not to be used but may be freed or given to the next call. */
bool em_packed_row_parse(const char *line, size_t n, size_t index, em_packed_row *out,
                         em_error *err);

#endif
