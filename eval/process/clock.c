#include "eval/process/clock.h"

#include <time.h>

double em_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void em_pause(void) { nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL); }
