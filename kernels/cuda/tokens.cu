/* What happens to one token at a time: embedding, norms, the residual stream, rotary embedding,
 * activations. Rows are read and written by 16 bytes a thread; vectors of weights are padded with
 * zeros as rows are. */
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/launch.cuh"

static const int THREADS = 256, WARPS = THREADS / 32,
                 PIECE = 8; /* PIECE: elements that a thread takes at a time */

/* ---- embedding: a token a warp ---- */

__global__ void gather_rows(float *x, em_cuda_gather g, int64_t tokens) {
    int64_t token = (int64_t)blockIdx.x * WARPS + threadIdx.x / 32;
    if (token >= tokens) return;
    int row = g.index[token];
    bool none = row < 0 && !g.add;
    if (!none && (row < g.first || row >= g.first + g.n)) return;
    float *to = x + token * g.stride;
    const float *from = g.rows + (int64_t)(none ? 0 : row - g.first) * g.stride;
    for (int i = threadIdx.x % 32 * PIECE; i < g.stride; i += 32 * PIECE) {
        float value[PIECE] = {0}, old[PIECE] = {0};
        if (!none) em_load8(value, from + i);
        if (g.add) em_load8(old, to + i);
#pragma unroll
        for (int k = 0; k < PIECE; k++) value[k] += old[k];
        em_store8(to + i, value);
    }
}

void em_cuda_gather_run(em_stream s, float *x, const em_cuda_gather *g, int64_t tokens) {
    EM_LAUNCH(gather_rows, (unsigned)((tokens + WARPS - 1) / WARPS), THREADS, 0, s, x, *g, tokens);
}

/* ---- norms: a token a block ---- */

/* What a norm does to a token: (x - mean) * inverse * w + b. */
struct normed {
    float mean, inverse;
};

/* load(value, i): elements i to i + PIECE, zeros from norm.n on; scratch: a float a warp */
template <typename Load>
__device__ normed measure(const em_cuda_norm &norm, Load load, float *scratch) {
    normed r = {0, 0};
    float x[PIECE];
    if (norm.kind == EM_NORM_LAYER) {
        float sum = 0;
        for (int i = threadIdx.x * PIECE; i < norm.n; i += THREADS * PIECE) {
            load(x, i);
#pragma unroll
            for (int k = 0; k < PIECE; k++) sum += x[k];
        }
        r.mean = em_block_sum(sum, scratch) / (float)norm.n;
    }
    float squares = 0;
    for (int i = threadIdx.x * PIECE; i < norm.n; i += THREADS * PIECE) {
        load(x, i);
#pragma unroll
        for (int k = 0; k < PIECE; k++)
            if (i + k < norm.n) squares += (x[k] - r.mean) * (x[k] - r.mean);
    }
    r.inverse = 1 / sqrtf(em_block_sum(squares, scratch) / (float)norm.n + norm.eps);
    return r;
}

/* x: elements i to i + PIECE, normed in place; what lies beyond norm.n becomes 0. */
__device__ inline void apply(const em_cuda_norm &norm, normed r, float *x, int i) {
    float w[PIECE], b[PIECE] = {0};
    em_load8(w, norm.w + i);
    if (norm.b) em_load8(b, norm.b + i);
#pragma unroll
    for (int k = 0; k < PIECE; k++) x[k] = (x[k] - r.mean) * r.inverse * w[k] + b[k];
}

template <typename T>
__global__ void __launch_bounds__(256)
    norm_token(T *y, const float *x, em_cuda_norm norm, int stride) {
    float *scratch = (float *)em_shared_bytes;
    int64_t at = (int64_t)blockIdx.x * stride;
    auto load = [=](float *value, int i) { em_load8(value, x + at + i); };
    normed r = {0, 0};
    if (norm.w) r = measure(norm, load, scratch);
    for (int i = threadIdx.x * PIECE; i < stride; i += THREADS * PIECE) {
        float value[PIECE];
        load(value, i);
        if (norm.w) apply(norm, r, value, i);
        em_store8(y + at + i, value);
    }
}

template <typename T>
static void run_norm(em_stream s, T *y, const float *x, const em_cuda_norm *norm, int tokens,
                     int stride) {
    auto kernel = norm_token<T>;
    EM_LAUNCH(kernel, tokens, THREADS, WARPS * sizeof(float), s, y, x, *norm, stride);
}

void em_cuda_norm_run(em_stream s, em_dtype type, void *y, const float *x, const em_cuda_norm *norm,
                      int tokens, int stride) {
    switch (type) {
    case EM_F32: run_norm(s, (float *)y, x, norm, tokens, stride); break;
    case EM_F16: run_norm(s, (em_half_f16 *)y, x, norm, tokens, stride); break;
    case EM_BF16: run_norm(s, (em_half_bf16 *)y, x, norm, tokens, stride); break;
    }
}

