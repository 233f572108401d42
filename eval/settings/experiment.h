/* A config: an experiment as a JSON file. Its options are those of the command line, by the same
 * names.
 *
 *     {"title": "…", "about": "one line for the list", "table": "base-vs-instruct", "command":
 * "run", "options": {"mask": "doc,regular", "seq-len": 1024, "common-vocab": true, "subset": ["a",
 * "b"]}, "bundled": {"model": "base.bin", "compare": "instruct.bin", "data": "sample.jsonl.zst"}}
 *
 * An array gives an option once for each entry. What is bundled lies in share/evalmask and stands
 * in where the user names no model and no data. */
#ifndef EM_EVAL_EXPERIMENT_H
#define EM_EVAL_EXPERIMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "common/error.h"

typedef struct em_experiment_option {
    char *name;   /* without the dashes */
    char *value;  /* NULL: a flag */
    int64_t byte; /* of its name, in the file */
} em_experiment_option;

typedef struct em_experiment {
    char *path;                    /* all strings are owned */
    char *title, *about;           /* "" where there is none */
    char *table;                   /* a published table (reports/published/published.h), or "" */
    bool inspect;                  /* command: of evalmask inspect, not of a run */
    em_experiment_option *options; /* in the file's order; a name may come again */
    int n_options;
    em_experiment_option
        *bundled; /* model, compare, adapter, data: names of files in share/evalmask */
    int n_bundled;
} em_experiment;

/* name: a file's path, or the name of an installed config. The caller frees it. Errors, here and
 * below: NULL or false; EM_USAGE with file and byte, EM_MACHINE without memory. */
em_experiment *em_experiment_open(const char *name, em_error *err);
/* text: [n] bytes of JSON; path names them in errors. */
em_experiment *em_experiment_parse(const char *path, const char *text, size_t n, em_error *err);
/* With all its strings; c may be NULL. */
void em_experiment_free(em_experiment *c);

/* Prints the installed configs by name, each with its line about. EM_USAGE where there is none. */
bool em_experiment_list(FILE *out, em_error *err);

#endif
