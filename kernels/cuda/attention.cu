/* softmax(q k) v over each query's interval of keys. A block is a work item and a head: the item's range of keys is all
 * that it visits, and only where an edge cuts a tile of keys does it compare. */
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/launch.cuh"

/* What z is before softmax: capped. */
__device__ inline float capped(float z, float cap) { return cap > 0 ? cap * tanhf(z / cap) : z; }

/* ---- in f32, plainly: a warp has its queries one after another, and its lanes the keys of a tile ---- */

static const int PLAIN_QUERIES = 16, PLAIN_WARPS = 8, PLAIN_KEYS = 32, PLAIN_OWN = PLAIN_QUERIES / PLAIN_WARPS;
static const int PLAIN_PARTS = EM_CUDA_MAX_HEAD_DIM / 32;    /* elements of a head that a lane has */

/* A query's running softmax; out: elements lane, lane + 32, … */
struct plain_query { float max, sum, out[PLAIN_PARTS]; };

/* keys, values: [PLAIN_KEYS, head_dim + 1], so that lanes' keys lie in different banks */
__device__ inline void plain_load(const em_cuda_attend &a, int64_t token, int kv, float *keys, float *values) {
    int n = a.head_dim;
    for (int i = threadIdx.x; i < PLAIN_KEYS * n; i += blockDim.x) {
        int key = i / n, d = i % n;
        keys[key * (n + 1) + d] = ((const float *)a.k)[em_cuda_head_index(token + key, kv, a.kv_heads, n) + d];
        values[key * (n + 1) + d] = ((const float *)a.v)[em_cuda_value_index(token + key, kv, a.kv_heads, n, d, false)];
    }
}

/* p: [PLAIN_KEYS], the warp's own */
__device__ inline void plain_step(const em_cuda_attend &a, em_seen seen, int first, const float *q, const float *keys,
                                  const float *values, float *p, plain_query *r) {
    int lane = threadIdx.x % 32, n = a.head_dim, key = first + lane;
    float z = 0;
    for (int d = 0; d < n; d++) z += q[d] * keys[lane * (n + 1) + d];
    z = key >= seen.lo && key < seen.hi ? capped(z, a.softcap) : -INFINITY;
    float max = fmaxf(r->max, em_warp_max(z)), keep = expf(r->max - max), own = expf(z - max);
    r->sum = r->sum * keep + em_warp_sum(own);
    r->max = max;
    p[lane] = own;
    __syncwarp();
#pragma unroll
    for (int i = 0; i < PLAIN_PARTS; i++) r->out[i] *= keep;
    for (int k = 0; k < PLAIN_KEYS; k++) {
#pragma unroll
        for (int i = 0; i < PLAIN_PARTS; i++)
            if (lane + 32 * i < n) r->out[i] += p[k] * values[k * (n + 1) + lane + 32 * i];
    }
    __syncwarp();
}

__device__ inline void plain_finish(const em_cuda_attend &a, int64_t token, int head, const plain_query *r) {
    float inverse = r->sum > 0 ? 1 / r->sum : 0;
#pragma unroll
    for (int i = 0; i < PLAIN_PARTS; i++) {
        int d = threadIdx.x % 32 + 32 * i;
        if (d < a.head_dim) ((float *)a.out)[token * a.out_stride + head * a.head_dim + d] = r->out[i] * inverse;
    }
}

