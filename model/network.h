/* The forward pass, layer by layer: a super-batch of rows goes through layer 0, then layer 1 …
 * A layer's weights are packed once per super-batch, or kept while --memory allows and the run is
 * long enough for that to pay. */
#ifndef EM_MODEL_NETWORK_H
#define EM_MODEL_NETWORK_H

#include <signal.h>

#include "model/flops.h"
#include "model/model.h"

typedef struct em_network em_network;

typedef struct em_network_options {
    const char
        *source;   /* the checkpoint's path, for errors; outlives the network; NULL: not named */
    size_t memory; /* bytes that the process may have resident, mapped pages included; on a device:
                      of its own */
    size_t taken;  /* of these, what is resident already or will be by others */
    int sharers;   /* networks that divide the rest evenly, this one among them; 0: it is alone */
    int64_t row_tokens;  /* longest row: the smallest batch that must fit */
    int64_t want_tokens; /* no more than this many tokens in a batch (padded) */
    int n_labels;        /* label columns that score() will be asked for */
    int n_alphas;        /* and alphas that head_pair() will be asked for */
    int n_depths;        /* and depths that score_depths() will be asked for */
    int batches;         /* whose arrays the caller holds at once; 0: 1 */
    int vocab;           /* softmax over ids [0, vocab) only; 0: the model's own */
    /* Where set: once *stop is not 0, em_network_score fails with EM_INTERRUPTED before its next
     * layer. */
    const volatile sig_atomic_t *stop;
} em_network_options;

/* Errors: EM_MACHINE where memory cannot hold one row and one layer, naming what would be enough.
 */
em_network *em_network_open(em_model *m, em_backend *b, const em_network_options *options,
                            em_error *err);
int64_t em_network_capacity(const em_network *n); /* padded tokens per batch */
/* Whether packed weights stay between batches, so that small ones cost no more than large ones. */
bool em_network_keeps(const em_network *n);
/* Padded length of a row, to fill batches up to the capacity. */
int64_t em_network_padded(int64_t tokens);
/* Runs the batch through all layers; then its heads may be asked for, until the next forward. */
bool em_network_forward(em_network *n, const em_row_batch *batch, em_error *err);
/* The head on what forward left. Reports a NaN or infinite loss as EM_INPUT. */
bool em_network_head(em_network *n, const em_row_batch *batch, const em_score_request *request,
                     em_scores *out, em_error *err);
/* Both heads together, after both networks' forward over the same batch. Errors: as above, of
 * either model (an alpha's loss is left as it is); EM_USAGE where the vocabularies differ in size.
 */
bool em_network_head_pair(em_network *before, em_network *after, const em_row_batch *batch,
                          const em_pair_request *request, em_pair_scores *out, em_error *err);
/* Forward with the head (final norm included) after each of these depths, so that removing layers
 * from the back costs a head each, not a run. depths: layers kept, ascending, 0 to all. out:
 * [n_depths]. */
bool em_network_score_depths(em_network *n, const em_row_batch *batch,
                             const em_score_request *request, const int *depths, int n_depths,
                             em_scores *out, em_error *err);
/* Forward and head. */
bool em_network_score(em_network *n, const em_row_batch *batch, const em_score_request *request,
                      em_scores *out, em_error *err);
/* The arithmetic of all passes so far. */
const em_flops *em_network_flops(const em_network *n);
void em_network_close(em_network *n);

#endif
