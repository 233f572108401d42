/* The families: what each one's config.json and tensors are called, its defaults, and what its
 * layers are made of. A new family is a row in a file of model/families/, with a reader where a row
 * cannot say it. */
#ifndef EM_MODEL_FAMILIES_FAMILY_H
#define EM_MODEL_FAMILIES_FAMILY_H

#include "model/config/config.h"
#include "model/config/config_reader.h"

/* config.json's keys; NULL: the family has no such key. */
typedef struct em_family_keys {
    const char *layers, *hidden, *heads, *kv_heads, *head_dim, *ffn, *max_positions, *activation,
        *norm_eps;
    const char *rope_theta, *rope_partial; /* NULL: rope_theta, partial_rotary_factor */
} em_family_keys;

/* Tensor names without ".weight" / ".bias"; the layers' own ones come after prefix and layer
 * ("layers.%d."). NULL: the family has none. gate_up: both in one tensor, gate first. */
typedef struct em_family_names {
    const char *prefixes[5]; /* tried in order, ended by NULL */
    const char *outputs[4];  /* names of the head without prefix, ended by NULL */
    const char *tokens, *positions, *final_norm, *layer;
    const char *attention_in, *attention_out, *ffn_in, *ffn_out;
    const char *q, *k, *v, *qkv, *o, *q_norm, *k_norm, *gate, *up, *gate_up, *down;
    const char *ignored[5]; /* beginnings of tensors of other modules (images), ended by NULL */
} em_family_names;

/* Whether some modules have a bias: the value, or what config.json's key says instead. */
typedef struct em_bias {
    bool value;
    const char *key; /* NULL: always so */
} em_bias;

typedef struct em_family {
    const char *model_type; /* NULL: the end of a list */
    const char *called;     /* "Llama 1 to 3", for people */
    const em_family_keys *keys;
    const em_family_names *names;
    const char *nested; /* models with images: the text model's config is under text_config, with
                           this model_type; NULL: there is none */
    em_form form;       /* tied: tie_word_embeddings' default; the four biases are these: */
    em_bias qkv_bias, o_bias, mlp_bias, head_bias;
    /* Defaults of the class; kv_heads 0: as many as heads; head_dim 0: hidden / heads; ffn 0: 4 *
     * hidden. */
    int vocab, layers, hidden, heads, kv_heads, head_dim, ffn, max_positions;
    double norm_eps;
    const char *activation;
    double theta;        /* 0: no rotary embedding, but for what read() sets */
    double partial;      /* share of a head that is rotated; 0: always the whole */
    int position_offset; /* learned positions: the row of position 0 */
    int32_t eos;         /* -1: none */
    /* What a row cannot say: windows, scales, frequencies by layer. All else of *c is read already.
     * NULL: nothing. false with EM_INPUT: a key that is wrong or not supported. */
    bool (*read)(const em_config_reader *r, em_config *c);
} em_family;

/* The family of config.json's model_type; NULL: not supported. */
const em_family *em_family_find(const char *model_type);
/* Family i, by name; NULL from the number of families on. */
const em_family *em_family_at(size_t i);

#define EM_FAMILY_LIST 2048
/* "gemma2, gemma3, …" in out, which has n bytes (EM_FAMILY_LIST hold all); returns out. */
char *em_family_list(char *out, size_t n);

#endif
