/* A tokenizer.json in memory. */
#ifndef EM_TOKENIZE_JSON_MODEL_H
#define EM_TOKENIZE_JSON_MODEL_H

#include "tokenize/added.h"
#include "tokenize/bpe.h"
#include "tokenize/engine.h"
#include "tokenize/normalize.h"
#include "tokenize/pretokenize.h"

typedef struct em_json_model {
    em_vocab vocab;
    em_added raw, normalized; /* added tokens looked for before and after normalization */
    em_normalizer *normalizers;
    size_t n_normalizers, normalizers_capacity;
    em_stage *stages;
    size_t n_stages, stages_capacity;
    em_bpe bpe;
    bool byte_level; /* token strings are in the byte-level alphabet */
} em_json_model;

typedef struct em_json_scratch {
    em_normalize_scratch normalize;
    em_pretokenize_scratch pretokenize;
    em_bpe_scratch bpe;
    em_regex_scratch *regex;
} em_json_scratch;

void *em_json_scratch_new(const void *model, em_error *err);
void em_json_scratch_free(void *scratch);
void em_json_close(void *model);
bool em_json_encode(const void *model, void *scratch, const char *text, size_t n, em_tokens *out,
                    em_error *err);

/* json_parts.c: the components; each refuses by name what it does not know. */
typedef struct json_t json_t;
bool em_json_normalizers(em_json_model *m, const json_t *normalizer, em_error *err);
bool em_json_stages(em_json_model *m, const json_t *pre_tokenizer, em_error *err);
bool em_json_affixes(em_tokenizer *t, em_json_model *m, const json_t *post_processor,
                     em_error *err);

#endif
