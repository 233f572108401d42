/* The command line: one table of options serves parsing, --help, and the man page. */
#ifndef EM_EVAL_OPTIONS_H
#define EM_EVAL_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>
#include "common/buffer.h"
#include "common/error.h"
#include "eval/settings/experiment.h"
#include "eval/settings/settings.h"
#include "reports/explore/explore.h"

typedef enum em_command {
    EM_RUN = 1 << 0, /* evalmask --model … */
    EM_INSPECT = 1 << 1,
    EM_AUDIT = 1 << 2,
    EM_CONVERT = 1 << 3,
    EM_TOKENIZE = 1 << 4,
    EM_HELP = 1 << 5,
    EM_VERSION_COMMAND = 1 << 6,
    EM_BENCH = 1 << 7,
    EM_REPORT = 1 << 8,
    EM_DIFF = 1 << 9,
    EM_EXPLORE = 1 << 10 /* takes the options of a run, too */
} em_command;

/* What the user asked for. Strings point into argv and into the config; the settings live as long
 * as both do. */
typedef struct em_settings {
    em_command command;
    em_command help_for; /* with EM_HELP */
    bool help_as_man, help_configs;
    em_experiment *experiment; /* --config, or NULL; owned */

    em_model_settings models;
    em_data_settings data;
    em_protocol_settings protocol;
    em_engine_settings engine;
    em_output_settings output;

    em_inspect_settings inspect;
    em_audit_settings audit;
    em_bench_settings bench;
    em_explore_options explore;
    bool anyway;     /* diff: compare what measured different things, too */
    bool no_special; /* tokenize: without the tokens that the tokenizer adds by itself */

    const char *arguments[EM_MAX_LIST]; /* [n_arguments]: what is not an option */
    int n_arguments;

    em_buffer
        given; /* what moves figures or outputs: lines --NAME, tab, the value as JSON; owned */
    const char *not_with_packed; /* an option given that means nothing with --packed, or NULL */
} em_settings;

/* argv[0] is skipped. Options of the command line stand in for the config's. Errors: EM_USAGE, with
 * the nearest option for a misspelt one. */
bool em_options_parse(int argc, char **argv, em_settings *out, em_error *err);
/* Of settings that em_options_parse has seen, good or not. */
void em_settings_free(em_settings *s);

/* Says on stderr which options were given and move nothing beside the others; not when quiet. */
void em_settings_notes(const em_settings *s);

/* Help on a command for people, in 80 columns. */
void em_options_help(FILE *out, em_command command);
/* Help on all commands as a man page (troff). */
void em_options_man(FILE *out);

#endif
