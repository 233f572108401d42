#include "eval/process/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "eval/process/clock.h"

em_progress em_progress_start(bool quiet) {
    return (em_progress){.on = !quiet && isatty(STDERR_FILENO), .start = em_seconds()};
}

void em_progress_show(em_progress *p, int64_t documents, int64_t tokens, double loss,
                      int64_t position, int64_t size) {
    double now = em_seconds(), spent = now - p->start;
    if (!p->on || now - p->shown < 0.2) return;
    p->shown = now;
    char left[32] = "";
    if (size > 0 && position > p->from && position <= size && spent > 1) {
        int seconds = (int)(spent * (double)(size - position) / (double)(position - p->from));
        snprintf(left, sizeof left, "  %d:%02d left", seconds / 60, seconds % 60);
    }
    fprintf(stderr, "\r\033[K%lld documents  %lld tokens  %.0f tokens/s  loss %.4f%s",
            (long long)documents, (long long)tokens, spent > 0 ? (double)tokens / spent : 0, loss,
            left);
    fflush(stderr);
}

void em_progress_from(em_progress *p, int64_t position) {
    p->start = em_seconds();
    p->from = position;
}

void em_progress_end(em_progress *p) {
    if (p->on && p->shown > 0) fputs("\r\033[K", stderr);
}
