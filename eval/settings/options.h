/* The command line: one table of options serves parsing, --help, and the man page. */
#ifndef EM_EVAL_OPTIONS_H
#define EM_EVAL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "common/buffer.h"
#include "common/error.h"
#include "reports/results/results.h"
#include "eval/settings/alphas.h"
#include "eval/settings/experiment.h"
#include "eval/protocol/mask.h"
#include "eval/protocol/scored.h"
#include "reports/explore/explore.h"
#include "reports/formats/formats.h"
#include "reports/diff/tolerance.h"

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

typedef struct em_named_path {
    const char *name, *path;
} em_named_path; /* NAME=PATH; name NULL: none given */

#define EM_MAX_LIST 64

typedef enum em_tail { EM_TAIL_PAD, EM_TAIL_DROP } em_tail;
typedef enum em_alpha_space {
    EM_ALPHA_LOGIT,
    EM_ALPHA_WEIGHT
} em_alpha_space; /* what alphas combine */
typedef enum em_dtype_choice {
    EM_DTYPE_AUTO,
    EM_DTYPE_F32,
    EM_DTYPE_BF16,
    EM_DTYPE_F16
} em_dtype_choice;
typedef enum em_device_choice { EM_DEVICE_AUTO, EM_DEVICE_CPU, EM_DEVICE_CUDA } em_device_choice;

/* What the user asked for. Strings point into argv and into the config; the settings live as long
 * as both do. */
typedef struct em_settings {
    em_command command;
    em_command help_for; /* with EM_HELP */
    bool help_as_man, help_configs;
    em_experiment *experiment; /* --config, or NULL; owned */
    bool bundled_models;       /* the config's, because the user named none */
    const char *bundled_data;  /* the config's stand-in for --data, or NULL: the sample */

    em_named_path model;
    em_named_path compare[EM_MAX_MODELS - 1]; /* further models, over the same tokens */
    int n_compare;
    em_named_path
        adapters[EM_MAX_MODELS - 1]; /* PEFT LoRAs, each with the first model a further one */
    int n_adapters;
    em_alphas alphas; /* amplified: (1 + a) * after - a * before */
    em_alpha_space alpha_space;
    bool all_depths, common_vocab;
    int depths[EM_MAX_LIST]; /* layers kept */
    int n_depths;
    int64_t seed; /* of bootstrap intervals */
    bool seed_given;
    const char *tokenizer, *eos, *bos, *pad; /* NULL: by the model */

    em_named_path data[EM_MAX_LIST];
    int n_data;
    const char *subsets[EM_MAX_LIST];
    int n_subsets;
    const char *text_key, *group_by;
    int64_t max_docs, max_tokens; /* 0: all */
    bool skip_bad_records;
    int zstd_window;

    em_mask masks[EM_MAX_LIST];
    const em_label_scheme
        *mask_labels[EM_MAX_LIST]; /* of MASK@LABELS, or NULL: with all of --labels */
    int n_masks;
    const em_label_scheme *labels[EM_MAX_LIST];
    bool only_bound[EM_MAX_LIST]; /* [n_labels]: named by MASK@LABELS only */
    int n_labels;
    em_positions positions[3];
    int n_positions;
    int32_t row_tokens[EM_MAX_LIST]; /* T, ascending; none: 1024, or the model's limit */
    int n_row_tokens;
    int32_t row_tokens_from; /* FROM..limit: doubled up to the model's limit; 0: not asked for */
    int32_t batch;           /* B */
    em_window_mode window;
    em_boundary boundary;
    em_tail tail;
    em_pack_mode packs[2]; /* of runs; each reads the data */
    int n_packs;
    em_pack_mode pack; /* the one in force, at first the first */

    em_dtype_choice dtype;
    em_device_choice device;
    int32_t device_index; /* of CUDA devices */
    bool device_given;
    int threads;   /* 0: all cores */
    size_t memory; /* bytes; 0: by the machine */
    bool mixed;    /* ranks on unlike devices */

    const char *outputs[EM_MAX_LIST]; /* -o */
    int n_outputs;
    const char *baseline; /* results.json that losses are held to; NULL: none */
    em_tolerance tolerance;
    bool has_tolerance; /* it was given */
    bool anyway;        /* diff */
    em_markdown_style markdown;
    em_explore_options explore;
    const char *tokens_file;
    const char *profile_file;
    bool quiet;
    const char *journal;
    int64_t journal_rows; /* a record after so many rows; 0: by the clock */
    em_buffer
        given; /* what moves figures or outputs: lines --NAME, tab, the value as JSON; owned */

    int32_t layers;                  /* audit: depth; 0: the model's, or 1 to 4 */
    int32_t window_layers;           /* audit: --model-window */
    int64_t row;                     /* inspect */
    const char *packed[EM_MAX_LIST]; /* inspect: files of rows that are packed already */
    int n_packed;
    const char *not_with_packed; /* an option given that means nothing with --packed, or NULL */
    bool no_special;             /* tokenize */

    const char *shape, *keep_model; /* bench */
    int32_t length; /* bench: of synthetic documents, in tokens; 0: as in the Pile */
    int64_t rows;   /* bench; 0: by the model's size, or all of the data */
    int32_t repeat; /* bench; 0: 5 */

    const char *arguments[EM_MAX_LIST]; /* what is not an option */
    int n_arguments;
} em_settings;

/* argv[0] is skipped. Options of the command line stand in for the config's. Errors: EM_USAGE, with
 * the nearest option for a misspelt one. */
bool em_options_parse(int argc, char **argv, em_settings *out, em_error *err);
/* Of settings that em_options_parse has seen, good or not. */
void em_settings_free(em_settings *s);

/* Whether mask m (an index) is measured under label scheme l. */
bool em_settings_combine(const em_settings *s, int m, int l);

/* Appends a line for each option that was given and moves nothing beside the others. */
void em_settings_idle(const em_settings *s, em_buffer *out);

/* Help for people (80 columns) or as a man page. */
void em_options_help(FILE *out, em_command command);
void em_options_man(FILE *out);

#endif
