/* The forward pass, layer by layer: a super-batch of rows goes through layer 0, then layer 1 …
 * A layer's weights are packed once per super-batch, or kept while --memory allows and the run is
 * long enough for that to pay (model/memory_plan.h). */
#ifndef EM_MODEL_NETWORK_H
#define EM_MODEL_NETWORK_H

#include "model/flops.h"
#include "model/model.h"
#include "model/network_options.h"

typedef struct em_network em_network;

/* Plans the memory and takes that of a batch's activations; no weight is read yet. Model and
 * backend stay the caller's and outlive the network. NULL with err: EM_MACHINE where memory cannot
 * hold one row and one layer, naming what would be enough. Release: em_network_close. */
em_network *em_network_open(em_model *m, em_backend *b, const em_network_options *options,
                            em_error *err);
/* Frees packed weights and activations; NULL may be closed. */
void em_network_close(em_network *n);

/* Padded tokens per batch: the sum of its rows' em_network_padded may not exceed it. */
int64_t em_network_capacity(const em_network *n);
/* Whether packed weights stay between batches, so that small ones cost no more than large ones. */
bool em_network_keeps(const em_network *n);
/* The arithmetic of all passes so far; the network's own. */
const em_flops *em_network_flops(const em_network *n);

/* Runs the batch through all layers; then its heads may be asked for, until the next forward. The
 * batch's arrays stay valid until then. Errors: EM_INPUT naming the checkpoint where a weight is
 * not finite, or a token or a position is outside of it; EM_INTERRUPTED once options' stop is set;
 * EM_MACHINE. */
bool em_network_forward(em_network *n, const em_row_batch *batch, em_error *err);
/* The head on what forward left, into the caller's arrays. Errors: a loss that is NaN or infinite
 * (EM_INPUT); EM_MACHINE where the device failed, and then all figures are void. */
bool em_network_head(em_network *n, const em_row_batch *batch, const em_score_request *request,
                     em_scores *out, em_error *err);
/* Forward and head. */
bool em_network_score(em_network *n, const em_row_batch *batch, const em_score_request *request,
                      em_scores *out, em_error *err);
/* Both heads together, after both networks' forward over the same batch. Errors: as above, of
 * either model (an alpha's loss is left as it is); EM_USAGE where the vocabularies differ in size.
 */
bool em_network_head_pair(em_network *before, em_network *after, const em_row_batch *batch,
                          const em_pair_request *request, em_pair_scores *out, em_error *err);
/* Forward with the head (final norm included) after each of these depths, so that removing layers
 * from the back costs a head each, not a run. depths: layers kept, ascending, 0 to all. out:
 * [n_depths]. Errors: as forward and head. */
bool em_network_score_depths(em_network *n, const em_row_batch *batch,
                             const em_score_request *request, const int *depths, int n_depths,
                             em_scores *out, em_error *err);

#endif