__global__ void __launch_bounds__(256)
    add_residual(float *x, const float *y, const float *bias, em_cuda_norm norm, int stride) {
    float *scratch = (float *)em_shared_bytes;
    int64_t at = (int64_t)blockIdx.x * stride;
    auto load = [=](float *value, int i) {
        float b[PIECE] = {0};
        em_load8(value, y + at + i);
        if (bias) em_load8(b, bias + i);
#pragma unroll
        for (int k = 0; k < PIECE; k++) value[k] += b[k];
    };
    normed r = {0, 0};
    if (norm.w) r = measure(norm, load, scratch);
    for (int i = threadIdx.x * PIECE; i < stride; i += THREADS * PIECE) {
        float value[PIECE], old[PIECE];
        load(value, i);
        if (norm.w) apply(norm, r, value, i);
        em_load8(old, x + at + i);
#pragma unroll
        for (int k = 0; k < PIECE; k++) value[k] += old[k];
        em_store8(x + at + i, value);
    }
}

void em_cuda_residual_run(em_stream s, float *x, const float *y, const float *bias,
                          const em_cuda_norm *norm, int tokens, int stride) {
    EM_LAUNCH(add_residual, tokens, THREADS, WARPS * sizeof(float), s, x, y, bias, *norm, stride);
}

/* ---- q, k, v ---- */

/* Of a place_heads block: a head a warp, the position's cosines and sines, and a float a warp. */
struct place_shared {
    float head[WARPS][EM_CUDA_MAX_HEAD_DIM];
    float cosine[EM_CUDA_MAX_HEAD_DIM / 2], sine[EM_CUDA_MAX_HEAD_DIM / 2];
    float scratch[32];
};

/* With a norm over all heads together: the factor of the n elements from first on; otherwise 1. */
template <typename T>
__device__ float all_heads_inverse(const em_cuda_place &p, const T *row, int first, int n,
                                   float *scratch) {
    if (p.spec.head_norm != EM_HEAD_NORM_ALL) return 1;
    float squares = 0;
    for (int i = first + threadIdx.x; i < first + n; i += blockDim.x) {
        float x = em_to_float(row[i]) + (p.bias ? p.bias[i] : 0);
        squares += x * x;
    }
    return 1 / sqrtf(em_block_sum(squares, scratch) / (float)n + p.spec.norm_eps);
}

__device__ inline void fill_rope(const em_cuda_place &p, int32_t position, place_shared *shared) {
    for (int j = threadIdx.x; j < p.spec.rope.dim / 2; j += blockDim.x) {
        float angle = (float)position * p.inv_freq[j];
        shared->cosine[j] = cosf(angle) * p.spec.rope.scale;
        shared->sine[j] = sinf(angle) * p.spec.rope.scale;
    }
}

/* head: [head_dim], one warp; w: [head_dim], the head's own part of the norm's weights */
__device__ inline void norm_head(const em_cuda_place &p, float *head, const float *w,
                                 float all_inverse) {
    int n = p.spec.head_dim, lane = threadIdx.x % 32;
    float inverse = all_inverse;
    if (p.spec.head_norm == EM_HEAD_NORM_EACH) {
        float squares = 0;
        for (int d = lane; d < n; d += 32) squares += head[d] * head[d];
        inverse = 1 / sqrtf(em_warp_sum(squares) / (float)n + p.spec.norm_eps);
    }
    for (int d = lane; d < n; d += 32) head[d] = head[d] * inverse * w[d];
    __syncwarp();
}

__device__ inline void rotate_head(const em_cuda_place &p, float *head,
                                   const place_shared *shared) {
    for (int j = threadIdx.x % 32; j < p.spec.rope.dim / 2; j += 32) {
        int a, b;
        em_cuda_rope_pair(j, p.spec.rope.dim, p.spec.rope.interleaved, &a, &b);
        float x = head[a], y = head[b];
        head[a] = x * shared->cosine[j] - y * shared->sine[j];
        head[b] = y * shared->cosine[j] + x * shared->sine[j];
    }
    __syncwarp();
}

/* Head h of q, k and v counted together, from the product to its place. */
template <typename T>
__device__ void place_head(const em_cuda_place &p, const T *row, int h, float q_inverse,
                           float k_inverse, place_shared *shared) {
    const em_layer_spec &s = p.spec;
    int lane = threadIdx.x % 32, n = s.head_dim, depth = em_cuda_depth(n, sizeof(T) == 2);
    int64_t token = blockIdx.x;
    bool is_q = h < s.heads, is_k = !is_q && h < s.heads + s.kv_heads;
    int own = is_q ? h : is_k ? h - s.heads : h - s.heads - s.kv_heads;
    float *head = shared->head[threadIdx.x / 32];
    const float *w = is_q ? p.q_norm : p.k_norm;
    for (int d = lane; d < n; d += 32)
        head[d] = em_to_float(row[h * n + d]) + (p.bias ? p.bias[h * n + d] : 0);
    __syncwarp();
    if ((is_q || is_k) && s.head_norm != EM_HEAD_NORM_NONE)
        norm_head(p, head, s.head_norm == EM_HEAD_NORM_ALL ? w + own * n : w,
                  is_q ? q_inverse : k_inverse);
    if (is_q || is_k) rotate_head(p, head, shared);
    for (int d = lane; d < depth; d += 32) {
        float x = d >= n || p.positions[token] < 0 ? 0
                  : is_q                           ? head[d] * s.attention_scale
                                                   : head[d];
        if (is_q) em_from_float((T *)p.q + em_cuda_head_index(token, own, s.heads, depth) + d, x);
        else if (is_k)
            em_from_float((T *)p.k + em_cuda_head_index(token, own, s.kv_heads, depth) + d, x);
        else
            em_from_float((T *)p.v +
                              em_cuda_value_index(token, own, s.kv_heads, depth, d, sizeof(T) == 2),
                          x);
    }
    __syncwarp();
}

