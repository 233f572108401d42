/* Batches of rows for the backend's tests, and the way of a random network over them. */
#ifndef EM_TESTS_KERNELS_ROWS_H
#define EM_TESTS_KERNELS_ROWS_H

#include "tests/kernels/naive.h"

#ifndef MAX_TOKENS
#define MAX_TOKENS 2048
#endif
#define MAX_ROWS 16

typedef struct rows {
    int n;
    int64_t start[MAX_ROWS], tokens;
    int32_t length[MAX_ROWS];
    int32_t ids[MAX_TOKENS], positions[MAX_TOKENS], lo[MAX_TOKENS], hi[MAX_TOKENS],
        labels[MAX_TOKENS];
} rows;

/* What a row's tokens see. MIXED has an interval of every kind: causal, ahead, both ways, none. */
typedef enum mask { CAUSAL, DOCUMENTS, MIXED } mask;

#define DOCUMENT 53 /* tokens of each document */

/* Rows hold what (seed, length, mask) say, wherever they stand. */
void add_row(rows *r, int seed, int length, mask m);
em_row_batch batch_of(const rows *r);

/* Fails the test. */
void check(const em_error *err);

/* The batch before its first layer; the caller frees it. */
em_activations *embed_rows(em_backend *b, const network *n, const rows *r,
                           const em_row_batch *batch);
void run_layer(em_backend *b, const em_layer *l, em_activations *a, bool parallel);
/* The batch after all layers, loaded and freed in turn; the caller frees it. */
em_activations *forward_rows(em_backend *b, const network *n, const rows *r,
                             const em_row_batch *batch);
/* The backend that score_labels opens: the CPU's, unless a test sets another. */
extern em_backend *(*open_backend)(const em_backend_options *options, em_error *err);
/* labels: [tokens, n_labels] */
void score_labels(const network *n, em_backend_options options, const rows *r, int n_labels,
                  const int32_t *labels, em_scores *out);

/* Each token's log-probabilities by score(), with the whole vocabulary as labels: [tokens,
 * NETWORK_VOCAB], the caller's to free. */
double *log_probabilities(const network *n, em_backend_options options, const rows *r);
/* A head whose logits are so many times as large, where it has no bias. */
void amplify(network *n, float factor);
/* Of one token's logits, up to a constant of each: [NETWORK_VOCAB]. KL in terms of at least 0. */
double log_sum(const double *z);
double kl_of(const double *after, const double *before);

/* Whether ONEDNN_MAX_CPU_ISA is set to no less than this machine has: a test would only repeat
 * itself and is skipped. Call before anything else has asked oneDNN. */
bool isa_limit_is_void(void);

#define SKIPPED 77 /* ctest's SKIP_RETURN_CODE */

#endif
