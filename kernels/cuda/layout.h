/* Where things lie on the device: index arithmetic that host, kernels and tests share. */
#ifndef EM_KERNELS_CUDA_LAYOUT_H
#define EM_KERNELS_CUDA_LAYOUT_H

#include "kernels/backend.h"
#include "kernels/cuda/plan.h"

/* Tokens of every matrix product: one fixed number, so that a row's bits never depend on the batch.
 * Products of 2048 rows fill a large device; a short batch is filled up with zero rows. */
#ifndef EM_CUDA_TOKENS /* tests take smaller ones */
#define EM_CUDA_TOKENS 2048
#endif
/* Ids of a slice of the vocabulary: a tile of logits, [EM_CUDA_TOKENS, EM_CUDA_SLICE] f32, is 32
 * MiB. */
#ifndef EM_CUDA_SLICE
#define EM_CUDA_SLICE 4096
#endif
#define EM_CUDA_MAX_HEAD_DIM 256

/* Rows of matrices are padded with zeros to whole 16-byte words and to what tensor cores take. */
EM_BOTH int64_t em_cuda_pad(int64_t n) { return (n + 15) / 16 * 16; }

/* Elements of a query, key or value with their zeros: those that attention on tensor cores was
 * built for; f32 as is. */
EM_BOTH int em_cuda_depth(int head_dim, bool half) {
    return !half ? head_dim : head_dim <= 64 ? 64 : head_dim <= 128 ? 128 : EM_CUDA_MAX_HEAD_DIM;
}

/* Queries [tokens, heads, depth] and keys [tokens, kv_heads, depth]. */
EM_BOTH int64_t em_cuda_head_index(int64_t token, int head, int heads, int depth) {
    return (token * heads + head) * depth;
}

/* Values: f32 [tokens, kv_heads, depth]; halves [tokens / 2, kv_heads, depth, 2], because tensor
 * cores take the same element of two neighbouring keys as one word. */
EM_BOTH int64_t em_cuda_value_index(int64_t token, int kv, int kv_heads, int depth, int d,
                                    bool half) {
    if (!half) return (token * kv_heads + kv) * depth + d;
    return (((token / 2) * kv_heads + kv) * depth + d) * 2 + token % 2;
}

/* The query heads that share a key head stand side by side. */
EM_BOTH int em_cuda_kv_head(int head, int heads, int kv_heads) { return head / (heads / kv_heads); }

/* The two elements of a head that pair j of dim / 2 turns together. */
EM_BOTH void em_cuda_rope_pair(int j, int dim, bool interleaved, int *a, int *b) {
    *a = interleaved ? 2 * j : j;
    *b = interleaved ? 2 * j + 1 : j + dim / 2;
}

/* The vocabulary's slices: ids [s * EM_CUDA_SLICE, + em_cuda_slice_width). */
EM_BOTH int em_cuda_slices(int vocab) {
    return (int)(((int64_t)vocab + EM_CUDA_SLICE - 1) / EM_CUDA_SLICE);
}
/* Ids of slice s: the last one may have fewer. */
EM_BOTH int em_cuda_slice_width(int vocab, int s) {
    int rest = vocab - s * EM_CUDA_SLICE;
    return rest < EM_CUDA_SLICE ? rest : EM_CUDA_SLICE;
}

/* The first row of each part of a layer's fused matrices, and their rows in all. */
typedef struct em_cuda_widths {
    int k_at, v_at, qkv; /* q, k, v one after another */
    int up_at, inner;    /* gate (where there is one) and then up, at whole words */
    int attended;        /* heads * head_dim */
} em_cuda_widths;

/* Of a layer of that spec. */
EM_BOTH em_cuda_widths em_cuda_widths_of(const em_layer_spec *s) {
    em_cuda_widths w;
    w.attended = s->heads * s->head_dim;
    w.k_at = w.attended;
    w.v_at = w.k_at + s->kv_heads * s->head_dim;
    w.qkv = w.v_at + s->kv_heads * s->head_dim;
    w.up_at = s->gated ? (int)em_cuda_pad(s->ffn) : 0;
    w.inner = w.up_at + s->ffn;
    return w;
}

#endif
