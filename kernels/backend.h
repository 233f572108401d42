/* What a device does for a network: the stages of a transformer layer over a batch of rows,
 * and the fused head and loss. model/ puts them in the order of the paper's figure; cpu/
 * and cuda/ implement them. Results of a row do not depend on the other rows of the
 * batch, on the number of threads or on the row's place in the batch: bit for bit. */
#ifndef EM_KERNELS_BACKEND_H
#define EM_KERNELS_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/dtype.h"
#include "common/error.h"

/* ---- weights as the checkpoint holds them (views of mapped memory, not owned) ---- */

/* A matrix [out, in] (y = W x + b) or, with in = 1, a vector [out]. Element (o, i) is
 *   data[(o / block) * block_stride + (o % block) * out_stride + i * in_stride]
 * in elements of dtype: plain torch Linear has block = out, out_stride = in, in_stride = 1;
 * GPT-2's Conv1D [in, out] has out_stride = 1, in_stride = its row length; GPT-NeoX's fused
 * query_key_value [heads, 3, head_dim, in] is seen head by head through block = head_dim.
 * data NULL: there is no such weight. */
typedef struct em_weight {
    const void *data;
    em_dtype dtype;
    int64_t out, in;
    int64_t out_stride, in_stride, block, block_stride;
    const char *name; /* the tensor's name in its file, for errors; outlives the view */
} em_weight;

/* Where element (o, i) lies from data on, in elements. */
static inline int64_t em_weight_index(const em_weight *w, int64_t o, int64_t i) {
    return (o / w->block) * w->block_stride + (o % w->block) * w->out_stride + i * w->in_stride;
}

/* ---- what a layer computes ---- */

typedef enum em_norm_kind { EM_NORM_RMS, EM_NORM_LAYER } em_norm_kind;
typedef enum em_activation {
    EM_SILU,
    EM_GELU,
    EM_GELU_TANH,
    EM_RELU,
    EM_RELU2 /* the square of ReLU */
} em_activation;
typedef enum em_head_norm { EM_HEAD_NORM_NONE, EM_HEAD_NORM_EACH, EM_HEAD_NORM_ALL } em_head_norm;
/* EACH: q and k are RMS-normed head by head with one weight [head_dim] (Qwen 3, Gemma 3);
   ALL: over all heads together with a weight [heads * head_dim] (OLMo 2) */

/* Rotary embedding. Angle of pair j at position p: (float)p * inv_freq[j], in float as
 * transformers does; cos and sin are multiplied by scale (yarn's attention factor, else 1).
 * Pairs are (j, j + dim/2) within the first dim elements of a head, or (2j, 2j+1) if interleaved.
 */
typedef struct em_rope {
    int dim; /* rotated elements of a head, even; 0: no rotary embedding */
    bool interleaved;
    float scale;
    const float *inv_freq; /* [dim / 2], owned by the model */
} em_rope;

typedef struct em_layer_spec {
    int hidden, heads, kv_heads, head_dim, ffn;
    em_norm_kind norm;
    float norm_eps;
    bool norm_plus_one; /* Gemma: x * (1 + w), for q and k norms too */
    em_head_norm head_norm;
    float attention_scale;   /* multiplies q.k */
    float attention_softcap; /* z = cap * tanh(z / cap); 0: none */
    int window;              /* |query - key| < window, on both sides; 0: none */
    em_rope rope;
    em_activation activation;
    bool gated;             /* act(gate x) * (up x); otherwise act(up x) */
    bool parallel_residual; /* x + attention(norm x) + mlp(norm x) */
} em_layer_spec;

/* A layer's weights, in the order in which a fingerprint takes them. What a family lacks is absent
 * (data NULL): of norms, pre-norm families have the _IN ones, OLMo 2 the _OUT ones, Gemma 2 and 3
 * all four; any bias may be absent by itself. */
typedef enum em_layer_weight {
    EM_W_ATTENTION_IN, /* norms before and after attention: [hidden] */
    EM_W_ATTENTION_IN_BIAS,
    EM_W_ATTENTION_OUT,
    EM_W_ATTENTION_OUT_BIAS,
    EM_W_FFN_IN, /* norms before and after the feed-forward: [hidden] */
    EM_W_FFN_IN_BIAS,
    EM_W_FFN_OUT,
    EM_W_FFN_OUT_BIAS,
    EM_W_Q, /* [heads * head_dim, hidden] */
    EM_W_K, /* [kv_heads * head_dim, hidden] */
    EM_W_V, /* like k */
    EM_W_O, /* [hidden, heads * head_dim] */
    EM_W_Q_BIAS,
    EM_W_K_BIAS,
    EM_W_V_BIAS,
    EM_W_O_BIAS,
    EM_W_Q_NORM, /* see em_head_norm */
    EM_W_K_NORM,
    EM_W_GATE, /* [ffn, hidden]; where the layer is gated */
    EM_W_UP,   /* [ffn, hidden] */
    EM_W_DOWN, /* [hidden, ffn] */
    EM_W_GATE_BIAS,
    EM_W_UP_BIAS,
    EM_W_DOWN_BIAS,
    EM_LAYER_WEIGHTS /* how many there are */
} em_layer_weight;

