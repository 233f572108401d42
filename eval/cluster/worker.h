/* A thread that runs jobs, so that the process can meanwhile talk to others. */
#ifndef EM_EVAL_WORKER_H
#define EM_EVAL_WORKER_H

#include "eval/score/job.h"

enum { EM_WORKER_JOBS = 2 }; /* the one at work and the one that follows it without a pause */

typedef struct em_worker em_worker;

/* Starts the thread. Takes the runner over (also on failure; NULL fails). Errors: EM_MACHINE. */
em_worker *em_worker_start(em_runner *runner, em_error *err);
/* The job is the worker's until it is taken. At most EM_WORKER_JOBS are given and not yet taken. */
void em_worker_give(em_worker *w, em_job *j);
/* The jobs in the order in which they were given: 1: the next one is done and the caller's again;
 * 0: not yet, or there is none; -1: it failed, with its own error. */
int em_worker_take(em_worker *w, em_error *err);
/* Waits for the job at work, which ends early where its networks are told to stop. w may be NULL.
 */
void em_worker_stop(em_worker *w);

#endif
