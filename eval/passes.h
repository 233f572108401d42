/* A super-batch of rows turned into forward passes. Masks, positions and label schemes that give a
 * row the same inputs, intervals and position ids share one pass, so shared work is done once. */
#ifndef EM_EVAL_PASSES_H
#define EM_EVAL_PASSES_H

#include "eval/feed.h"
#include "model/network.h"

typedef struct em_passes em_passes;

em_passes *em_passes_new(const em_settings *settings, em_error *err);
void em_passes_free(em_passes *p);

/* Takes the row over (also on failure). */
bool em_passes_add(em_passes *p, em_fed_row *row, em_error *err);
int64_t em_passes_padded(const em_passes *p);       /* tokens, in whole tiles, that wait to be run */
int em_passes_rows(const em_passes *p);
const em_fed_row *em_passes_row(const em_passes *p, int row);
void em_passes_clear(em_passes *p);                 /* frees the rows */

/* Runs all passes through the network, in as many batches as its capacity asks for. */
bool em_passes_run(em_passes *p, em_network *network, em_error *err);

/* One row under one mask, scheme and positions (indices into the settings' lists). */
typedef struct em_pass_view {
    int32_t inputs;
    const int32_t *lo, *hi, *positions;     /* [inputs] */
    const double *nll;                      /* position i's is nll[i * stride] */
    const int32_t *argmax;                  /* [inputs] */
    int stride;
} em_pass_view;

em_pass_view em_passes_view(const em_passes *p, int row, int mask, int scheme, int positions);

#endif
