/* A run and its journal: when a record is due, what is in it, and how a later process takes it up.
 */
#ifndef EM_EVAL_CHECKPOINT_H
#define EM_EVAL_CHECKPOINT_H

#include "eval/run/journal.h"
#include "eval/run/outputs.h"
#include "eval/settings/options.h"
#include "eval/setup/setup.h"
#include "eval/run/tally.h"
#include "kernels/backend.h"

/* How far a stream has come, and everything that was counted of it by then. */
typedef struct em_checkpoint {
    bool finished; /* settled to its end; then the last three count, else the sidecar */
    int64_t rows;  /* of its feed, that are counted */
    em_tally *tally;
    em_sidecar *sidecar;   /* NULL: there is none */
    em_data_set *data_set; /* its totals, but for the batches, and the first bad record */
    char **groups;         /* [n_groups]: names of the subsets; owned */
    size_t n_groups;
} em_checkpoint;

/* The group names only; the rest is the run's. */
void em_checkpoint_free(em_checkpoint *c);
/* Saves c, or restores it: tally, sidecar and data_set are new ones of the same plan. False,
 * as em_state's functions. */
bool em_checkpoint_state(em_checkpoint *c, em_state *io);

typedef struct em_checkpoints em_checkpoints;

/* What the run reads beside what its setup knows. */
em_input_paths em_checkpoints_inputs(const em_settings *settings);
/* Makes or finds the journal that settings name. em_checkpoints_close or _remove frees it. Errors:
 * those of em_identity_make and em_journal_open. */
em_checkpoints *em_checkpoints_open(const em_settings *settings, const em_setup *setup,
                                    const em_backend *backend, em_error *err);
/* Where the files that grow go on; streams: how many the run has. The id in *out is the journal's.
 * EM_INPUT: a record that cannot be read. */
bool em_checkpoints_outputs(em_checkpoints *c, int streams, em_outputs_journal *out, em_error *err);
/* 1: *into is stream number `stream`, finished, or a point in it; 0: the journal has nothing of it;
 * -1: err. */
int em_checkpoints_restore(em_checkpoints *c, int stream, em_checkpoint *into, em_error *err);
/* Whether the journal has stream number `stream` to its end. */
bool em_checkpoints_finished(const em_checkpoints *c, int stream);
/* Whether it is time for a record, with so many rows of a stream counted. */
bool em_checkpoints_due(const em_checkpoints *c, int64_t rows);
/* Appends `now`, once the outputs are on the disk. EM_MACHINE: it cannot be written. */
bool em_checkpoints_write(em_checkpoints *c, em_checkpoint *now, em_outputs *outputs,
                          em_error *err);
bool em_checkpoints_empty(const em_checkpoints *c); /* nothing to go on from */
void em_checkpoints_close(em_checkpoints *c);       /* the journal stays; c may be NULL */
bool em_checkpoints_remove(em_checkpoints *c,
                           em_error *err); /* the run is done; frees c in every case */

#endif
