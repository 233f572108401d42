/* How fast this machine runs it: the whole program on a model of a true shape, against the
 * machine's own rate of matrix products. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/output.h"
#include "common/size.h"
#include "common/temporary.h"
#include "eval/bench/bench_parts.h"
#include "eval/bench/bench.h"
#include "eval/setup/device.h"
#include "eval/process/interrupt.h"
#include "eval/process/installed.h"

/* A run of the default size: some 3 TFLOP, which is 12 rows of 1024 tokens of a 135 M model; on a
 * device as much as its ceiling does in so many seconds. */
#define DEFAULT_FLOPS 3.3e12
#define DEVICE_SECONDS 8

typedef struct bench {
    em_bench b;
    em_settings
        settings; /* what the runs are given: with the files below in place of shape and lengths */
    em_ceiling first; /* the machine's, before all runs; of a device only */
    char model_name[320];
    char *paths[3];        /* two models and the data, owned */
    int files[3], n_files; /* and what they lead to: nameless files, gone with this process */
} bench;

/* ---- files ---- */

/* The path that leads to an open file, here and in the runs that inherit it. */
static const char *keep_file(bench *x, int file, em_error *err) {
    if (asprintf(&x->paths[x->n_files], "/proc/self/fd/%d", file) < 0) {
        close(file);
        em_fail_memory(err, 32, "a path");
        return NULL;
    }
    x->files[x->n_files] = file;
    return x->paths[x->n_files++];
}

/* On a disk, where /tmp may be memory: a model is large. */
static int nameless_file(em_error *err) { return em_temporary_file("/var/tmp", err); }

static const char *temporary_model(bench *x, const em_shape *shape, const em_shape_file *how,
                                   em_error *err) {
    int file = nameless_file(err);
    if (file < 0) return NULL;
    if (em_shape_write(shape, how, file, &em_interrupted, err)) return keep_file(x, file, err);
    close(file);
    return NULL;
}

/* --keep-model: written under a name of its own, and renamed when it is whole. */
static bool make_kept_model(const char *path, const em_shape *shape, const em_shape_file *how,
                            em_error *err) {
    char partial[4096], id[EM_OUTPUT_ID];
    em_output_new_id(id);
    snprintf(partial, sizeof partial, "%s.%s.partial", path, id);
    int file = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0)
        return em_fail_at(err, EM_MACHINE, path, 0, -1, "cannot be written: %s", strerror(errno));
    bool good = em_shape_write(shape, how, file, &em_interrupted, err);
    if (close(file) && good)
        good = em_fail_at(err, EM_MACHINE, path, 0, -1, "cannot be written: %s", strerror(errno));
    if (good && rename(partial, path))
        good = em_fail_at(err, EM_MACHINE, path, 0, -1, "cannot be written: %s", strerror(errno));
    if (!good) unlink(partial);
    return good;
}

static bool same_shape(const char *path, const em_shape *s, em_error *err) {
    em_model *m = em_model_open(path, err);
    if (!m) return false;
    const em_model_spec *have = em_model_spec_of(m);
    bool same = have->vocab == s->vocab && have->hidden == s->hidden && have->layers == s->layers &&
                have->heads == s->heads && have->kv_heads == s->kv_heads && have->ffn == s->ffn;
    em_model_close(m);
    return same ||
           em_fail_at(err, EM_INPUT, path, 0, -1,
                      "is a model of another shape than %s: remove it, or name another file",
                      s->name);
}

static const char *kept_model(const char *path, const em_shape *shape, const em_shape_file *how,
                              em_error *err) {
    bool good = access(path, F_OK) == 0 ? same_shape(path, shape, err)
                                        : make_kept_model(path, shape, how, err);
    return good ? path : NULL;
}

/* ---- the models ---- */

static bool make_models(bench *x, const em_settings *s, em_error *err) {
    const em_shape *shape = em_shape_find(s->bench.shape ? s->bench.shape : "smollm-135m", err);
    if (!shape) return false;
    /* A device has its own copy of the weights: for one that is asked for, the file may be short.
     */
    em_shape_file how = {.seed = 1, .shared = s->engine.device == EM_DEVICE_CUDA};
    const char *path = s->bench.keep_model ? kept_model(s->bench.keep_model, shape, &how, err)
                                           : temporary_model(x, shape, &how, err);
    if (!path) return false;
    x->settings.models.first = (em_named_path){"random", path};
    x->b.shape = shape->name;
    snprintf(x->model_name, sizeof x->model_name, "%s, random weights", shape->name);
    if (!s->models.alphas.n) return true;
    how.seed = 2;
    path = temporary_model(x, shape, &how, err);
    x->settings.models.compare[0] = (em_named_path){"another", path};
    x->settings.models.n_compare = 1;
    return path != NULL;
}

