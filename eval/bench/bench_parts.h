/* The parts of `evalmask bench`: a random checkpoint of a true shape, synthetic documents, and the
 * program itself run on them as a user runs it, one process a run. */
#ifndef EM_EVAL_BENCH_PARTS_H
#define EM_EVAL_BENCH_PARTS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include "common/buffer.h"
#include "eval/settings/options.h"
#include "eval/process/profile.h"
#include "eval/setup/setup.h"
#include "kernels/ceiling.h"

/* ---- models ---- */

typedef struct em_shape {
    const char *name;
    int vocab, hidden, layers, heads, kv_heads, head_dim, ffn;
    bool tied;
    double rope_theta;
} em_shape;

const em_shape *em_shape_find(const char *name,
                              em_error *err); /* NULL: EM_USAGE, with the names there are */
typedef struct em_shape_file {
    uint64_t seed;
    bool shared; /* matrices lie over one another: a file of the largest one's size, which is soon
                    written */
} em_shape_file;

/* A Llama of that shape as a .bin at the open file's beginning: weights in bf16, one random block
 * over and over; norms are 1. Errors: EM_MACHINE; EM_INTERRUPTED once *stop is not 0. */
bool em_shape_write(const em_shape *s, const em_shape_file *how, int file,
                    const volatile sig_atomic_t *stop, em_error *err);

/* ---- data ---- */

/* Appends JSONL records of words that are one token each, until the documents have that many tokens
 * together with what the setup puts round them. length: of every document, in tokens; 0: as in the
 * Pile. Returns the number of documents; -1 with err where the tokenizer has too few such words. */
int64_t em_bench_text(const em_setup *setup, int32_t length, int64_t tokens, em_buffer *out,
                      em_error *err);

/* ---- runs ---- */

/* What the runs compute on. */
typedef struct em_bench_machine {
    bool cuda;
    int device; /* of CUDA devices */
    em_backend_options options;
} em_bench_machine;

/* The rate of its matrix products. A device's is measured in a process of its own, so that this one
 * holds none of its memory while the runs have it. Errors: EM_MACHINE; EM_INTERRUPTED once *stop is
 * not 0. */
bool em_bench_ceiling(const em_bench_machine *m, const volatile sig_atomic_t *stop, em_ceiling *out,
                      em_error *err);

/* One job: what the options say, and the runs of it so far. */
typedef struct em_bench_job {
    em_settings settings;
    em_profile *runs;     /* [repeat] */
    em_ceiling *ceilings; /* [repeat]: measured beside each run */
} em_bench_job;

/* Runs the program in a process of its own, its report thrown away. Errors: the run's own status,
 * after its message. *stop: set by a signal handler; the run is ended then, and EM_INTERRUPTED
 * given. */
bool em_bench_run(const em_settings *settings, const volatile sig_atomic_t *stop, em_profile *out,
                  em_error *err);

/* ---- the report ---- */

typedef struct em_bench {
    const em_settings *settings;
    em_setup setup;
    em_bench_machine machine;
    const char *shape;       /* NULL: the model is given */
    const char *model_name;  /* "smollm-135m, random weights", or the path */
    int32_t length;          /* of synthetic documents; 0: the Pile's; -1: the data is real */
    int64_t rows, documents; /* rows 0: all of the data; documents 0: the data is real */
    int repeat;
    em_bench_job
        *jobs; /* [n_jobs]: the job asked for, then, where it is several in one, each apart */
    int n_jobs;
} em_bench;

/* Append the report to *out: for people, with the command that repeats it, and as JSON. */
void em_bench_markdown(const em_bench *b, em_buffer *out);
/* Appends the figures as JSON, for -o. */
void em_bench_json(const em_bench *b, em_buffer *out);

#endif
