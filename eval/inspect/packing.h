/* How a stream is packed, counted row by row in memory that does not grow with the data. */
#ifndef EM_EVAL_PACKING_H
#define EM_EVAL_PACKING_H

#include "eval/score/feed.h"

enum { EM_LENGTH_BUCKETS = 64 };

/* What one label scheme scores. dropped_rows are those of a last, incomplete batch under --tail
 * drop. */
typedef struct em_packing_scheme {
    int64_t rows, tokens;
    int64_t predictions, boundary; /* boundary ones are in both, with --boundary drop too */
    int64_t eos;                   /* labels that count and are an added EOS */
    int64_t batches, dropped_rows, dropped_tokens;
} em_packing_scheme;

typedef struct em_packing {
    int64_t rows, tokens, slots; /* slots: T * rows */
    int64_t last_row_tokens;
    int64_t documents;                  /* with at least one token in the stream */
    int64_t shortest, longest;          /* documents, in tokens of the stream */
    int64_t lengths[EM_LENGTH_BUCKETS]; /* bucket b: 2^b <= tokens < 2^(b+1) */
    int64_t eos_added, eos_in_text, bos_added, bos_in_text;
    int64_t followed,
        followed_with_eos; /* documents that another follows; those of them that EOS ends */
    int32_t least_documents, median_documents, most_documents; /* per row */
    em_packing_scheme schemes[EM_MAX_SCHEMES];
} em_packing;

typedef struct em_packing_counter em_packing_counter;

/* eos, bos: -1 where there is none. protocol: label schemes, window, boundary, pack, tail and
 * batch; they outlive the counter. NULL: EM_MACHINE, memory is out. */
em_packing_counter *em_packing_open(const em_protocol_settings *protocol, int32_t row_tokens,
                                    int32_t eos, int32_t bos, em_error *err);
/* The next row, in their order; it stays the caller's. */
void em_packing_add(em_packing_counter *c, const em_row *row);
/* After the last row: what they come to. */
void em_packing_finish(em_packing_counter *c, em_packing *out);
void em_packing_close(em_packing_counter *c); /* c may be NULL */

#endif