static bool open_models(bench *x, const em_settings *s, em_error *err) {
    static char bundled[4096];
    if (s->models.first.path)
        snprintf(x->model_name, sizeof x->model_name, "%s", s->models.first.path);
    else if (!make_models(x, s, err)) return false;
    if (!s->models.first.path && !s->models.tokenizer) {
        if (!em_installed_file("base.bin", bundled, sizeof bundled))
            return em_fail(err, EM_USAGE,
                           "the bundled model, whose tokenizer is used, is not installed; say "
                           "--tokenizer PATH");
        x->settings.models.tokenizer = bundled;
    }
    /* No data yet. */
    em_setup_needs needs = {.models = &x->settings.models,
                            .protocol = &x->settings.protocol,
                            .threads = x->settings.engine.threads,
                            .eos_optional = true};
    if (!em_setup_open(&x->b.setup, &needs, err)) return false;
    x->settings.protocol.row_tokens[0] = x->b.setup.row_tokens;
    x->settings.protocol.n_row_tokens = 1;
    x->b.model_name = x->model_name;
    return true;
}

/* ---- the machine ---- */

static void use(bench *x, bool cuda) {
    x->settings.engine.device = cuda ? EM_DEVICE_CUDA : EM_DEVICE_CPU;
    x->b.machine = (em_bench_machine){.cuda = cuda, .device = x->settings.engine.device_index};
    x->b.machine.options =
        (em_backend_options){.threads = x->b.setup.threads,
                             .compute = em_device_compute(&x->settings.engine, &x->b.setup, cuda)};
}

/* As a run chooses it. A device's first ceiling is how it is asked whether it is there. */
static bool choose_machine(bench *x, em_error *err) {
    em_device_choice wanted = x->settings.engine.device;
    use(x, wanted != EM_DEVICE_CPU);
    if (wanted == EM_DEVICE_CPU) return true;
    em_error why = EM_ERROR_INIT;
    if (em_bench_ceiling(&x->b.machine, &em_interrupted, &x->first, &why)) return true;
    if (wanted == EM_DEVICE_CUDA || why.status != EM_MACHINE)
        return em_fail(err, why.status, "%s", why.text);
    em_device_tell_why_cpu(&x->settings.engine, x->settings.output.quiet, &why);
    use(x, false);
    return true;
}

/* ---- the data ---- */

static int64_t default_rows(const bench *x) {
    double row = 2 * (double)em_model_spec_of(x->b.setup.model)->parameters *
                 x->settings.protocol.row_tokens[0];
    double flops = x->b.machine.cuda ? x->first.rate * 1e9 * DEVICE_SECONDS : DEFAULT_FLOPS;
    return row < flops ? (int64_t)(flops / row + 1) : 1;
}

static bool write_text(int file, const em_buffer *text, em_error *err) {
    for (size_t done = 0; done < text->length;) {
        ssize_t n = write(file, text->data + done, text->length - done);
        if (n < 0)
            return em_fail(err, EM_MACHINE, "the synthetic documents cannot be kept: %s",
                           strerror(errno));
        done += (size_t)n;
    }
    return true;
}

/* One token more than the rows have, so that the last row's last label is there. */
static bool make_data(bench *x, em_error *err) {
    em_buffer text = {0};
    x->b.rows = x->settings.bench.rows ? x->settings.bench.rows : default_rows(x);
    x->settings.data.max_tokens = x->b.rows * x->settings.protocol.row_tokens[0] + 1;
    x->b.documents = em_bench_text(&x->b.setup, x->b.length, x->settings.data.max_tokens, &text,
                                   err);
    int file = x->b.documents < 0 ? -1 : memfd_create("evalmask-documents", 0);
    bool good = file >= 0 && write_text(file, &text, err);
    if (x->b.documents >= 0 && file < 0)
        em_fail(err, EM_MACHINE, "the synthetic documents cannot be kept: %s", strerror(errno));
    em_buffer_free(&text);
    x->settings.data.sets[0] = (em_named_path){NULL, good ? keep_file(x, file, err) : NULL};
    x->settings.data.n_sets = 1;
    return x->settings.data.sets[0].path != NULL;
}

static bool open_data(bench *x, const em_settings *s, em_error *err) {
    x->b.length = s->data.n_sets ? -1 : s->bench.length;
    if (!s->data.n_sets) return make_data(x, err);
    x->b.rows = s->bench.rows;
    x->settings.data.max_tokens = s->bench.rows
                                      ? s->bench.rows * x->settings.protocol.row_tokens[0] + 1
                                      : 0;
    return true;
}

/* ---- the jobs ---- */

