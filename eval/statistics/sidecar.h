/* NAME.documents.jsonl.zst beside NAME.json: one line a document with its predictions and NLL sum
 * in every result, so that later comparisons are paired (design §4). */
#ifndef EM_EVAL_SIDECAR_H
#define EM_EVAL_SIDECAR_H

#include <stdbool.h>
#include <stdint.h>
#include "common/output.h"
#include "common/state.h"
#include "eval/statistics/statistics.h"

typedef struct em_sidecar em_sidecar;

/* Empty; the caller frees it. data_set and seq_len are named in every line, seq_len where there are
 * several row lengths, else 0; out and data_set stay the caller's. n_results: the figures of a
 * line. NULL with EM_MACHINE. */
em_sidecar *em_sidecar_new(em_output *out, const char *data_set, int32_t seq_len, int n_results,
                           em_error *err);
/* A document that came by, with its subset's name and its text's bytes; documents arrive in
 * ascending order, a repeated one is ignored. False with EM_MACHINE. */
bool em_sidecar_document(em_sidecar *s, int64_t document, const char *subset, uint64_t bytes,
                         em_error *err);
/* What a waiting document has in one result, in [0, n_results); others are ignored. */
void em_sidecar_add(em_sidecar *s, int result, const em_document_sum *sum);
/* Writes and forgets the documents below `before`. False with EM_MACHINE where out cannot be
 * written. */
bool em_sidecar_flush(em_sidecar *s, int64_t before, em_error *err);
/* Saves s, or restores it into a new one made with the same arguments. False as em_state says. */
bool em_sidecar_state(em_sidecar *s, em_state *io);
/* Frees it; NULL may be freed. */
void em_sidecar_free(em_sidecar *s);

#endif
