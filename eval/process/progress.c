#include "eval/process/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "eval/process/clock.h"

em_progress em_progress_start(bool quiet) {
    em_progress p = {.on = !quiet, .terminal = isatty(STDERR_FILENO), .start = em_seconds()};
    if (!p.terminal) p.shown = p.start;
    return p;
}

/* Seconds between two showings. */
static double pause_before(const em_progress *p) {
    if (p->terminal) return 0.2;
    return p->lines < 10 ? 30 : 60;
}

void em_progress_show(em_progress *p, int64_t documents, int64_t tokens, double loss,
                      int64_t position, int64_t size) {
    double now = em_seconds(), spent = now - p->start;
    if (!p->on || now - p->shown < pause_before(p)) return;
    p->shown = now;
    char left[32] = "";
    if (size > 0 && position > p->from && position <= size && spent > 1) {
        int seconds = (int)(spent * (double)(size - position) / (double)(position - p->from));
        snprintf(left, sizeof left, "  %d:%02d left", seconds / 60, seconds % 60);
    }
    char share[16] = "";
    if (!p->terminal && size > 0 && position >= 0 && position <= size)
        snprintf(share, sizeof share, "%.0f %%  ", 100 * (double)position / (double)size);
    fprintf(stderr, "%s%s%lld documents  %lld tokens  %.0f tokens/s  loss %.4f%s%s",
            p->terminal ? "\r\033[K" : "", share, (long long)documents, (long long)tokens,
            spent > 0 ? (double)tokens / spent : 0, loss, left, p->terminal ? "" : "\n");
    p->lines += !p->terminal;
    fflush(stderr);
}

void em_progress_from(em_progress *p, int64_t position) {
    p->start = em_seconds();
    p->from = position;
}

void em_progress_end(em_progress *p) {
    if (p->on && p->terminal && p->shown > 0) fputs("\r\033[K", stderr);
}
