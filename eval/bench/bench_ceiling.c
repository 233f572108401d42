/* The machine's own rate, beside a run. */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "eval/bench/bench_parts.h"

typedef struct answer {
    em_ceiling ceiling;
    em_error err;
} answer;

/* The child's part. It ends without what belongs to the parent: its files and its threads. */
static void measure_and_end(const em_bench_machine *m, int to) {
    answer a = {.err = EM_ERROR_INIT};
    em_cuda_ceiling(&m->options, m->device, &a.ceiling, &a.err);
    _exit(write(to, &a, sizeof a) == (ssize_t)sizeof a ? 0 : EM_MACHINE);
}

/* An answer is shorter than a pipe holds, so that it comes whole or not at all. */
static bool read_answer(int from, const volatile sig_atomic_t *stop, answer *a, em_error *err) {
    ssize_t n;
    while ((n = read(from, a, sizeof *a)) < 0 && errno == EINTR && !*stop) {}
    if (*stop) return em_fail(err, EM_INTERRUPTED, "interrupted");
    return n == (ssize_t)sizeof *a ||
           em_fail(err, EM_MACHINE,
                   "the process that measures the device's ceiling ended without an answer");
}

static bool in_a_process(const em_bench_machine *m, const volatile sig_atomic_t *stop, answer *a,
                         em_error *err) {
    int ends[2];
    if (pipe(ends)) return em_fail(err, EM_MACHINE, "no pipe: %s", strerror(errno));
    pid_t child = fork();
    if (child == 0) measure_and_end(m, ends[1]);
    close(ends[1]);
    bool good = child > 0 ? read_answer(ends[0], stop, a, err)
                          : em_fail(err, EM_MACHINE, "no process for the device's ceiling: %s",
                                    strerror(errno));
    close(ends[0]);
    if (child > 0 && !good) kill(child, SIGKILL);
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    return good;
}

bool em_bench_ceiling(const em_bench_machine *m, const volatile sig_atomic_t *stop, em_ceiling *out,
                      em_error *err) {
    if (!m->cuda) return em_cpu_ceiling(&m->options, out, err);
    answer a;
    if (!in_a_process(m, stop, &a, err)) return false;
    *out = a.ceiling;
    return a.err.status == EM_OK || em_fail(err, a.err.status, "%s", a.err.text);
}
