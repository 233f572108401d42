/* A tokenizer.json in memory. */
#ifndef EM_TOKENIZE_JSON_MODEL_H
#define EM_TOKENIZE_JSON_MODEL_H

#include "tokenize/added.h"
#include "tokenize/bpe.h"
#include "tokenize/engine.h"
#include "tokenize/normalize.h"
#include "tokenize/pretokenize.h"
#include "tokenize/unigram.h"

/* An added token; its text is the vocabulary's. */
typedef struct em_json_added {
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
} em_json_added;

typedef struct em_json_model {
    em_vocab vocab;
    int32_t model_count;  /* tokens of the model's own vocabulary */
    em_json_added *added; /* in order */
    size_t n_added, added_capacity;
    int32_t highest_added;    /* id; -1: there is none */
    em_added raw, normalized; /* added tokens looked for before and after normalization */
    em_normalizer *normalizers;
    size_t n_normalizers, normalizers_capacity;
    em_stage *stages;
    size_t n_stages, stages_capacity;
    bool is_unigram; /* which of the two there is */
    em_unigram unigram;
    em_bpe bpe;
    bool byte_level; /* token strings are in the byte-level alphabet */
} em_json_model;

typedef struct em_json_scratch {
    em_normalize_scratch normalize;
    em_pretokenize_scratch pretokenize;
    em_bpe_scratch bpe; /* its cache, for Unigram too */
    em_unigram_scratch unigram;
    em_regex_scratch *regex;
} em_json_scratch;

/* em_engine's functions; see engine.h. */
void *em_json_scratch_new(const void *model, em_error *err);
void em_json_scratch_free(void *scratch);
void em_json_close(void *model);
bool em_json_encode(const void *model, void *scratch, const char *text, size_t n, em_tokens *out,
                    em_error *err);

/* json_added.c: the same, of added tokens and the space before a text. */
bool em_json_is_added(const void *model, const char *text, em_extra *flags);
bool em_json_add(void *model, const em_extra *token, int32_t *id, em_error *err);
bool em_json_ready(void *model, em_error *err);
em_prefix_space em_json_prefix_space(const void *model);
bool em_json_set_prefix_space(void *model, bool there, em_error *err);
bool em_json_like_llama(const void *model, int prepend);

/* json_parts.c: fill the model's components from tokenizer.json's sections (NULL or null: none).
 * Each refuses by name what it does not know (EM_INPUT). */
typedef struct json_t json_t;
bool em_json_normalizers(em_json_model *m, const json_t *normalizer, em_error *err);
bool em_json_stages(em_json_model *m, const json_t *pre_tokenizer, em_error *err);
/* Fills t's prefix and suffix; the tokens it names must be in m's vocabulary. */
bool em_json_affixes(em_tokenizer *t, em_json_model *m, const json_t *post_processor,
                     em_error *err);

#endif
