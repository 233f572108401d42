/* What the measuring programs share. */
#ifndef EM_BENCH_MEASURE_H
#define EM_BENCH_MEASURE_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/error.h"

/* Seconds since some moment. */
static inline double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

_Noreturn static inline void stop(const em_error *err) {
    char line[1280];
    fprintf(stderr, "%s\n", em_error_line(err, line, sizeof line));
    exit(err->status);
}

#endif
