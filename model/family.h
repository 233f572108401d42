/* The families: what each one's config.json and tensors are called, its defaults, and what its
 * layers do. A new family is a row in family.c, with a function where a row cannot say it. */
#ifndef EM_MODEL_FAMILY_H
#define EM_MODEL_FAMILY_H

#include "model/config.h"

/* config.json's keys for the dimensions; NULL: the family has no such key. */
typedef struct em_family_keys {
    const char *layers, *hidden, *heads, *kv_heads, *head_dim, *ffn, *max_positions, *activation,
        *norm_eps;
} em_family_keys;

typedef enum em_bias {
    EM_BIAS_NONE,
    EM_BIAS_ALWAYS,
    EM_BIAS_KEY_FALSE,
    EM_BIAS_KEY_TRUE
} em_bias; /* KEY: attention_bias, mlp_bias and its default */

typedef enum em_matrix_layout {
    EM_SEPARATE,     /* q, k, v each [out, in] */
    EM_FUSED_CONV1D, /* GPT-2: every matrix is [in, out]; one [hidden, 3 * hidden] for q, k, v side
                        by side */
    EM_FUSED_BY_HEAD /* GPT-NeoX: one [heads * 3 * head_dim, hidden]: q, k, v of head 0, then of
                        head 1 … */
} em_matrix_layout;

/* Tensor names without ".weight" / ".bias"; the layers' own ones come after prefix and layer
 * ("layers.%d."). */
typedef struct em_family_names {
    const char *prefixes[5]; /* tried in order, ended by NULL */
    const char *outputs[4];  /* names of the head without prefix, ended by NULL */
    const char *tokens, *positions, *final_norm, *layer;
    const char *attention_in, *attention_out, *ffn_in, *ffn_out;
    const char *q, *k, *v, *qkv, *o, *q_norm, *k_norm, *gate, *up, *down;
    const char *ignored[5]; /* beginnings of tensors of other modules (images), ended by NULL */
} em_family_names;

struct em_family {
    const char *model_type;
    const em_family_keys *keys;
    const em_family_names *names;
    em_matrix_layout layout;
    em_norm_kind norm;
    em_head_norm head_norm;
    bool gated, norm_plus_one, scaled_embedding;
    bool tied; /* default of tie_word_embeddings */
    em_bias qkv_bias, o_bias, mlp_bias;
    /* Defaults of the class; kv_heads 0: as many as heads; head_dim 0: hidden / heads; ffn 0: 4 *
     * hidden. */
    int vocab, layers, hidden, heads, kv_heads, head_dim, ffn, max_positions;
    double norm_eps;
    const char *activation;
    double theta; /* 0: no rotary embedding, but for what read() sets */
    int32_t eos;
    /* What a row cannot say: windows, scales, frequencies by layer. NULL: nothing. */
    bool (*read)(const em_config_reader *r, em_config *c);
};

const em_family *em_family_find(const char *model_type); /* NULL: not supported */
const char *em_family_list(void);                        /* "gemma2, gemma3, …", for errors */
/* Gemma 3 with images: the text model's config is under text_config. */
bool em_family_is_nested(const char *model_type);

/* Frequencies from rope_parameters or rope_scaling in `object` (may be NULL) over the defaults in
 * *out. name: the key, for errors. */
bool em_read_rope(const em_config_reader *r, const json_t *object, const char *name,
                  const em_config *c, em_rope_config *out);

#endif
