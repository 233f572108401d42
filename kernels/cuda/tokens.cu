/* What happens to one token at a time: norms, the residual stream, rotary embedding, activations. A block is a token. */
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/launch.cuh"

static const int THREADS = 256;

/* ---- norms ---- */

/* What a norm does to a token: (x - mean) * inverse * w + b. */
struct normed { float mean, inverse; };

/* x(i): element i; scratch: a float a warp */
template <typename Element> __device__ normed measure(const em_cuda_norm &norm, Element x, float *scratch) {
    normed r = {0, 0};
    if (norm.kind == EM_NORM_LAYER) {
        float sum = 0;
        for (int i = threadIdx.x; i < norm.n; i += blockDim.x) sum += x(i);
        r.mean = em_block_sum(sum, scratch) / (float)norm.n;
    }
    float squares = 0;
    for (int i = threadIdx.x; i < norm.n; i += blockDim.x) squares += (x(i) - r.mean) * (x(i) - r.mean);
    r.inverse = 1 / sqrtf(em_block_sum(squares, scratch) / (float)norm.n + norm.eps);
    return r;
}

__device__ inline float apply(const em_cuda_norm &norm, normed r, float x, int i) {
    return (x - r.mean) * r.inverse * norm.w[i] + (norm.b ? norm.b[i] : 0);
}

template <typename T> __global__ void norm_token(T *y, const float *x, em_cuda_norm norm, int stride) {
    float *scratch = (float *)em_shared_bytes;
    int64_t at = (int64_t)blockIdx.x * stride;
    const float *token = x + at;
    normed r = {0, 0};
    if (norm.w) r = measure(norm, [=](int i) { return token[i]; }, scratch);
    for (int i = threadIdx.x; i < stride; i += blockDim.x)
        em_from_float(&y[at + i], i >= norm.n ? 0 : norm.w ? apply(norm, r, token[i], i) : token[i]);
}

template <typename T> static void run_norm(em_stream s, T *y, const float *x, const em_cuda_norm *norm, int tokens, int stride) {
    auto kernel = norm_token<T>;
    EM_LAUNCH(kernel, tokens, THREADS, 32 * sizeof(float), s, y, x, *norm, stride);
}

void em_cuda_norm_run(em_stream s, em_dtype type, void *y, const float *x, const em_cuda_norm *norm, int tokens, int stride) {
    switch (type) {
    case EM_F32: run_norm(s, (float *)y, x, norm, tokens, stride); break;
    case EM_F16: run_norm(s, (em_half_f16 *)y, x, norm, tokens, stride); break;
    case EM_BF16: run_norm(s, (em_half_bf16 *)y, x, norm, tokens, stride); break;
    }
}

__global__ void add_residual(float *x, const float *y, const float *bias, em_cuda_norm norm, int stride) {
    float *scratch = (float *)em_shared_bytes;
    int64_t at = (int64_t)blockIdx.x * stride;
    const float *token = y + at;
    auto value = [=](int i) { return token[i] + (bias ? bias[i] : 0); };
    normed r = {0, 0};
    if (norm.w) r = measure(norm, value, scratch);
    for (int i = threadIdx.x; i < norm.n; i += blockDim.x) x[at + i] += norm.w ? apply(norm, r, value(i), i) : value(i);
}

void em_cuda_residual_run(em_stream s, float *x, const float *y, const float *bias, const em_cuda_norm *norm, int tokens, int stride) {
    EM_LAUNCH(add_residual, tokens, THREADS, 32 * sizeof(float), s, x, y, bias, *norm, stride);
}

/* ---- q, k, v ---- */

static const int WARPS = THREADS / 32;

/* Of a place_heads block: a head a warp, the position's cosines and sines, and a float a warp. */
struct place_shared {
    float head[WARPS][EM_CUDA_MAX_HEAD_DIM];
    float cosine[EM_CUDA_MAX_HEAD_DIM / 2], sine[EM_CUDA_MAX_HEAD_DIM / 2];
    float scratch[32];
};

