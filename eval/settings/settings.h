/* What was asked for, part by part, so that a function takes the part that it needs: models, data,
 * protocol, engine, output. Strings point into the command line and into the config, and live as
 * long as both do. */
#ifndef EM_EVAL_SETTINGS_H
#define EM_EVAL_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "eval/protocol/mask.h"
#include "eval/protocol/scored.h"
#include "eval/settings/alphas.h"
#include "reports/diff/tolerance.h"
#include "reports/formats/formats.h"
#include "reports/results/results.h"

#define EM_MAX_LIST 64

typedef struct em_named_path {
    const char *name, *path;
} em_named_path; /* NAME=PATH; name NULL: none given */

/* ---- models ---- */

typedef enum em_alpha_space {
    EM_ALPHA_LOGIT,
    EM_ALPHA_WEIGHT
} em_alpha_space; /* what alphas combine */

typedef struct em_model_settings {
    em_named_path first;                      /* path NULL: none */
    em_named_path compare[EM_MAX_MODELS - 1]; /* further models, over the same tokens */
    int n_compare;
    em_named_path
        adapters[EM_MAX_MODELS - 1]; /* PEFT LoRAs, each with the first model a further one */
    int n_adapters;
    bool bundled;     /* the config's models, because the user named none */
    em_alphas alphas; /* amplified: (1 + a) * after - a * before */
    em_alpha_space alpha_space;
    int depths[EM_MAX_LIST]; /* [n_depths]: layers kept; none and not all_depths: whole models */
    int n_depths;
    bool all_depths;                         /* 1 … layers, too */
    bool common_vocab;                       /* softmax over the ids that all models have */
    const char *tokenizer, *eos, *bos, *pad; /* NULL: by the model */
} em_model_settings;

/* ---- data ---- */

typedef struct em_data_settings {
    em_named_path sets[EM_MAX_LIST]; /* [n_sets] */
    int n_sets;
    const char *bundled;              /* the config's stand-in for --data, or NULL: the sample */
    const char *subsets[EM_MAX_LIST]; /* [n_subsets]; none: all */
    int n_subsets;
    const char *text_key, *group_by; /* JSON keys of a record */
    int64_t max_docs, max_tokens;    /* 0: all */
    bool skip_bad_records;
    int zstd_window; /* windows of 2^N bytes at most */
} em_data_settings;

/* ---- protocol ---- */

typedef enum em_tail { EM_TAIL_PAD, EM_TAIL_DROP } em_tail;

typedef struct em_protocol_settings {
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
    int32_t stride;          /* tokens from one row's begin to the next's; 0: T */
    em_score_rule score;
    int32_t batch; /* B, rows */
    em_window_mode window;
    em_boundary boundary;
    em_tail tail;
    em_pack_mode packs[2]; /* of runs; each reads the data */
    int n_packs;
    em_pack_mode pack; /* the one in force, at first the first */
    int64_t seed;      /* of the replicates behind intervals of growth */
    bool seed_given;
} em_protocol_settings;

/* What rows of so many tokens are read by, in the packing that is in force. */
em_row_rules em_protocol_row_rules(const em_protocol_settings *p, int32_t row_tokens);
/* Whether mask m (an index) is measured under label scheme l. */
bool em_protocol_combine(const em_protocol_settings *p, int m, int l);

/* ---- engine: figures do not depend on threads and memory ---- */

typedef enum em_dtype_choice {
    EM_DTYPE_AUTO,
    EM_DTYPE_F32,
    EM_DTYPE_BF16,
    EM_DTYPE_F16
} em_dtype_choice;
typedef enum em_device_choice { EM_DEVICE_AUTO, EM_DEVICE_CPU, EM_DEVICE_CUDA } em_device_choice;

typedef struct em_engine_settings {
    em_dtype_choice dtype;
    em_device_choice device;
    int32_t device_index; /* of CUDA devices */
    bool device_given;
    int threads;   /* 0: all cores */
    size_t memory; /* bytes; 0: by the machine */
    bool mixed;    /* ranks on unlike devices */
} em_engine_settings;

/* ---- output ---- */

typedef struct em_output_settings {
    const char *files[EM_MAX_LIST]; /* [n_files] of -o */
    int n_files;
    em_markdown_style markdown;
    const char *baseline; /* results.json that losses are held to; NULL: none */
    em_tolerance tolerance;
    bool has_tolerance;                               /* it was given */
    const char *tokens_file, *profile_file, *journal; /* NULL: not asked for */
    int64_t journal_rows; /* a record after so many rows; 0: by the clock */
    bool quiet;           /* no progress, no notes */
} em_output_settings;

/* ---- single commands ---- */

typedef struct em_inspect_settings {
    int64_t row;                     /* to draw; -1: the first with two documents */
    const char *packed[EM_MAX_LIST]; /* [n_packed]: files of rows that are packed already */
    int n_packed;
} em_inspect_settings;

typedef struct em_audit_settings {
    int32_t layers;        /* depth; 0: the model's, or 1 to 4 */
    int32_t window_layers; /* a window of the model in every layer; 0: none */
} em_audit_settings;

typedef struct em_bench_settings {
    const char *shape, *keep_model; /* NULL: the default one; none */
    int32_t length;                 /* of synthetic documents, in tokens; 0: as in the Pile */
    int64_t rows;                   /* 0: by the model's size, or all of the data */
    int32_t repeat;                 /* runs; 0: 5 */
} em_bench_settings;

#endif
