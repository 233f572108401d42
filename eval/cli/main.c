/* evalmask: the loss of a language model on data, and exactly what was measured. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "eval/bench/bench.h"
#include "eval/cli/commands.h"
#include "eval/cluster/ranks.h"
#include "eval/inspect/inspect.h"
#include "eval/run/run.h"

static int flushed(em_error *err) {
    if (!fflush(stdout) && !ferror(stdout)) return EM_OK;
    em_fail(err, EM_MACHINE, "stdout cannot be written: %s", strerror(errno));
    return EM_MACHINE;
}

static int help(const em_settings *s, em_error *err) {
    if (s->help_configs && !em_experiment_list(stdout, err)) return err->status;
    if (s->help_configs) return flushed(err);
    if (s->help_as_man) em_options_man(stdout);
    else em_options_help(stdout, s->help_for);
    return flushed(err);
}

static int dispatch(const em_settings *s, em_error *err) {
    if (em_launch_rank() > 0 && s->command != EM_RUN)
        return EM_OK; /* only runs are shared among ranks */
    if (em_launch_ranks() > 1 && s->command & (EM_BENCH | EM_EXPLORE))
        return em_fail(err, EM_USAGE,
                       "bench and explore make runs of one process: start them without mpirun"),
               EM_USAGE;
    switch (s->command) {
    case EM_RUN: return em_command_run(s, err);
    case EM_INSPECT: return em_command_inspect(s, err);
    case EM_AUDIT: return em_command_audit(s, err);
    case EM_CONVERT: return em_command_convert(s, err);
    case EM_TOKENIZE: return em_command_tokenize(s, err);
    case EM_BENCH: return em_command_bench(s, err);
    case EM_REPORT: return em_command_report(s, err);
    case EM_DIFF: return em_command_diff(s, err);
    case EM_EXPLORE: return em_command_explore(s, err);
    case EM_HELP: return help(s, err);
    case EM_VERSION_COMMAND: return puts("evalmask " EM_VERSION), flushed(err);
    }
    return EM_USAGE;
}

/* Checkpoints are mapped: where one becomes shorter meanwhile, or its disk fails, the read ends
 * here. */
static void on_lost_page(int signal_number) {
    static const char text[] = "evalmask: a mapped file can no longer be read: a checkpoint became "
                               "shorter while it was in use, "
                               "or its disk failed\n";
    (void)signal_number;
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) _exit(EM_MACHINE);
    _exit(EM_INPUT);
}

/* Rank 0 speaks for all, and its status is the job's: a launcher ends the others where one of them
 * says that it failed. */
static int ended(const em_error *err, int code) {
    char line[1280];
    if (em_launch_rank() > 0) return EM_OK;
    if (err->status != EM_OK)
        fprintf(stderr, "evalmask: %s\n", em_error_line(err, line, sizeof line));
    return code;
}

int main(int argc, char **argv) {
    em_settings settings;
    em_error err = EM_ERROR_INIT;
    signal(SIGPIPE,
           SIG_IGN); /* a closed pipe is an error of the write, with a message and exit code 4 */
    signal(SIGXFSZ, SIG_IGN); /* so is a file that has reached the limit of its size (ulimit -f) */
    signal(SIGBUS, on_lost_page);
    bool good = em_options_parse(argc, argv, &settings, &err);
    int code = good ? dispatch(&settings, &err) : (int)err.status;
    em_settings_free(&settings);
    return ended(&err, code);
}
