/* What config.json says about a network, resolved: keys that it leaves out are at their family's
 * default, as Hugging Face transformers has them; both its old (4) and new (5) spellings are read.
 */
#ifndef EM_MODEL_CONFIG_CONFIG_H
#define EM_MODEL_CONFIG_CONFIG_H

#include "common/buffer.h"
#include "kernels/backend.h"
#include "model/config/rope.h"

#define EM_MAX_LAYERS 10000
#define EM_MAX_HEAD_DIM 256

/* How q, k and v are stored. A fused tensor's rows (columns, where matrices are stored [in, out]):
 */
typedef enum em_qkv_layout {
    EM_QKV_SEPARATE, /* a tensor each */
    EM_QKV_IN_TURN,  /* all of q, all of k, all of v, each of its own size */
    EM_QKV_BY_GROUP  /* for each head of k and v: its heads of q, then k, then v; GPT-NeoX, where
                        a group is one head, and Falcon */
} em_qkv_layout;

typedef enum em_residual {
    EM_SEQUENTIAL, /* x += attention(norm x), then x += ffn(norm x) */
    EM_PARALLEL,   /* x += attention(norm x) + ffn(other norm x) */
    EM_PARALLEL_ONE_NORM
} em_residual;

/* A layer's norms, and the one before the head. */
typedef struct em_norm_form {
    em_norm_kind kind;
    bool plus_one;  /* x * (1 + w) */
    bool no_bias;   /* a LayerNorm without bias; an RMS norm never has one */
    bool no_weight; /* x is normed and that is all */
} em_norm_form;

/* What a network is made of, but for its sizes. */
typedef struct em_form {
    em_norm_form norm;
    em_head_norm head_norm;
    em_qkv_layout qkv;
    bool in_by_out; /* the layers' matrices are stored [in, out]: GPT-2's Conv1D */
    em_residual residual;
    bool gated;            /* the feed-forward */
    bool scaled_embedding; /* by sqrt(hidden) */
    bool tied;             /* the head is the embedding */
    bool qkv_bias, o_bias, mlp_bias, head_bias;
    bool rope_interleaved; /* neighbours are a pair, not halves */
} em_form;

struct em_family;
struct em_family_names;

typedef struct em_config {
    const struct em_family *family;
    const struct em_family_names *names; /* the family's, unless its reader says others */
    char model_type[32];                 /* as config.json spells it */
    em_form form;
    int layers, hidden, vocab, heads, kv_heads, head_dim, ffn;
    int64_t max_positions;
    bool length_limited; /* beyond max_positions the network is another one: longrope */
    double norm_eps;
    em_activation activation;
    bool scale_attention; /* GPT-2's scale_attn_weights */
    bool scale_by_layer;  /* GPT-2: attention is divided by the layer's number, from 1 */
    double query_scale;   /* Gemma's query_pre_attn_scalar; 0: head_dim */
    double attention_softcap, logit_softcap; /* 0: none */
    int *window;                             /* [layers], owned; 0: none */
    signed char *rope_of;   /* [layers], owned: index into rope, -1: no rotary embedding */
    em_rope_config rope[2]; /* [1]: Gemma 3's sliding layers */
    int32_t eos;            /* -1: none */
    bool eos_named;         /* by config.json itself, not by the family's default */
    char eos_note[160];
    char omitted[192]; /* dimensions that config.json leaves out, with their defaults */
} em_config;

/* Frees what *c owns and zeroes it. */
void em_config_free(em_config *c);

/* Appends what the network's figures depend on as key=value lines, sorted by key: part of the
 * model's fingerprint, so a line that changes makes every fingerprint another. What only some
 * families have is a line only where it is not as usual. */
void em_config_describe(const em_config *c, em_buffer *out);

#endif
