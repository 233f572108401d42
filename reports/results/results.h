/* What a run found out: the types that eval/ fills and reports/ shows. Design §4 and §9 say what
 * each figure means. Strings are owned by the results (fixed arrays or malloc'd, freed together).
 */
#ifndef EM_REPORTS_RESULTS_H
#define EM_REPORTS_RESULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct em_fingerprints {
    char data[17], protocol[17], model[17];
} em_fingerprints; /* 16 hex digits */

/* Part of a result's predictions: a subset, a stretch of document positions, a leak class. */
typedef struct em_slice {
    char *name;        /* owned; NULL where the slice is named by from and to */
    int64_t from, to;  /* by position in the document: [from, to) */
    int64_t documents; /* subsets only */
    int64_t predictions, top1_count;
    double nll;      /* sum */
    double text_nll; /* of text tokens */
    int64_t text_bytes;
} em_slice;

/* The mean difference over some predictions, in nats, with what says how sure it is. */
typedef struct em_difference {
    int64_t predictions, groups;
    double difference, stderr_, low, high; /* low, high: 95 % interval; NaN: none, null */
    double documents_to_resolve;           /* that would put 0 at the edge of a 95 % interval */
} em_difference;

enum { EM_NO_DEPTH = -1 }; /* the whole model, without --depth */

typedef struct em_result {
    char data_set[64]; /* "" where there is one without a name */
    bool has_alpha;    /* model is "amplified" at alpha */
    double alpha;
    int depth;      /* layers kept, or EM_NO_DEPTH */
    char group[64]; /* of repeated trainings that the model is one of, or "" */
    char model[64], mask[32], labels[24], positions[16];
    char offset_words[64]; /* "the next token" */
    char pack[8];          /* "stream": rows across documents; "none": each by itself */
    char window[8]; /* of labels that the caller shifts: "next" or "inside"; "" where none does */
    char mask_words[112]; /* "causal within the document" */
    int offset;
    int32_t seq_len, batch;
    int64_t rows, batches, documents;          /* that hold predictions (rows: that went through) */
    int64_t segments;                          /* parts of documents in those rows */
    int64_t dropped_rows, dropped_tokens;      /* by --tail drop */
    int64_t predictions, boundary_predictions; /* counted ones; those dropped by --boundary drop are
                                                  not among them */
    double loss, loss_batch_mean, loss_doc_mean,
        loss_no_boundary; /* NaN where there is nothing to average */
    double perplexity, bits_per_byte, bits_per_byte_all, top1, stderr_; /* NaN: null */
    double low, high; /* 95 % interval of the loss; NaN: none, null */
    int64_t groups;
    bool groups_are_rows;
    bool leak;
    em_slice clean, direct, indirect;
    bool has_common; /* several row lengths: the predictions that are scored at every one */
    em_slice common;
    em_slice *subsets; /* owned, by name */
    int n_subsets;
    em_slice *by_position; /* owned, ascending */
    int n_by_position;
    char weight_dtype[128], compute_dtype[8], logit_dtype[8];
    em_fingerprints fingerprints;
} em_result;

enum { EM_KL_QUANTILES = 4 }; /* 50, 90, 99 and 99.9 % */

typedef enum em_comparison_kind {
    EM_COMPARE_MODELS, /* two models, or a model and an alpha, under one mask and positions */
    EM_COMPARE_MASKS /* one model (or alpha, or depth) under two masks, or two kinds of positions */
} em_comparison_kind;