static bool add_job(bench *x, const em_settings *s, em_error *err) {
    em_bench_job *job = &x->b.jobs[x->b.n_jobs++];
    job->settings = *s;
    job->runs = em_alloc((size_t)x->b.repeat, sizeof *job->runs, "runs", err);
    job->ceilings = em_alloc((size_t)x->b.repeat, sizeof *job->ceilings, "runs", err);
    return job->runs && job->ceilings;
}

/* One model under one mask, at its whole depth. */
static bool add_part(bench *x, const em_named_path *model, const em_mask *mask, em_error *err) {
    em_settings one = x->settings;
    one.models.first = *model;
    one.protocol.masks[0] = *mask;
    one.protocol.n_masks = 1;
    one.models.n_compare = one.models.alphas.n = one.models.n_depths = 0;
    one.models.all_depths = false;
    return add_job(x, &one, err);
}

/* What is asked for and, where it is several models, masks or depths at once, its parts. */
static bool list_jobs(bench *x, em_error *err) {
    const em_settings *s = &x->settings;
    int models = s->models.n_compare + 1, parts = models * s->protocol.n_masks;
    bool several = parts > 1 || s->models.all_depths || s->models.n_depths;
    x->b.repeat = s->bench.repeat ? s->bench.repeat : 5;
    x->b.jobs = em_alloc((size_t)parts + 1, sizeof *x->b.jobs, "runs", err);
    if (!x->b.jobs || !add_job(x, s, err)) return false;
    for (int i = 0; several && i < parts; i++)
        if (!add_part(x,
                      i / s->protocol.n_masks ? &s->models.compare[i / s->protocol.n_masks - 1]
                                              : &s->models.first,
                      &s->protocol.masks[i % s->protocol.n_masks], err))
            return false;
    return true;
}

static bool measure(bench *x, em_bench_job *job, int round, em_error *err) {
    em_ceiling before, after;
    if (!em_bench_ceiling(&x->b.machine, &em_interrupted, &before, err) ||
        !em_bench_run(&job->settings, &em_interrupted, &job->runs[round], err) ||
        !em_bench_ceiling(&x->b.machine, &em_interrupted, &after, err))
        return false;
    job->ceilings[round] = (em_ceiling){before.cube, (before.rate + after.rate) / 2,
                                        (before.processor_rate + after.processor_rate) / 2};
    return true;
}

/* Round by round, so that a machine's busy minutes meet all jobs alike. */
static bool run_all(bench *x, em_error *err) {
    bool tell = !x->settings.output.quiet && isatty(STDERR_FILENO);
    for (int round = 0; round < x->b.repeat; round++)
        for (int j = 0; j < x->b.n_jobs; j++) {
            if (tell)
                fprintf(stderr, "\r\033[Krun %d of %d", round * x->b.n_jobs + j + 1,
                        x->b.repeat * x->b.n_jobs);
            if (!measure(x, &x->b.jobs[j], round, err)) return false;
        }
    if (tell) fputs("\r\033[K", stderr);
    return true;
}

/* ---- together ---- */

static bool write_file(const char *path, const em_buffer *text, em_error *err) {
    em_output *out = em_output_open(path, err);
    if (!out || !em_output_write(out, text->data, text->length, err))
        return em_output_abort(out), false;
    return em_output_commit(out, err);
}

static bool report(const bench *x, em_error *err) {
    em_buffer text = {0};
    em_bench_markdown(&x->b, &text);
    bool good = em_print(text.data, text.length, err) == 0;
    for (int i = 0; good && i < x->settings.output.n_files; i++) {
        const char *path = x->settings.output.files[i];
        size_t n = strlen(path);
        em_buffer_clear(&text);
        if (n > 5 && !strcmp(path + n - 5, ".json")) em_bench_json(&x->b, &text);
        else em_bench_markdown(&x->b, &text);
        good = write_file(path, &text, err);
    }
    em_buffer_free(&text);
    return good;
}

static void close_bench(bench *x) {
    for (int i = 0; i < x->b.n_jobs; i++) {
        free(x->b.jobs[i].runs);
        free(x->b.jobs[i].ceilings);
    }
    free(x->b.jobs);
    em_setup_close(&x->b.setup);
    for (int i = 0; i < x->n_files; i++) {
        close(x->files[i]);
        free(x->paths[i]);
    }
}

int em_command_bench(const em_settings *settings, em_error *err) {
    bench x = {.settings = *settings};
    x.b.settings = &x.settings;
    em_catch_interrupt();
    bool good = open_models(&x, settings, err) && choose_machine(&x, err) &&
                open_data(&x, settings, err) && list_jobs(&x, err) && run_all(&x, err) &&
                report(&x, err);
    close_bench(&x);
    return good ? EM_OK : err->status;
}
