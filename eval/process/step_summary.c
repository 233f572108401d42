#include "eval/process/step_summary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_BYTES = 1 << 20 }; /* GitHub drops a step's summary beyond it */

static const char *append(const char *path, const char *text, size_t n) {
    struct stat s;
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) return strerror(errno);
    const char *problem = NULL;
    if (fstat(file, &s) == 0 && S_ISREG(s.st_mode) &&
        (n > MOST_BYTES || s.st_size > (off_t)(MOST_BYTES - n)))
        problem = "the step's summary would be larger than 1 MiB";
    else {
        ssize_t written = write(file, text, n);
        if (written < 0) problem = strerror(errno);
        else if ((size_t)written != n) problem = "the disk is full";
    }
    if (close(file) && !problem) problem = strerror(errno);
    return problem;
}

void em_step_summary(const char *text, size_t n, bool quiet) {
    const char *path = getenv("GITHUB_STEP_SUMMARY");
    if (!path || !*path) return;
    const char *problem = append(path, text, n);
    if (problem && !quiet)
        fprintf(stderr, "the report was not added to GITHUB_STEP_SUMMARY (%s): %s\n", path,
                problem);
}