/* blocks: [items, heads, parts of an item] */
__global__ void attend_plain(em_cuda_attend a) {
    const int parts = EM_QUERY_TILE / PLAIN_QUERIES;
    int part = blockIdx.x % parts, head = blockIdx.x / parts % a.heads, n = a.head_dim;
    const em_attention_item item = a.items[blockIdx.x / parts / a.heads];
    int kv = em_cuda_kv_head(head, a.heads, a.kv_heads), own = threadIdx.x / 32 * PLAIN_OWN;
    int64_t first = (int64_t)item.first_query + part * PLAIN_QUERIES;
    float *q = (float *)em_shared_bytes, *keys = q + PLAIN_QUERIES * n, *values = keys + PLAIN_KEYS * (n + 1);
    float *p = values + PLAIN_KEYS * (n + 1) + threadIdx.x / 32 * PLAIN_KEYS;
    for (int i = threadIdx.x; i < PLAIN_QUERIES * n; i += blockDim.x)
        q[i] = ((const float *)a.q)[em_cuda_head_index(first + i / n, head, a.heads, n) + i % n];
    plain_query r[PLAIN_OWN];
    for (int i = 0; i < PLAIN_OWN; i++) {
        r[i].max = -FLT_MAX;
        r[i].sum = 0;
        for (int d = 0; d < PLAIN_PARTS; d++) r[i].out[d] = 0;
    }
    for (int key = item.begin; key < item.end; key += PLAIN_KEYS) {
        __syncthreads();
        plain_load(a, (int64_t)item.row_token + key, kv, keys, values);
        __syncthreads();
        for (int i = 0; i < PLAIN_OWN; i++) plain_step(a, a.seen[first + own + i], key, q + (own + i) * n, keys, values, p, &r[i]);
    }
    for (int i = 0; i < PLAIN_OWN; i++) plain_finish(a, first + own + i, head, &r[i]);
}

static void run_plain(em_stream s, const em_cuda_attend *a) {
    size_t shared = (size_t)(PLAIN_QUERIES * a->head_dim + 2 * PLAIN_KEYS * (a->head_dim + 1) + PLAIN_WARPS * PLAIN_KEYS) * sizeof(float);
    EM_ALLOW_SHARED(attend_plain, shared);
    EM_LAUNCH(attend_plain, a->n_items * a->heads * (EM_QUERY_TILE / PLAIN_QUERIES), PLAIN_WARPS * 32, shared, s, *a);
}

/* ---- in halves, on tensor cores: four warps of 16 queries share each tile of keys ---- */

static const int MMA_THREADS = 128;
#define LOG2E 1.44269504f

/* Shapes for heads of D elements. Words are pairs of halves; rows are spaced so that a fragment's 32 lanes read from 32
 * different banks: keys [KEYS][D / 2 + 4], values [KEYS / 2][D + 8]. */
template <int D> struct mma_shape {
    static const int KEYS = D > 128 ? 32 : 64;
    static const int KEY_STRIDE = D / 2 + 4, VALUE_STRIDE = D + 8;
    static const int SCORES = KEYS / 8, OUTS = D / 8, STEPS = D / 16;
    static const size_t BYTES = (size_t)(KEYS * KEY_STRIDE + KEYS / 2 * VALUE_STRIDE) * sizeof(uint32_t);
};

/* A lane's part of 16 queries: rows lane / 4 and that + 8. */
template <int D> struct mma_state {
    float max[2], sum[2];                       /* sum: of this lane's own columns until the end */
    float out[mma_shape<D>::OUTS][4];
};

/* Rows of 16-byte pieces into shared memory: piece i of row r from from + r * stride (halves) to to + r * to_stride (words). */
__device__ inline void copy_rows(uint32_t *to, int to_stride, const uint16_t *from, int64_t stride, int rows, int pieces) {
    for (int i = threadIdx.x; i < rows * pieces; i += MMA_THREADS) {
        int row = i / pieces, piece = i % pieces;
        em_copy16(to + row * to_stride + piece * 4, from + row * stride + piece * 8);
    }
    em_copy_commit();
}

template <int D> __device__ void copy_keys(const em_cuda_attend &a, int64_t token, int kv, uint32_t *keys) {
    const uint16_t *from = (const uint16_t *)a.k + em_cuda_head_index(token, kv, a.kv_heads, D);
    copy_rows(keys, mma_shape<D>::KEY_STRIDE, from, (int64_t)a.kv_heads * D, mma_shape<D>::KEYS, D / 8);
}

template <int D> __device__ void copy_values(const em_cuda_attend &a, int64_t token, int kv, uint32_t *values) {
    const uint16_t *from = (const uint16_t *)a.v + em_cuda_value_index(token, kv, a.kv_heads, D, 0, true);
    copy_rows(values, mma_shape<D>::VALUE_STRIDE, from, (int64_t)a.kv_heads * D * 2, mma_shape<D>::KEYS / 2, D / 4);
}

