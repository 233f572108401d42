/* The inside of the main job: run.c takes data sets and row lengths one after another and writes
 * what came out, run_open.c opens, run_stream.c scores. */
#ifndef EM_EVAL_RUN_PARTS_H
#define EM_EVAL_RUN_PARTS_H

#include "eval/run/checkpoint.h"
#include "eval/score/feed.h"
#include "eval/run/outputs.h"
#include "eval/run/pipeline.h"
#include "eval/score/plan.h"
#include "eval/process/profile.h"
#include "eval/process/progress.h"
#include "eval/settings/options.h"
#include "eval/setup/setup.h"
#include "eval/statistics/sidecar.h"
#include "eval/run/tally.h"

typedef struct em_run {
    em_settings in_force;        /* a copy: its packing is that of the data set at hand */
    const em_settings *settings; /* in_force */
    em_setup setup;
    em_plan plan;
    em_backend *backend;
    em_network *networks[EM_MAX_MODELS];
    em_ranks *ranks; /* NULL: this process is alone */
    em_pipeline *pipeline;
    em_checkpoints *journal; /* NULL: none */
    em_outputs outputs;
    em_results results;
    em_digest *digest; /* of the row that is being counted */
    em_progress progress;
    double seconds_started, seconds_opened;
    int64_t tokens_done, padded_tokens;
    em_loader_counts loading; /* of all data sets: the seconds */
} em_run;

/* One data set at one row length. */
typedef struct em_stream {
    int data_set, length; /* indices */
    em_loader *loader;
    em_packer *packer;
    em_feed *feed;
    em_tally *tally;
    em_sidecar *sidecar;
    int64_t rows;               /* of the feed, that are counted */
    bool counted;               /* its results have figures */
    em_result *results;         /* [the plan's cells], inside run.results */
    em_comparison *comparisons; /* [the plan's pairs], likewise */
} em_stream;

/* Everything that this rank needs, in agreement with the others: true on all of them or on none,
 * and then with the same error. em_run_close in any case. */
bool em_run_open(em_run *r, em_error *err);
/* All that em_run_open has made, the files that are not whole among them. */
void em_run_close(em_run *r);
/* Whether this process counts and writes: alone, or as rank 0. */
bool em_run_is_root(const em_run *r);
em_tools em_run_tools(const em_run *r); /* they point into r */
/* How many streams there are: each data set at each row length. */
int em_run_streams(const em_run *r);

/* Opens its loader and its packer, which em_stream_close closes. Errors: those of the loader. */
bool em_stream_packer(em_run *r, em_stream *s, em_error *err);
bool em_stream_in_journal(const em_run *r, const em_stream *s); /* as a whole */
/* Fills its results, from its rows or from the journal. total: its tokens, or EM_UNKNOWN_TOTAL;
 * shortest: the tally of the shortest row length, or NULL. An interrupted stream has the figures of
 * the rows before, and is no error. */
bool em_stream_score(em_run *r, em_stream *s, int64_t total, const em_tally *shortest,
                     em_error *err);
void em_stream_close(em_stream *s); /* what it reads from; the tally stays */

#endif
