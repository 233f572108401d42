/* A super-batch: rows that are scored together. Whoever runs it, this process or another rank,
 * turns each row into its digest; rows travel one way and digests the other, and they are counted
 * in row order (eval/run/tally.h). */
#ifndef EM_EVAL_JOB_H
#define EM_EVAL_JOB_H

#include "eval/score/digest.h"

/* Which rows these are. */
typedef struct em_origin {
    int data_set, length; /* indices: of the setup's data sets, and of its row lengths */
    int64_t total;        /* tokens of the stream, or EM_UNKNOWN_TOTAL */
} em_origin;

typedef struct em_job {
    const em_plan *plan;
    em_origin origin;
    em_passes *passes;  /* owned */
    em_buffer *digests; /* [rows of passes]: each row's, as em_digest_state writes it; owned */
    size_t digests_capacity;
    int n_digests; /* that are there, or being made */
} em_job;

/* Empty; plan outlives it. EM_MACHINE where memory is out. */
bool em_job_open(em_job *j, const em_plan *plan, em_error *err);
void em_job_clear(em_job *j); /* frees rows and digests, to be filled anew */
void em_job_free(em_job *j);  /* what it holds; j itself is the caller's */

/* What a process runs jobs with. */
typedef struct em_tools {
    const em_plan *plan;
    const em_setup *setup;
    em_network *const *networks;
} em_tools;

/* Runs one job after another. */
typedef struct em_runner em_runner;

/* What the tools point to outlives the runner. NULL: EM_MACHINE, memory is out. */
em_runner *em_runner_new(const em_tools *tools, em_error *err);
void em_runner_free(em_runner *r); /* r may be NULL */
/* Through the networks and into digests, not again until it is cleared. Errors: those of the
 * networks, or EM_MACHINE. */
bool em_runner_run(em_runner *r, em_job *j, em_error *err);

/* The row's digest into *d; EM_MACHINE where its bytes, of another rank, are not what they must be.
 */
bool em_job_digest(const em_job *j, int row, em_digest *d, em_error *err);

/* Between processes, in the machine's own byte order. `read` fills a clear job, or adds the next
 * row's digest; EM_MACHINE where the bytes are not what they must be. */
bool em_job_write_rows(const em_job *j, const em_setup *setup, em_buffer *out, em_error *err);
bool em_job_read_rows(em_job *j, const em_setup *setup, const em_buffer *in, em_error *err);
bool em_job_read_digest(em_job *j, const em_buffer *in, em_error *err);

#endif
