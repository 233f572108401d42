/* What config.json says about a network, resolved: keys that it leaves out are at their family's
 * default, as Hugging Face transformers has them; both its old (4) and new (5) spellings are read.
 */
#ifndef EM_MODEL_CONFIG_H
#define EM_MODEL_CONFIG_H

#include <jansson.h>
#include "common/buffer.h"
#include "kernels/backend.h"
#include "model/rope.h"

#define EM_MAX_LAYERS 10000
#define EM_MAX_HEAD_DIM 256

typedef struct em_family em_family;

typedef struct em_config {
    const em_family *family;
    char model_type[32]; /* as config.json spells it */
    int layers, hidden, vocab, heads, kv_heads, head_dim, ffn;
    int64_t max_positions;
    double norm_eps;
    em_activation activation;
    bool qkv_bias, o_bias, mlp_bias;
    bool tied;
    bool parallel_residual;
    bool rope_interleaved; /* llama2.c */
    bool scale_attention;  /* GPT-2's scale_attn_weights */
    bool scale_by_layer;   /* GPT-2: attention is divided by the layer's number, from 1 */
    double query_scale;    /* Gemma's query_pre_attn_scalar; 0: head_dim */
    double attention_softcap, logit_softcap; /* 0: none */
    int *window;                             /* [layers], owned; 0: none */
    signed char *rope_of;   /* [layers], owned: index into rope, -1: no rotary embedding */
    em_rope_config rope[2]; /* [1]: Gemma 3's sliding layers */
    int32_t eos;            /* -1: none */
    bool eos_named;         /* by config.json itself, not by the family's default */
    char eos_note[160];
    char omitted[192]; /* dimensions that config.json leaves out, with their defaults */
} em_config;

/* source names config.json in errors. Errors (EM_INPUT) name the key, or what is not supported. */
bool em_config_read(const char *source, const void *data, size_t size, em_config *out,
                    em_error *err);
void em_config_free(em_config *c); /* frees and zeroes */

/* eos_token_id of a config or generation_config: the first of a list, the others in the note. */
bool em_config_eos(const json_t *root, const char *source, int32_t *eos, char note[160],
                   em_error *err);

/* Appends what the network's figures depend on as key=value lines, sorted by key: part of the
 * model's fingerprint, so a line that changes makes every fingerprint another. */
void em_config_describe(const em_config *c, em_buffer *out);

/* ---- for families: typed reads of one object ---- */

typedef struct em_config_reader {
    const json_t *root;
    const char *source;
    em_error *err;
} em_config_reader;

/* A key that is missing or null leaves *out as it is. false: err is set. */
bool em_read_int(const em_config_reader *r, const char *key, int64_t least, int64_t most,
                 int64_t *out);
bool em_read_number(const em_config_reader *r, const char *key, double *out);
bool em_read_positive(const em_config_reader *r, const char *key,
                      double *out); /* finite and above 0 */
bool em_read_bool(const em_config_reader *r, const char *key, bool *out);
bool em_config_fail(const em_config_reader *r, const char *key, const char *what);

#endif