typedef struct em_layer_weights {
    em_weight of[EM_LAYER_WEIGHTS];
} em_layer_weights;

typedef struct em_embedding {
    em_weight tokens;    /* [vocab, hidden] */
    em_weight positions; /* [max_positions, hidden], GPT-2 and GPT-Neo; else absent */
    float scale;         /* Gemma: sqrt(hidden); else 1 */
} em_embedding;

typedef struct em_head_spec {
    int hidden, vocab;
    em_norm_kind norm;
    float norm_eps;
    bool norm_plus_one;
    float softcap;                         /* final_logit_softcapping; 0: none */
    em_weight final_norm, final_norm_bias; /* [hidden] */
    em_weight output;                      /* [vocab, hidden] */
    em_weight output_bias;                 /* [vocab], added before the soft cap; else absent */
} em_head_spec;

/* ---- a batch of rows ---- */

/* Rows are padded to whole tiles of EM_TILE tokens inside the backend; callers see
 * row r as tokens [start[r], start[r] + length[r]) of the arrays below, without padding. */
typedef struct em_row_batch {
    int n_rows;
    const int64_t *start;     /* [n_rows], into the arrays below */
    const int32_t *length;    /* [n_rows], at least 1 */
    const int32_t *ids;       /* [n_tokens] */
    const int32_t *positions; /* [n_tokens] */
    const int32_t *lo, *hi;   /* [n_tokens]: keys of the same row that a query sees, from the
                                 row's own start: lo <= key < hi; may be empty (lo >= hi):
                                 attention gives 0 there. A layer's window is applied on top. */
} em_row_batch;

/* ---- scores ---- */

/* Labels per token: n_labels of them (several label schemes share one pass); -1: not scored. */
typedef struct em_score_request {
    int n_labels;
    const int32_t *labels; /* [n_tokens, n_labels] */
    bool digest;           /* also hash every scored position's logits */
} em_score_request;

typedef struct em_scores { /* arrays of the caller's; entries without a label are left alone */
    double *nll;           /* [n_tokens, n_labels]: log-sum-exp minus the label's logit, nats */
    int32_t *argmax;       /* [n_tokens]: lowest id of the largest logit, where any label >= 0 */
    uint64_t *digest;      /* [n_tokens] or NULL: XXH3-64 of the position's logits, f32, id order */
} em_scores;

/* Two models over the same tokens. An alpha's logits are (1 + alpha) * after - alpha * before, in
 * double and then rounded to f32: -1 is the before model and 0 the after model, bit for bit. */
#define EM_PAIR_MAX_ALPHAS 128

typedef struct em_pair_request {
    em_score_request labels; /* digest: of both models, not of alphas */
    int n_alphas; /* at most EM_PAIR_MAX_ALPHAS; each has the same bits alone or in a list */
    const double *alphas;
    bool general; /* for tests: -1 and 0, too, by sums of their own instead of the models' */
} em_pair_request;

typedef struct em_pair_scores { /* arrays of the caller's; entries without a label are left alone */
    em_scores before, after;    /* what score() gives for each, the same bits */
    double *alpha_nll; /* [n_tokens, n_alphas, n_labels], nats; not finite where an alpha's logits
                          overflow */
    int32_t *alpha_argmax; /* [n_tokens, n_alphas] */
    double *kl; /* [n_tokens]: KL(after || before), nats, where any label >= 0; at least 0,
                   and rounding below some 1e-7 */
} em_pair_scores;

/* ---- the backend ---- */

typedef struct em_backend em_backend;
typedef struct em_layer em_layer; /* a layer's weights, packed for the device */
typedef struct em_head em_head;
typedef struct em_activations em_activations; /* the batch's state between stages */

typedef struct em_backend_options {
    int threads;      /* at least 1 */
    int node_ranks;   /* processes of this machine that share a run; 0 or 1: this one alone */
    int node_rank;    /* among the processes of this machine that share a run: each takes a device,
                         round them all */
    em_dtype compute; /* the inputs of matrix products; sums are f32. EM_F16: on a GPU only */
    bool portable;    /* plain C reference kernels instead of vector ones (tests) */
} em_backend_options;

/* Seconds spent by stage since opening; for --profile. */
typedef struct em_stage_times {
    double pack, embed, qkv, attention, output, ffn, head;
} em_stage_times;

struct em_backend {
    const char *name; /* "cpu", "cuda" */
    char isa[64];     /* "avx512_core_amx", "NVIDIA H200 sm_90, cuBLASLt 130100": part of results'
                         provenance */
    const struct em_backend_ops *ops;
    em_backend_options options;
    em_stage_times times;
    size_t device_memory; /* free bytes of the device at opening; 0: the host's own memory is what
                             it uses */
    size_t device_peak;   /* the most bytes of the device that were allocated at once */
    em_error failure;     /* of a stage that cannot return it (EM_MACHINE); figures are void then */
};

