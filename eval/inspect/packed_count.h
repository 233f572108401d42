/* Rows that somebody else packed, counted one by one in memory that grows with the longest row
 * only. */
#ifndef EM_EVAL_PACKED_COUNT_H
#define EM_EVAL_PACKED_COUNT_H

#include "eval/inspect/packed_mask.h"
#include "eval/inspect/packed_view.h"

typedef struct em_packed_place {
    int64_t row;
    int32_t index;
} em_packed_place; /* from 0; row -1: nowhere */

/* Labels read as one of two schemes: label i is token i, or token i + 1. */
typedef struct em_packed_labels {
    int64_t others; /* labels that count and are another token */
    em_packed_place first_other;
    int64_t eos;                   /* labels that count and are a document's EOS */
    int64_t padding, padding_rows; /* labels that count and are padding */
    em_packed_place first_padding;
} em_packed_labels;
enum { EM_PACKED_UNSHIFTED, EM_PACKED_SHIFTED, EM_PACKED_SCHEMES };

/* The first token whose position is not what it would be if positions restarted; at.row -1: none.
 */
typedef struct em_packed_wrong_position {
    em_packed_place at;
    int32_t found, due;
} em_packed_wrong_position;

typedef struct em_packed_counts {
    int64_t rows, tokens;
    int32_t shortest, longest;     /* rows */
    int64_t padding, padding_seen; /* tokens; of them those that a mask of 0 and 1 leaves in */
    int64_t told[EM_TOLD_KINDS];   /* rows by what tells their documents */
    int64_t documents, several;    /* several: rows of at least two documents */
    int32_t least_documents, most_documents;
    int64_t boundaries; /* between two documents of a row: */
    int64_t eos_ends, eos_own, eos_begins, eos_missing;
    em_packed_place first_missing;
    int64_t eos, eos_padding; /* all; of them padding */
    int64_t eos_inside;       /* within a document, neither its end nor its begin */
    em_packed_place first_inside;
    int64_t bos, bos_begins; /* all but padding; at a document's begin */
    int64_t positions;       /* rows that have them: */
    int64_t restart, run_on,
        neither;      /* rows of one document, where the first two are alike, are in none */
    int64_t over_eos; /* run on, where only tokens tell that there are several documents */
    em_packed_wrong_position wrong, wrong_over_eos;
    int64_t labels, labels_rows, ignored;
    em_packed_labels scheme[EM_PACKED_SCHEMES];
    int64_t form[EM_FORM_KINDS]; /* rows by the mask that they carry */
    em_mask_search mask;
} em_packed_counts;

/* No row yet. */
void em_packed_counts_start(em_packed_counts *c);
/* The next row. view: of this row. False: EM_MACHINE, memory is out. */
bool em_packed_counts_add(em_packed_counts *c, const em_packed_row *row, const em_packed_view *view,
                          const em_packed_ids *ids, em_error *err);
void em_packed_counts_free(em_packed_counts *c); /* what they hold */

/* Documents of a row; a segment that is nothing but the EOS of the one before it is none. */
int32_t em_packed_documents(const em_packed_view *v, const em_packed_row *row,
                            const em_packed_ids *ids);

#endif
