/* The device's own kernels: each call starts one on a stream and returns. All addresses are the
 * device's; tokens are padded ones; type is that of matrix products' inputs
 * (em_backend_options.compute). */
#ifndef EM_KERNELS_CUDA_KERNELS_H
#define EM_KERNELS_CUDA_KERNELS_H

#include "kernels/backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/layout.h"
#include "kernels/cuda/softsum.h"
#include "kernels/divergence.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Some rows of an embedding: those numbered [first, first + n). */
typedef struct em_cuda_gather {
    const float *rows;    /* [n, stride] */
    const int32_t *index; /* [tokens]: a token's row; -1: none */
    int first, n, stride;
    bool add; /* to x; otherwise x becomes the row, and 0 where there is none */
} em_cuda_gather;

/* x: [tokens, stride] f32; tokens with other rows are left alone. */
void em_cuda_gather_run(em_stream s, float *x, const em_cuda_gather *g, int64_t tokens);

typedef struct em_cuda_norm {
    em_norm_kind kind;
    float eps;
    int n;
    const float *w, *b; /* [n]; w NULL: no norm here; b NULL: none. Gemma's one is in w. */
} em_cuda_norm;

/* y = norm(x), or x where there is no norm. y: [tokens, stride] of type; x: [tokens, stride] f32,
 * of which norm->n are real; the rest of y becomes 0. */
void em_cuda_norm_run(em_stream s, em_dtype type, void *y, const float *x, const em_cuda_norm *norm,
                      int tokens, int stride);

/* x += norm(y + bias). x, y: [tokens, stride] f32; bias: [norm->n] or NULL. */
void em_cuda_residual_run(em_stream s, float *x, const float *y, const float *bias,
                          const em_cuda_norm *norm, int tokens, int stride);

typedef struct em_cuda_place {
    const void *qkv; /* [tokens, stride] of type: q, k and v of all heads */
    int stride;
    const float *bias;            /* [qkv] or NULL */
    const float *q_norm, *k_norm; /* [head_dim] or [heads * head_dim], by head_norm */
    const float *inv_freq;        /* [rope.dim / 2] */
    const int32_t *positions;     /* [tokens]; -1: no token, all zeros */
    em_layer_spec spec;           /* spec.rope.inv_freq is the host's and not read */
    void *q, *k, *v;              /* from the same first token; see layout.h */
} em_cuda_place;

/* Biases, head norms, rotary embedding and attention's scale; then to where attention reads them.
 */
void em_cuda_place_run(em_stream s, em_dtype type, const em_cuda_place *p, int tokens);

typedef struct em_cuda_attend {
    const void *q, *k, *v; /* of the whole batch */
    void *out;             /* [tokens, out_stride] of type: heads * head_dim of each */
    int out_stride;
    const em_attention_item *items; /* [n_items] */
    const em_seen *seen;            /* [tokens] */
    int n_items, heads, kv_heads, head_dim;
    float softcap;
} em_cuda_attend;

/* softmax(q k) v: on tensor cores for halves; f32 by a plain kernel. */
void em_cuda_attend_run(em_stream s, em_dtype type, const em_cuda_attend *a);

/* y = act(gate + bias) * (up + bias), or act(up + bias). inner: [tokens, inner_stride], gate first
 * and up from up_at on; y: [tokens, pad(ffn)], zeros beyond ffn; bias: as a row of inner, or NULL.
 */
typedef struct em_cuda_activation {
    em_activation kind;
    bool gated;
    int ffn, up_at, inner_stride;
    const float *bias;
} em_cuda_activation;
/* All tokens; see em_cuda_activation. */
void em_cuda_activation_run(em_stream s, em_dtype type, void *y, const void *inner,
                            const em_cuda_activation *a, int tokens);

/* A tile of one model's logits: [EM_CUDA_TOKENS, EM_CUDA_SLICE] f32, n of them real, of the ids
 * from first on. */
typedef struct em_cuda_logits {
    float *z;
    int first, n;
    const float *bias; /* [n] or NULL: added first */
    float softcap;     /* then z = cap * tanh(z / cap); 0: none */
} em_cuda_logits;
/* Adds the bias and caps, in place; starts nothing where there is neither. */
void em_cuda_logits_finish(em_stream s, const em_cuda_logits *l);

/* Labels of a chunk's tokens, and what is known of one model or alpha so far. */
typedef struct em_cuda_labels {
    const int32_t *labels; /* [EM_CUDA_TOKENS, n]; -1: none */
    const uint8_t *scored; /* [EM_CUDA_TOKENS]: has any label */
    int n;
} em_cuda_labels;
typedef struct em_cuda_sums {
    em_soft *soft;      /* [EM_CUDA_TOKENS] */
    float *label_logit; /* [EM_CUDA_TOKENS, labels.n] */
} em_cuda_sums;

/* Adds the slice's logits to the sums of the tokens that are scored, and keeps the labels' logits
 * that lie in it. */
void em_cuda_score_run(em_stream s, const em_cuda_logits *l, const em_cuda_labels *labels,
                       const em_cuda_sums *sums);

/* Both models' and all alphas' sums from the same two tiles. */
typedef struct em_cuda_pair {
    em_cuda_sums before, after;
    em_cuda_sums alphas; /* the first of n_alphas, one after another */
    const double *alpha; /* [n_alphas] */
    em_divergence *kl;   /* [EM_CUDA_TOKENS]; the slice that begins with id 0 begins it anew */
    int n_alphas;
    bool general; /* see em_pair_request: otherwise -1 and 0 are left out */
} em_cuda_pair;
/* As em_cuda_score_run for both models and each alpha; before, after: the same slice. */
void em_cuda_pair_run(em_stream s, const em_cuda_logits *before, const em_cuda_logits *after,
                      const em_cuda_labels *labels, const em_cuda_pair *p);

/* soft[0 .. n) to em_soft_none */
void em_cuda_soft_clear(em_stream s, em_soft *soft, int64_t n);

#ifdef __cplusplus
}
#endif

#endif