/* What a backend is: em_backend.ops. Unless said otherwise nothing may be NULL, and x is the
 * residual stream inside the activations: [padded tokens, hidden], f32. Stages that return nothing
 * keep what a device could not do in em_backend.failure. */
typedef struct em_backend_ops {
    /* ---- what --memory divides, in bytes ---- */

    /* A layer's packed weights. */
    size_t (*layer_bytes)(const em_backend *b, const em_layer_spec *spec);
    /* The head's. */
    size_t (*head_bytes)(const em_backend *b, const em_head_spec *spec);
    /* Activations of a padded token of a batch. */
    size_t (*token_bytes)(const em_backend *b, const em_layer_spec *widest);
    /* What does not grow with the batch: per-thread tiles, those of score_pair included. */
    size_t (*fixed_bytes)(const em_backend *b, const em_layer_spec *widest,
                          const em_head_spec *head);

    /* ---- weights ---- */

    /* Converts and packs a layer. The views need not outlive the call, the rotary frequencies in
     * spec do. NULL with err: EM_INPUT where a weight is not finite (or the device's type cannot
     * hold it), naming the tensor and the element; EM_MACHINE. Release: layer_free. */
    em_layer *(*layer_load)(em_backend *b, const em_layer_spec *spec, const em_layer_weights *w,
                            em_error *err);
    /* NULL may be freed. */
    void (*layer_free)(em_backend *b, em_layer *l);
    /* The head, its final norm included; all else as for a layer. Release: head_free. */
    em_head *(*head_load)(em_backend *b, const em_head_spec *spec, em_error *err);
    /* NULL may be freed. */
    void (*head_free)(em_backend *b, em_head *h);

    /* ---- a batch ---- */

    /* Room for batches of up to max_tokens padded tokens in up to max_rows rows, of layers that are
     * no wider than this one. NULL with err: EM_MACHINE. Release: activations_free. */
    em_activations *(*activations_new)(em_backend *b, const em_layer_spec *widest,
                                       int64_t max_tokens, int max_rows, em_error *err);
    /* NULL may be freed. */
    void (*activations_free)(em_backend *b, em_activations *a);

    /* x = the embedding of the batch's ids and positions; begins a batch, whose arrays stay valid
     * until its heads have run. Errors: EM_INPUT at a token id outside the vocabulary, a position
     * outside the learned ones, or a row of the embedding that is not finite; EM_MACHINE at a batch
     * of more than max_tokens. */
    bool (*embed)(em_backend *b, const em_embedding *e, const em_row_batch *batch,
                  em_activations *a, em_error *err);
    /* q, k, v = W norm(x) + b; q and k normed, turned by their position. Reads x, which may change
     * before the next two stages. */
    void (*attention_inputs)(em_backend *b, const em_layer *l, em_activations *a);
    /* softmax(scale q k) v over each query's interval, cut by the layer's window. */
    void (*attention)(em_backend *b, const em_layer *l, em_activations *a);
    /* x += norm(W_o attention + b) */
    void (*attention_output)(em_backend *b, const em_layer *l, em_activations *a);
    /* x += norm(mlp(norm(x))) */
    void (*feed_forward)(em_backend *b, const em_layer *l, em_activations *a);

    /* ---- figures ---- */

    /* The losses of what is in x, into the caller's arrays; x stays as it is. */
    void (*score)(em_backend *b, const em_head *h, const em_score_request *request,
                  em_activations *a, em_scores *out);
    /* Those of two models and what lies between: both heads have the same vocabulary size (hidden
     * sizes may differ), both activations the same batch. All alphas and the KL are taken from the
     * two tiles of logits while they are in cache. */
    void (*score_pair)(em_backend *b, const em_head *before, const em_head *after,
                       const em_pair_request *request, em_activations *x_before,
                       em_activations *x_after, em_pair_scores *out);

    /* Frees the backend itself, after all that it loaded. */
    void (*close)(em_backend *b);
} em_backend_ops;

/* Tokens in a tile: one fixed number per backend, so that a row's bits never depend on its
 * neighbours. Rows shorter than a tile are filled with zero rows. Products of 128 rows run at the
 * rate of large ones (docs/speed.md); longer tiles would only waste more on short rows. */
#define EM_TILE 128

/* This machine's cores, with the widest instructions that they have. Products in f32 or bf16, as
 * options->compute says. NULL with err: EM_USAGE at no thread or f16, EM_MACHINE. Release:
 * ops->close. */
em_backend *em_backend_cpu_open(const em_backend_options *options, em_error *err);
/* device: counted from 0, and from there on by options->node_rank. Products in f32, f16 or bf16, as
 * options->compute says. NULL with err: EM_MACHINE where the build, the driver or the device is not
 * there: the text says which. Release: ops->close. */
em_backend *em_backend_cuda_open(const em_backend_options *options, int device, em_error *err);

#endif
