/* One line on stderr while a run goes on, where stderr is a terminal. */
#ifndef EM_EVAL_PROGRESS_H
#define EM_EVAL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct em_progress {
    bool on;
    double start, shown; /* seconds, monotonic */
    int64_t from;        /* compressed bytes that an earlier process had done */
} em_progress;

/* Nothing is shown when quiet, or where stderr is no terminal. */
em_progress em_progress_start(bool quiet);
/* position of size (compressed bytes read; size -1: unknown), for the time left. */
void em_progress_show(em_progress *p, int64_t documents, int64_t tokens, double loss,
                      int64_t position, int64_t size);
/* The work begins here, at `position`: what comes before it was done by an earlier process. */
void em_progress_from(em_progress *p, int64_t position);
void em_progress_end(em_progress *p); /* wipes the line */

#endif
