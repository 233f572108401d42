/* What a journal belongs to, as lines of KEY, a tab and a value: the program's own bytes, the
 * device, the options that move figures or outputs, and every input file's size, time and first
 * MiB. */
#ifndef EM_EVAL_IDENTITY_H
#define EM_EVAL_IDENTITY_H

#include "common/buffer.h"
#include "eval/setup/inputs.h"
#include "eval/setup/setup.h"
#include "kernels/backend.h"

/* What a run was asked for, beside what its setup has opened. */
typedef struct em_identity_source {
    const char *given; /* lines, as em_settings has them, or NULL */
    em_input_paths inputs;
} em_identity_source;

/* Appends the lines. EM_USAGE where an input cannot be read twice (stdin, a pipe). */
bool em_identity_make(em_buffer *out, const em_identity_source *source, const em_setup *setup,
                      const em_backend *backend, em_error *err);

/* Whether both texts are the same; else EM_USAGE, naming the first line in which they differ. */
bool em_identity_check(const char *journal, const char *theirs, const char *ours, em_error *err);

#endif
