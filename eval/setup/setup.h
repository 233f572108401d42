/* What every command that looks at data needs before it starts: model, tokenizer, the EOS and
 * BOS in force and where they come from, and loaders for the data sets. */
#ifndef EM_EVAL_SETUP_H
#define EM_EVAL_SETUP_H

#include "common/notes.h"
#include "eval/settings/settings.h"
#include "loader/loader.h"
#include "loader/pack.h"
#include "model/network.h"
#include "tokenize/tokenizer.h"

#define EM_MAX_AROUND 8

typedef struct em_special { /* EOS or BOS in force */
    int32_t id;             /* -1: none */
    char text[64];          /* the vocabulary's own string for it */
    char origin[64];        /* "config.json", "--eos", … */
    char note[160];         /* other candidates, or "" */
} em_special;

typedef struct em_dataset { /* one row of the table: what is read, and how it becomes rows */
    const char *name;       /* of --data, or "" */
    char shown[64]; /* name, and the packing where there are two; "" where there is one of each */
    em_pack_mode pack;
    const char *paths[EM_MAX_LIST];
    int n_paths;
    char left_out[384]; /* what its directories hold and nobody reads, or "" */
} em_dataset;

typedef struct em_setup {
    em_model *model;                 /* models[0]; NULL where the command works without one */
    em_model *models[EM_MAX_MODELS]; /* --model, every --compare, every --adapter; then, of
                                        --alpha-space weight, one for each alpha but -1 and 0 */
    char names[EM_MAX_MODELS]
              [64]; /* as in results: as given; else the file's, or of two "before" and "after" */
    char groups[EM_MAX_MODELS][64]; /* the group of repeated trainings that it is one of, or "" */
    int n_models, n_named;          /* n_named: without those of alphas */
    int amplified[EM_MAX_ALPHAS];   /* under --alpha-space weight: the model of each alpha */
    em_tokenizer *tokenizer;
    char tokenizer_source[4300]; /* which file, for reports */
    em_special eos, bos;
    em_special pad;                                      /* of --packed rows */
    int32_t before[EM_MAX_AROUND], after[EM_MAX_AROUND]; /* put round every text */
    int n_before, n_after;
    int32_t row_lengths[EM_MAX_LIST]; /* every T in force, ascending */
    int n_row_lengths;
    int32_t row_tokens;        /* the longest of them */
    em_notes notes;            /* of the models' and the tokenizer's files */
    char row_tokens_note[160]; /* why T is not what one would expect, or "" */
    em_dataset datasets[2 * EM_MAX_LIST];
    int n_datasets;
    const char *text_key; /* of their records */
    bool bundled_sample;  /* no --data was given, and no config names data of its own */
    int threads;
    int node_rank, node_ranks; /* of this process, where several share a run; set by the caller. 0,
                                  0: it is alone */
    size_t taken; /* bytes that are resident without networks, or will be by the loader */
    const volatile sig_atomic_t
        *stop; /* for its loaders: see em_loader_options; set by the caller, or NULL */
} em_setup;

/* What is to be opened. */
typedef struct em_setup_needs {
    const em_model_settings *models;
    const em_data_settings *data;         /* NULL: no data */
    const em_protocol_settings *protocol; /* row lengths and packings */
    int threads;                          /* 0: all cores */
    bool eos_optional;                    /* to know none is no error */
} em_setup_needs;

/* Opens models (where one is named) and tokenizer and resolves everything above. What needs points
 * to outlives the setup. Errors: EM_USAGE for what does not go together, EM_INPUT for files, naming
 * them. Release: em_setup_close, not after a failure. */
bool em_setup_open(em_setup *s, const em_setup_needs *needs, em_error *err);
/* All of it, the models made of others first; harmless on a setup of zeros. */
void em_setup_close(em_setup *s);
/* Says on stderr what stands in for what was not given. */
void em_setup_notes(const em_setup *s);

/* The documents of a data set, tokenized. The caller closes it, before the setup. */
em_loader *em_setup_loader(const em_setup *s, const em_data_settings *data, const em_dataset *d,
                           em_error *err);

/* Model i's network on a backend, within its share of `memory` bytes (0: half of the machine's), of
 * which the process as it stands and the loader take their part first; the models share the rest
 * evenly. needs: row_tokens, want_tokens, n_labels, n_depths, n_alphas and vocab of
 * em_network_options; the rest is filled in. The caller closes it, before the setup. */
em_network *em_setup_network(const em_setup *s, size_t memory, int i, em_backend *backend,
                             const em_network_options *needs, em_error *err);

#endif
