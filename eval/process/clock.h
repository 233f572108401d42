/* Time as it passes, and waiting. */
#ifndef EM_EVAL_CLOCK_H
#define EM_EVAL_CLOCK_H

/* Seconds since some point in the past; never goes back. */
double em_seconds(void);
/* Lets other processes and threads run for a millisecond, where there is nothing to do. */
void em_pause(void);

#endif
