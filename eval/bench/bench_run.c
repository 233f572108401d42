/* One run of the program in a process of its own: what is measured is what a user gets, start-up
 * included, and its peak memory is its own. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "eval/bench/bench_parts.h"

extern char **environ;

/* ---- the command line ---- */

typedef struct words {
    char *items[2 * EM_MAX_LIST];
    int n;
} words;

/* Takes text over. */
static void push(words *w, char *text) {
    if (!text || w->n == 2 * EM_MAX_LIST - 1) {
        fprintf(stderr, "evalmask: out of memory for a command line\n");
        exit(EM_MACHINE);
    }
    w->items[w->n++] = text;
}

static void option(words *w, const char *name, em_buffer *value) {
    push(w, strdup(name));
    push(w, strdup(value->data ? value->data : ""));
    em_buffer_clear(value);
}

static void number_option(words *w, const char *name, int64_t value, em_buffer *b) {
    if (!value) return;
    em_buffer_printf(b, "%lld", (long long)value);
    option(w, name, b);
}

static void path_option(words *w, const char *name, const em_named_path *p, em_buffer *b) {
    if (!p->path) return;
    if (p->name) em_buffer_printf(b, "%s=", p->name);
    em_buffer_puts(b, p->path);
    option(w, name, b);
}

static void lists(words *w, const em_settings *s, em_buffer *b) {
    for (int i = 0; i < s->protocol.n_masks; i++)
        em_buffer_printf(b, "%s%s", i ? "," : "", s->protocol.masks[i].name);
    option(w, "--mask", b);
    for (int i = 0; i < s->protocol.n_labels; i++)
        em_buffer_printf(b, "%s%s", i ? "," : "", s->protocol.labels[i]->name);
    option(w, "--labels", b);
    for (int i = 0; i < s->models.n_depths; i++)
        em_buffer_printf(b, "%s%d", i ? "," : "", s->models.depths[i]);
    if (s->models.all_depths) em_buffer_puts(b, s->models.n_depths ? ",all" : "all");
    if (b->length) option(w, "--depth", b);
    if (!s->models.alphas.n) return;
    for (int i = 0; i < s->models.alphas.n; i++) {
        if (i) em_buffer_puts(b, ",");
        em_buffer_double(b, s->models.alphas.values[i]);
    }
    option(w, "--alpha", b);
}

static void command_line(words *w, const em_settings *s, const char *program, int profile) {
    em_buffer b = {0};
    push(w, strdup(program));
    path_option(w, "--model", &s->models.first, &b);
    for (int i = 0; i < s->models.n_compare; i++)
        path_option(w, "--compare", &s->models.compare[i], &b);
    for (int i = 0; i < s->data.n_sets; i++) path_option(w, "--data", &s->data.sets[i], &b);
    path_option(w, "--tokenizer", &(em_named_path){NULL, s->models.tokenizer}, &b);
    lists(w, s, &b);
    number_option(w, "-T", s->protocol.row_tokens[0], &b);
    number_option(w, "-B", s->protocol.batch, &b);
    number_option(w, "--max-tokens", s->data.max_tokens, &b);
    number_option(w, "--threads", s->engine.threads, &b);
    number_option(w, "--memory", (int64_t)s->engine.memory, &b);
    static const char *const dtypes[] = {[EM_DTYPE_AUTO] = "auto",
                                         [EM_DTYPE_F32] = "f32",
                                         [EM_DTYPE_BF16] = "bf16",
                                         [EM_DTYPE_F16] = "f16"};
    em_buffer_puts(&b, dtypes[s->engine.dtype]);
    option(w, "--dtype", &b);
    if (s->engine.device == EM_DEVICE_CUDA) em_buffer_printf(&b, "cuda:%d", s->engine.device_index);
    else em_buffer_puts(&b, "cpu");
    option(w, "--device", &b);
    em_buffer_printf(&b, "/proc/self/fd/%d", profile);
    option(w, "--profile", &b);
    push(w, strdup("-q"));
    em_buffer_free(&b);
}

/* ---- the process ---- */

/* The exit code, or -1. Looks every few milliseconds whether it is to stop: what is measured is
 * timed in the run itself. */
static int wait_for(pid_t child, const volatile sig_atomic_t *stop) {
    const struct timespec pause = {.tv_nsec = 20000000};
    bool told = false;
    int status;
    for (pid_t got; (got = waitpid(child, &status, WNOHANG)) != child; nanosleep(&pause, NULL)) {
        if (got < 0 && errno != EINTR) return -1;
        if (*stop && !told) told = !kill(child, SIGTERM);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool start(const words *w, pid_t *child, em_error *err) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    int failed = posix_spawn(child, w->items[0], &actions, NULL, w->items, environ);
    posix_spawn_file_actions_destroy(&actions);
    return !failed || em_fail_at(err, EM_MACHINE, w->items[0], 0, -1, "cannot be started: %s",
                                 strerror(failed));
}

/* The profile is shorter than a pipe holds, so the run ends before it is read. */
static bool read_profile(int from, em_profile *out, em_error *err) {
    char text[1 << 14];
    size_t n = 0;
    for (ssize_t got; n < sizeof text && (got = read(from, text + n, sizeof text - n)) > 0;)
        n += (size_t)got;
    return em_profile_parse(text, n, out, err);
}

static bool run_to_end(const words *w, const volatile sig_atomic_t *stop, em_error *err) {
    pid_t child;
    if (*stop) return em_fail(err, EM_INTERRUPTED, "interrupted");
    if (!start(w, &child, err)) return false;
    int code = wait_for(child, stop);
    if (*stop) return em_fail(err, EM_INTERRUPTED, "interrupted");
    if (code < 0) return em_fail(err, EM_MACHINE, "a run was killed: too little memory?");
    return code == 0 ||
           em_fail(err, (em_status)code, "the run that was to be measured failed, as said above");
}

bool em_bench_run(const em_settings *settings, const volatile sig_atomic_t *stop, em_profile *out,
                  em_error *err) {
    int ends[2];
    words w = {0};
    if (pipe(ends)) return em_fail(err, EM_MACHINE, "no pipe: %s", strerror(errno));
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    command_line(&w, settings, "/proc/self/exe", ends[1]);
    bool good = run_to_end(&w, stop, err);
    close(ends[1]);
    good = good && read_profile(ends[0], out, err);
    close(ends[0]);
    for (int i = 0; i < w.n; i++) free(w.items[i]);
    return good;
}