/* Two sides on the same predictions; differences are after minus before, in nats. */
typedef struct em_comparison {
    em_comparison_kind kind;
    char data_set[64], before[64],
        after[64];                /* models: the same one twice under EM_COMPARE_MASKS */
    char mask[32], positions[16]; /* of after, and of both under EM_COMPARE_MODELS */
    char mask_before[32], positions_before[16];
    char labels[24];
    int32_t seq_len;
    int depth;      /* of both, or EM_NO_DEPTH */
    bool has_alpha; /* after is the amplified model at alpha (under EM_COMPARE_MASKS before is, too)
                     */
    double alpha;
    bool groups_are_rows;
    em_difference all;
    double perplexity_ratio, better, same_top1;        /* shares of predictions */
    double probability_change, probability_change_rms; /* of the label's probability */
    bool has_kl;
    double kl_mean, kl_max,
        kl_quantiles[EM_KL_QUANTILES]; /* KL(after || before); quantiles: upper edges of bins */
    em_slice boundary, inside;         /* nll: sums of differences, here and below */
    em_slice *subsets, *by_position;   /* owned */
    int n_subsets, n_by_position;

    /* EM_COMPARE_MASKS: predictions that the choice can affect (design §2), and the difference on
     * them alone. None: the masks are identical on this data, and what is left is rounding. */
    int64_t affected_direct, affected_indirect;
    em_difference affected;

    /* Several row lengths: on the predictions that are scored at every one. growth: by how much the
     * difference exceeds that at the shortest row length, on the same predictions; its groups are
     * stretches of the longest. */
    bool has_common;
    em_difference common;
    int64_t common_affected;                /* EM_COMPARE_MASKS */
    double growth, growth_low, growth_high; /* NaN at the shortest */
} em_comparison;

typedef struct em_data_totals {
    int64_t documents, empty_documents, bad_records, filtered_records;
    int64_t tokens, bytes, rows, batches;
} em_data_totals;

typedef struct em_data_set {
    char name[64];
    char pack[8]; /* as of its results */
    em_data_totals totals;
    char first_bad[512]; /* the first skipped record, or "" */
} em_data_set;

/* Mean over data sets of one model, mask, label scheme and kind of positions. */
typedef struct em_mean {
    bool has_alpha;
    double alpha;
    int depth;
    int32_t seq_len;
    char model[64], mask[32], labels[24], positions[16];
    double macro, micro; /* mean of the losses; mean over all predictions */
} em_mean;

/* A condition on a result that a run is held to: --baseline, a check of a config. Figures in nats;
 * NaN: none. */
typedef struct em_gate {
    char *name; /* owned: what is held, such as "base, doc, unshifted" */
    bool passed;
    char *message; /* owned: one sentence */
    double baseline, current, difference, tolerance;
} em_gate;

typedef struct em_key_value {
    char key[32];
    char *value;
} em_key_value;

#define EM_MAX_MODELS 16

typedef struct em_model_line {
    char name[64], family[32];
    char group[64]; /* of repeated trainings: --model NAME=a,b,c; or "" */
    int64_t parameters;
    int layers, vocab;
} em_model_line;

typedef struct em_results {
    char version[24]; /* of the evalmask that measured; "": this one */
    bool partial;     /* interrupted */
    char table[32];   /* the published table that a config asks for (reports/published/published.c),
                         or "" */
    char title[160];  /* the config's, or "" */
    em_model_line models[EM_MAX_MODELS];
    int n_models;
    em_key_value *protocol; /* what all results share, for results.json and in words */
    int n_protocol;
    em_data_set *data_sets;
    int n_data_sets;
    em_result *results;
    int n_results;
    em_mean *means; /* with several data sets */
    int n_means;
    em_comparison *comparisons;
    int n_comparisons;
    em_gate *gates;
    int n_gates;
    char **notes; /* sentences a reader must see */
    int n_notes;
} em_results;

/* Frees what r owns and zeroes r; one that is half read may be freed too. */
void em_results_free(em_results *r);
/* Adds a sentence, printf's. Where memory is out the program ends with exit code 4, here and below.
 */
void em_results_note(em_results *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Adds a gate without figures, for the caller to fill in: owned by r, good until the next one; name
 * is copied. */
em_gate *em_results_gate(em_results *r, bool passed, const char *name, const char *message_format,
                         ...) __attribute__((format(printf, 4, 5)));
/* Adds a line of the protocol; key is copied, at most 31 bytes of it. */
void em_results_protocol(em_results *r, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define EM_LN2 0.69314718055994530942

/* Mean NLL (or difference) over the slice's predictions, nats; NaN where there is none. */
double em_slice_loss(const em_slice *s);
/* NLL of its text tokens in bits per byte of their text; NaN where there is no text. */
double em_slice_bits_per_byte(const em_slice *s);
/* The version that measured: this one's where r names none. Owned by r, or static. */
const char *em_results_version(const em_results *r);

#endif
