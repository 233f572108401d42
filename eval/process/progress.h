/* How far a run is, on stderr: on a terminal one line that is written anew, elsewhere a line after
 * every 30 seconds, and after every 60 once there are ten. */
#ifndef EM_EVAL_PROGRESS_H
#define EM_EVAL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct em_progress {
    bool on, terminal;
    int lines;           /* that were written, not to a terminal */
    double start, shown; /* seconds, monotonic */
    int64_t from;        /* compressed bytes that an earlier process had done */
} em_progress;

/* Nothing is shown when quiet. */
em_progress em_progress_start(bool quiet);
/* position of size (compressed bytes read; size -1: unknown), for the share and the time left. */
void em_progress_show(em_progress *p, int64_t documents, int64_t tokens, double loss,
                      int64_t position, int64_t size);
/* The work begins here, at `position`: what comes before it was done by an earlier process. */
void em_progress_from(em_progress *p, int64_t position);
void em_progress_end(em_progress *p); /* wipes the line of a terminal */

#endif