template <typename T> __global__ void place_heads(em_cuda_place p) {
    place_shared *shared = (place_shared *)em_shared_bytes;
    const T *row = (const T *)p.qkv + (int64_t)blockIdx.x * p.stride;
    int q = p.spec.heads * p.spec.head_dim, k = p.spec.kv_heads * p.spec.head_dim,
        heads = p.spec.heads + 2 * p.spec.kv_heads;
    float q_inverse = all_heads_inverse(p, row, 0, q, shared->scratch);
    float k_inverse = all_heads_inverse(p, row, q, k, shared->scratch);
    fill_rope(p, p.positions[blockIdx.x], shared);
    __syncthreads();
    for (int h = threadIdx.x / 32; h < heads; h += WARPS)
        place_head(p, row, h, q_inverse, k_inverse, shared);
}

template <typename T> static void run_place(em_stream s, const em_cuda_place *p, int tokens) {
    auto kernel = place_heads<T>;
    EM_LAUNCH(kernel, tokens, THREADS, sizeof(place_shared), s, *p);
}

void em_cuda_place_run(em_stream s, em_dtype type, const em_cuda_place *p, int tokens) {
    switch (type) {
    case EM_F32: run_place<float>(s, p, tokens); break;
    case EM_F16: run_place<em_half_f16>(s, p, tokens); break;
    case EM_BF16: run_place<em_half_bf16>(s, p, tokens); break;
    }
}

/* ---- feed-forward ---- */

/* Hendrycks and Gimpel, arXiv 1606.08415; in the forms that keep their accuracy where x is
 * negative. */
__device__ inline float activation(em_activation kind, float x) {
    switch (kind) {
    case EM_SILU: return x / (1 + expf(-x));
    case EM_GELU: return 0.5f * x * erfcf(-x * 0.70710678f);
    case EM_GELU_TANH: return x / (1 + expf(-1.59576912f * (x + 0.044715f * x * x * x)));
    case EM_RELU:
    case EM_RELU2: break;
    }
    float relu = x > 0 ? x : 0;
    return kind == EM_RELU2 ? relu * relu : relu;
}

/* A piece a thread; fewer than 2^32 of them. */
template <typename T>
__global__ void activate(T *y, const T *inner, em_cuda_activation a, int tokens) {
    unsigned stride = (unsigned)em_cuda_pad(a.ffn), pieces = stride / PIECE,
             piece = blockIdx.x * THREADS + threadIdx.x;
    int64_t token = piece / pieces;
    unsigned i = piece % pieces * PIECE;
    if (token >= tokens) return;
    const T *row = inner + token * a.inner_stride;
    float gate[PIECE] = {0}, up[PIECE], bias[PIECE] = {0};
    em_load8(up, row + a.up_at + i);
    if (a.gated) em_load8(gate, row + i);
    if (a.bias) em_load8(bias, a.bias + a.up_at + i);
#pragma unroll
    for (int k = 0; k < PIECE; k++) up[k] += bias[k];
    if (a.bias && a.gated) em_load8(bias, a.bias + i);
#pragma unroll
    for (int k = 0; k < PIECE; k++)
        up[k] = a.gated ? activation(a.kind, gate[k] + bias[k]) * up[k] : activation(a.kind, up[k]);
    em_store8(y + token * stride + i, up);
}

template <typename T>
static void run_activation(em_stream s, T *y, const T *inner, const em_cuda_activation *a,
                           int tokens) {
    auto kernel = activate<T>;
    int64_t pieces = (int64_t)tokens * em_cuda_pad(a->ffn) / PIECE;
    EM_LAUNCH(kernel, (unsigned)((pieces + THREADS - 1) / THREADS), THREADS, 0, s, y, inner, *a,
              tokens);
}

void em_cuda_activation_run(em_stream s, em_dtype type, void *y, const void *inner,
                            const em_cuda_activation *a, int tokens) {
    switch (type) {
    case EM_F32: run_activation(s, (float *)y, (const float *)inner, a, tokens); break;
    case EM_F16: run_activation(s, (em_half_f16 *)y, (const em_half_f16 *)inner, a, tokens); break;
    case EM_BF16:
        run_activation(s, (em_half_bf16 *)y, (const em_half_bf16 *)inner, a, tokens);
        break;
    }
}