/* With a norm over all heads together: the factor of the n elements from first on; otherwise 1. */
template <typename T> __device__ float all_heads_inverse(const em_cuda_place &p, const T *row, int first, int n, float *scratch) {
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
__device__ inline void norm_head(const em_cuda_place &p, float *head, const float *w, float all_inverse) {
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

__device__ inline void rotate_head(const em_cuda_place &p, float *head, const place_shared *shared) {
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
template <typename T> __device__ void place_head(const em_cuda_place &p, const T *row, int h, float q_inverse, float k_inverse,
                                                 place_shared *shared) {
    const em_layer_spec &s = p.spec;
    int lane = threadIdx.x % 32, n = s.head_dim, depth = em_cuda_depth(n, sizeof(T) == 2);
    int64_t token = blockIdx.x;
    bool is_q = h < s.heads, is_k = !is_q && h < s.heads + s.kv_heads;
    int own = is_q ? h : is_k ? h - s.heads : h - s.heads - s.kv_heads;
    float *head = shared->head[threadIdx.x / 32];
    const float *w = is_q ? p.q_norm : p.k_norm;
    for (int d = lane; d < n; d += 32) head[d] = em_to_float(row[h * n + d]) + (p.bias ? p.bias[h * n + d] : 0);
    __syncwarp();
    if ((is_q || is_k) && s.head_norm != EM_HEAD_NORM_NONE)
        norm_head(p, head, s.head_norm == EM_HEAD_NORM_ALL ? w + own * n : w, is_q ? q_inverse : k_inverse);
    if (is_q || is_k) rotate_head(p, head, shared);
    for (int d = lane; d < depth; d += 32) {
        float x = d >= n || p.positions[token] < 0 ? 0 : is_q ? head[d] * s.attention_scale : head[d];
        if (is_q) em_from_float((T *)p.q + em_cuda_head_index(token, own, s.heads, depth) + d, x);
        else if (is_k) em_from_float((T *)p.k + em_cuda_head_index(token, own, s.kv_heads, depth) + d, x);
        else em_from_float((T *)p.v + em_cuda_value_index(token, own, s.kv_heads, depth, d, sizeof(T) == 2), x);
    }
    __syncwarp();
}

template <typename T> __global__ void place_heads(em_cuda_place p) {
    place_shared *shared = (place_shared *)em_shared_bytes;
    const T *row = (const T *)p.qkv + (int64_t)blockIdx.x * p.stride;
    int q = p.spec.heads * p.spec.head_dim, k = p.spec.kv_heads * p.spec.head_dim, heads = p.spec.heads + 2 * p.spec.kv_heads;
    float q_inverse = all_heads_inverse(p, row, 0, q, shared->scratch);
    float k_inverse = all_heads_inverse(p, row, q, k, shared->scratch);
    fill_rope(p, p.positions[blockIdx.x], shared);
    __syncthreads();
    for (int h = threadIdx.x / 32; h < heads; h += WARPS) place_head(p, row, h, q_inverse, k_inverse, shared);
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

/* Hendrycks and Gimpel, arXiv 1606.08415; in the forms that keep their accuracy where x is negative. */
__device__ inline float activation(em_activation kind, float x) {
    switch (kind) {
    case EM_SILU: return x / (1 + expf(-x));
    case EM_GELU: return 0.5f * x * erfcf(-x * 0.70710678f);
    case EM_GELU_TANH: return x / (1 + expf(-1.59576912f * (x + 0.044715f * x * x * x)));
    case EM_RELU: break;
    }
    return x > 0 ? x : 0;
}

template <typename T> __global__ void activate(T *y, const T *inner, em_cuda_activation a) {
    int64_t stride = em_cuda_pad(a.ffn);
    const T *gate = inner + (int64_t)blockIdx.x * a.inner_stride, *up = gate + a.up_at;
    T *to = y + blockIdx.x * stride;
    for (int i = threadIdx.x; i < stride; i += blockDim.x) {
        float value = 0;
        if (i < a.ffn) {
            float u = em_to_float(up[i]) + (a.bias ? a.bias[a.up_at + i] : 0);
            value = a.gated ? activation(a.kind, em_to_float(gate[i]) + (a.bias ? a.bias[i] : 0)) * u : activation(a.kind, u);
        }
        em_from_float(&to[i], value);
    }
}

template <typename T> static void run_activation(em_stream s, T *y, const T *inner, const em_cuda_activation *a, int tokens) {
    auto kernel = activate<T>;
    EM_LAUNCH(kernel, tokens, THREADS, 0, s, y, inner, *a);
}

void em_cuda_activation_run(em_stream s, em_dtype type, void *y, const void *inner, const em_cuda_activation *a, int tokens) {
    switch (type) {
    case EM_F32: run_activation(s, (float *)y, (const float *)inner, a, tokens); break;
    case EM_F16: run_activation(s, (em_half_f16 *)y, (const em_half_f16 *)inner, a, tokens); break;
    case EM_BF16: run_activation(s, (em_half_bf16 *)y, (const em_half_bf16 *)inner, a, tokens); break;
    }
}