/* q: the warp's words, rows row_words apart. z: [SCORES][4], this lane's scores. */
template <typename T, int D> __device__ void score_keys(const uint32_t *q, int64_t row_words, const uint32_t *keys,
                                                        float (*z)[4]) {
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int n = 0; n < mma_shape<D>::SCORES; n++)
        for (int c = 0; c < 4; c++) z[n][c] = 0;
#pragma unroll
    for (int s = 0; s < mma_shape<D>::STEPS; s++) {
        const uint32_t *word = q + s * 8 + t;
        uint32_t a[4] = {word[g * row_words], word[(g + 8) * row_words], word[g * row_words + 4], word[(g + 8) * row_words + 4]};
#pragma unroll
        for (int n = 0; n < mma_shape<D>::SCORES; n++) {
            const uint32_t *key = keys + (n * 8 + g) * mma_shape<D>::KEY_STRIDE + s * 8 + t;
            em_mma(z[n], a, key[0], key[4], T());
        }
    }
}

/* Caps, masks unless whole, and goes over to base 2. seen: of this lane's two queries. */
template <int D> __device__ void mask_scores(float (*z)[4], const em_seen *seen, int first, bool whole, float cap) {
    int t = threadIdx.x % 4;
#pragma unroll
    for (int n = 0; n < mma_shape<D>::SCORES; n++)
#pragma unroll
        for (int c = 0; c < 4; c++) {
            int key = first + n * 8 + t * 2 + c % 2;
            bool visible = whole || (key >= seen[c / 2].lo && key < seen[c / 2].hi);
            z[n][c] = visible ? capped(z[n][c], cap) * LOG2E : -INFINITY;
        }
}

/* z becomes probabilities against the new maximum; what came before is scaled to it. */
template <int D> __device__ void soften(float (*z)[4], mma_state<D> *r) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float max = r->max[half];
#pragma unroll
        for (int n = 0; n < mma_shape<D>::SCORES; n++) max = fmaxf(max, fmaxf(z[n][2 * half], z[n][2 * half + 1]));
        max = fmaxf(max, __shfl_xor_sync(EM_ALL_LANES, max, 1));
        max = fmaxf(max, __shfl_xor_sync(EM_ALL_LANES, max, 2));
        float keep = exp2f(r->max[half] - max), sum = 0;
#pragma unroll
        for (int n = 0; n < mma_shape<D>::SCORES; n++)
#pragma unroll
            for (int c = 2 * half; c < 2 * half + 2; c++) sum += z[n][c] = exp2f(z[n][c] - max);
        r->sum[half] = r->sum[half] * keep + sum;
        r->max[half] = max;
#pragma unroll
        for (int n = 0; n < mma_shape<D>::OUTS; n++) {
            r->out[n][2 * half] *= keep;
            r->out[n][2 * half + 1] *= keep;
        }
    }
}

/* A lane's scores of two groups of 8 keys are, as they stand, its words of a 16 x 16 left factor. */
template <typename T, int D> __device__ void add_values(float (*p)[4], const uint32_t *values, mma_state<D> *r) {
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int s = 0; s < mma_shape<D>::KEYS / 16; s++) {
        const float *low = p[2 * s], *high = p[2 * s + 1];
        uint32_t a[4] = {em_pack<T>(low[0], low[1]), em_pack<T>(low[2], low[3]), em_pack<T>(high[0], high[1]), em_pack<T>(high[2], high[3])};
        const uint32_t *pair = values + (s * 8 + t) * mma_shape<D>::VALUE_STRIDE + g;
#pragma unroll
        for (int n = 0; n < mma_shape<D>::OUTS; n++) em_mma(r->out[n], a, pair[n * 8], pair[4 * mma_shape<D>::VALUE_STRIDE + n * 8], T());
    }
}

