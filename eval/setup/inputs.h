/* Every file that a run reads: the one list of them, for what a journal belongs to and for what
 * must not be written over. */
#ifndef EM_EVAL_INPUTS_H
#define EM_EVAL_INPUTS_H

#include <stdbool.h>
#include <stddef.h>
#include "common/error.h"
#include "eval/setup/setup.h"

typedef struct em_input {
    char *path;       /* owned; "-" is stdin */
    const char *what; /* "its model", "its data" … */
} em_input;

typedef struct em_inputs {
    em_input *files;
    size_t n, capacity;
} em_inputs;

/* Those that the setup does not know; NULL: not given. */
typedef struct em_input_paths {
    const char *tokenizer, *config, *baseline;
} em_input_paths;

/* Models, adapters, tokenizer, config, baseline and data, those in directories one by one. Appends
 * to *out, which starts as {0} and is the caller's to free, also on failure. EM_INPUT: a directory
 * that cannot be listed; EM_MACHINE. */
bool em_inputs_of_run(em_inputs *out, const em_input_paths *given, const em_setup *setup,
                      em_error *err);
/* One file, or the files of a model's or adapter's directory. Errors as above. */
bool em_inputs_add(em_inputs *out, const char *path, const char *what, em_error *err);
/* Frees what x owns and makes it {0}. */
void em_inputs_free(em_inputs *x);

/* Whether none of the outputs (NULL: not asked for) is one of the inputs, under whatever name and
 * through links; else EM_USAGE, which names both. To be asked before anything is written. */
bool em_inputs_apart(const em_inputs *x, const char *const *outputs, int n, em_error *err);

#endif
