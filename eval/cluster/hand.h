/* A thread that runs jobs, so that the process can meanwhile talk to others. */
#ifndef EM_EVAL_HAND_H
#define EM_EVAL_HAND_H

#include "eval/score/job.h"

enum { EM_HAND_JOBS = 2 }; /* the one at work and the one that follows it without a pause */

typedef struct em_hand em_hand;

/* Takes the runner over (also on failure; NULL fails). */
em_hand *em_hand_start(em_runner *runner, em_error *err);
/* The job is the hand's until it is taken. At most EM_HAND_JOBS are given and not yet taken. */
void em_hand_give(em_hand *h, em_job *j);
/* The jobs in the order in which they were given: 1: the next one is done; 0: not yet, or there is
 * none; -1: it failed. */
int em_hand_take(em_hand *h, em_error *err);
/* Waits for the job at hand, which ends early where its networks are told to stop. h may be NULL.
 */
void em_hand_stop(em_hand *h);

#endif
