/* What a run asks of a network, and the memory that it may take. */
#ifndef EM_MODEL_NETWORK_OPTIONS_H
#define EM_MODEL_NETWORK_OPTIONS_H

#include <signal.h>

#include "kernels/backend.h"

typedef struct em_network_options {
    const char
        *source;   /* the checkpoint's path, for errors; outlives the network; NULL: not named */
    size_t memory; /* bytes that the process may have resident, mapped pages included; on a
                      device: of its own */
    size_t taken;  /* of these, what is resident already or will be by others */
    int sharers;   /* networks that divide the rest evenly, this one among them; 0: alone */
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

/* The length that a row of so many tokens takes in a batch: to fill batches up to the capacity. */
int64_t em_network_padded(int64_t tokens);

#endif