template <typename T, int D> __device__ void write_out(const em_cuda_attend &a, int64_t token, int head, const mma_state<D> *r) {
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float sum = r->sum[half];
        sum += __shfl_xor_sync(EM_ALL_LANES, sum, 1);
        sum += __shfl_xor_sync(EM_ALL_LANES, sum, 2);
        float inverse = sum > 0 ? 1 / sum : 0;
        T *to = (T *)a.out + (token + g + 8 * half) * a.out_stride + head * a.head_dim;
#pragma unroll
        for (int n = 0; n < mma_shape<D>::OUTS; n++)
            for (int c = 0; c < 2; c++)
                if (n * 8 + t * 2 + c < a.head_dim) em_from_float(&to[n * 8 + t * 2 + c], r->out[n][2 * half + c] * inverse);
    }
}

/* Keys of the next tile come while this one's probabilities meet its values. blocks: [items, heads] */
template <typename T, int D> __global__ void __launch_bounds__(128) attend_mma(em_cuda_attend a) {
    typedef mma_shape<D> shape;
    uint32_t *keys = (uint32_t *)em_shared_bytes, *values = keys + shape::KEYS * shape::KEY_STRIDE;
    const em_attention_item item = a.items[blockIdx.x / a.heads];
    int head = blockIdx.x % a.heads, kv = em_cuda_kv_head(head, a.heads, a.kv_heads), g = threadIdx.x % 32 / 4;
    int64_t token = (int64_t)item.first_query + threadIdx.x / 32 * 16, row_words = (int64_t)a.heads * (D / 2);
    const uint32_t *q = (const uint32_t *)((const uint16_t *)a.q + em_cuda_head_index(token, head, a.heads, D));
    const em_seen seen[2] = {a.seen[token + g], a.seen[token + g + 8]};
    mma_state<D> r;
    for (int i = 0; i < 2; i++) r.max[i] = -FLT_MAX, r.sum[i] = 0;
#pragma unroll
    for (int n = 0; n < shape::OUTS; n++)
        for (int c = 0; c < 4; c++) r.out[n][c] = 0;
    if (item.begin < item.end) copy_keys<D>(a, (int64_t)item.row_token + item.begin, kv, keys);
    for (int key = item.begin; key < item.end; key += shape::KEYS) {
        int64_t at = (int64_t)item.row_token + key;
        float z[shape::SCORES][4];
        em_copy_wait<0>();
        __syncthreads();                   /* keys are there, and everyone is done with the last values */
        copy_values<D>(a, at, kv, values);
        score_keys<T, D>(q, row_words, keys, z);
        __syncthreads();                   /* everyone is done with these keys */
        if (key + shape::KEYS < item.end) copy_keys<D>(a, at + shape::KEYS, kv, keys);
        else em_copy_commit();             /* an empty group: the values are always the last but one */
        mask_scores<D>(z, seen, key, em_keys_whole(&item, key, shape::KEYS), a.softcap);
        soften<D>(z, &r);
        em_copy_wait<1>();
        __syncthreads();                   /* values are there */
        add_values<T, D>(z, values, &r);
    }
    write_out<T, D>(a, token, head, &r);
}

template <typename T, int D> static void run_mma(em_stream s, const em_cuda_attend *a) {
    auto kernel = attend_mma<T, D>;
    EM_ALLOW_SHARED(kernel, mma_shape<D>::BYTES);
    EM_LAUNCH(kernel, a->n_items * a->heads, MMA_THREADS, mma_shape<D>::BYTES, s, *a);
}

template <typename T> static void run_halves(em_stream s, const em_cuda_attend *a) {
    switch (em_cuda_depth(a->head_dim, true)) {
    case 64: run_mma<T, 64>(s, a); break;
    case 128: run_mma<T, 128>(s, a); break;
    default: run_mma<T, EM_CUDA_MAX_HEAD_DIM>(s, a); break;
    }
}

void em_cuda_attend_run(em_stream s, em_dtype type, const em_cuda_attend *a) {
    switch (type) {
    case EM_F32: run_plain(s, a); break;
    case EM_F16: run_halves<em_half_f16>(s, a); break;
    case EM_BF16: run_halves<em_half_bf16>(s, a); break;
    }
}
