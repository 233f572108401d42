/* softmax(q k) v over each query's interval of keys. A block is a work item and a head: the item's
 * range of keys is all that it visits, and only where an edge cuts a tile of keys does it compare.
 */
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/launch.cuh"

/* What z is before softmax: capped. */
__device__ inline float capped(float z, float cap) { return cap > 0 ? cap * tanhf(z / cap) : z; }

/* ---- in f32, plainly: a warp has its queries one after another, and its lanes the keys of a tile
 * ---- */

static const int PLAIN_QUERIES = 16, PLAIN_WARPS = 8, PLAIN_KEYS = 32,
                 PLAIN_OWN = PLAIN_QUERIES / PLAIN_WARPS;
static const int PLAIN_PARTS = EM_CUDA_MAX_HEAD_DIM / 32; /* elements of a head that a lane has */

/* A query's running softmax; out: elements lane, lane + 32, … */
struct plain_query {
    float max, sum, out[PLAIN_PARTS];
};

/* keys, values: [PLAIN_KEYS, head_dim + 1], so that lanes' keys lie in different banks */
__device__ inline void plain_load(const em_cuda_attend &a, int64_t token, int kv, float *keys,
                                  float *values) {
    int n = a.head_dim;
    for (int i = threadIdx.x; i < PLAIN_KEYS * n; i += blockDim.x) {
        int key = i / n, d = i % n;
        keys[key * (n + 1) + d] =
            ((const float *)a.k)[em_cuda_head_index(token + key, kv, a.kv_heads, n) + d];
        values[key * (n + 1) + d] =
            ((const float *)a.v)[em_cuda_value_index(token + key, kv, a.kv_heads, n, d, false)];
    }
}

/* p: [PLAIN_KEYS], the warp's own */
__device__ inline void plain_step(const em_cuda_attend &a, em_seen seen, int first, const float *q,
                                  const float *keys, const float *values, float *p,
                                  plain_query *r) {
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

__device__ inline void plain_finish(const em_cuda_attend &a, int64_t token, int head,
                                    const plain_query *r) {
    float inverse = r->sum > 0 ? 1 / r->sum : 0;
#pragma unroll
    for (int i = 0; i < PLAIN_PARTS; i++) {
        int d = threadIdx.x % 32 + 32 * i;
        if (d < a.head_dim)
            ((float *)a.out)[token * a.out_stride + head * a.head_dim + d] = r->out[i] * inverse;
    }
}

/* blocks: [items, heads, parts of an item] */
__global__ void attend_plain(em_cuda_attend a) {
    const int parts = EM_QUERY_TILE / PLAIN_QUERIES;
    int part = blockIdx.x % parts, head = blockIdx.x / parts % a.heads, n = a.head_dim;
    const em_attention_item item = a.items[blockIdx.x / parts / a.heads];
    int kv = em_cuda_kv_head(head, a.heads, a.kv_heads), own = threadIdx.x / 32 * PLAIN_OWN;
    int64_t first = (int64_t)item.first_query + part * PLAIN_QUERIES;
    float *q = (float *)em_shared_bytes, *keys = q + PLAIN_QUERIES * n,
          *values = keys + PLAIN_KEYS * (n + 1);
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
        for (int i = 0; i < PLAIN_OWN; i++)
            plain_step(a, a.seen[first + own + i], key, q + (own + i) * n, keys, values, p, &r[i]);
    }
    for (int i = 0; i < PLAIN_OWN; i++) plain_finish(a, first + own + i, head, &r[i]);
}

static void run_plain(em_stream s, const em_cuda_attend *a) {
    size_t shared = (size_t)(PLAIN_QUERIES * a->head_dim + 2 * PLAIN_KEYS * (a->head_dim + 1) +
                             PLAIN_WARPS * PLAIN_KEYS) *
                    sizeof(float);
    EM_ALLOW_SHARED(attend_plain, shared);
    EM_LAUNCH(attend_plain, a->n_items * a->heads * (EM_QUERY_TILE / PLAIN_QUERIES),
              PLAIN_WARPS * 32, shared, s, *a);
}

/* ---- in halves, on tensor cores: four warps of 16 queries share each tile of keys ---- */

static const int MMA_THREADS = 128;
#define LOG2E 1.44269504f
#define LOWEST (-1e30f) /* a maximum before any key: times LOG2E it is still finite */

/* Shapes for heads of D elements. A block has HEADS query heads of one key head, so that what it
 * reads of keys and values serves them all. Words are pairs of halves; rows are spaced so that a
 * fragment's 32 lanes read from 32 different banks: keys [KEYS][D / 2 + 4], values [KEYS / 2][D +
 * 8], queries [HEADS][EM_QUERY_TILE][D / 2 + 4]. */
template <int D, int HEADS> struct mma_shape {
    static const int KEYS = D > 128 ? 32 : 64;
    static const int KEY_STRIDE = D / 2 + 4, VALUE_STRIDE = D + 8;
    static const int SCORES = KEYS / 8, OUTS = D / 8, STEPS = D / 16;
    static const int KEY_WORDS = KEYS * KEY_STRIDE, VALUE_WORDS = KEYS / 2 * VALUE_STRIDE,
                     QUERY_WORDS = EM_QUERY_TILE * KEY_STRIDE;
    static const size_t BYTES = (size_t)(KEY_WORDS + VALUE_WORDS + HEADS * QUERY_WORDS) *
                                sizeof(uint32_t);
};

/* A lane's part of 16 queries of a head: rows lane / 4 and that + 8. */
template <int OUTS> struct mma_state {
    float max[2], sum[2]; /* sum: of this lane's own columns until the end */
    float out[OUTS][4];
};

/* Rows of 16-byte pieces into shared memory: piece i of row r from from + r * stride (halves) to to
 * + r * to_stride (words). */
__device__ inline void copy_rows(uint32_t *to, int to_stride, const uint16_t *from, int64_t stride,
                                 int rows, int pieces) {
#pragma unroll 1 /* addresses ahead of their time would take registers from the sums */
    for (int i = threadIdx.x; i < rows * pieces; i += MMA_THREADS) {
        int row = i / pieces, piece = i % pieces;
        em_copy16(to + row * to_stride + piece * 4, from + row * stride + piece * 8);
    }
    em_copy_commit();
}

template <int D, int HEADS>
__device__ void copy_queries(const em_cuda_attend &a, int64_t token, int head, uint32_t *queries) {
    typedef mma_shape<D, HEADS> shape;
    for (int h = 0; h < HEADS; h++)
        copy_rows(queries + h * shape::QUERY_WORDS, shape::KEY_STRIDE,
                  (const uint16_t *)a.q + em_cuda_head_index(token, head + h, a.heads, D),
                  (int64_t)a.heads * D, EM_QUERY_TILE, D / 8);
}

template <int D, int HEADS>
__device__ void copy_keys(const em_cuda_attend &a, int64_t token, int kv, uint32_t *keys) {
    const uint16_t *from = (const uint16_t *)a.k + em_cuda_head_index(token, kv, a.kv_heads, D);
    copy_rows(keys, mma_shape<D, HEADS>::KEY_STRIDE, from, (int64_t)a.kv_heads * D,
              mma_shape<D, HEADS>::KEYS, D / 8);
}

template <int D, int HEADS>
__device__ void copy_values(const em_cuda_attend &a, int64_t token, int kv, uint32_t *values) {
    const uint16_t *from = (const uint16_t *)a.v +
                           em_cuda_value_index(token, kv, a.kv_heads, D, 0, true);
    copy_rows(values, mma_shape<D, HEADS>::VALUE_STRIDE, from, (int64_t)a.kv_heads * D * 2,
              mma_shape<D, HEADS>::KEYS / 2, D / 4);
}

/* queries: the warp's first of the first head. z: [HEADS][SCORES][4], this lane's scores. */
template <typename T, int D, int HEADS>
__device__ void score_keys(const uint32_t *queries, const uint32_t *keys,
                           float (*z)[mma_shape<D, HEADS>::SCORES][4]) {
    typedef mma_shape<D, HEADS> shape;
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int i = 0; i < HEADS * shape::SCORES * 4; i++)
        z[i / 4 / shape::SCORES][i / 4 % shape::SCORES][i % 4] = 0;
#pragma unroll
    for (int s = 0; s < shape::STEPS; s++) {
        uint32_t a[HEADS][4];
#pragma unroll
        for (int h = 0; h < HEADS; h++) {
            const uint32_t *low = queries + h * shape::QUERY_WORDS + g * shape::KEY_STRIDE + s * 8 +
                                  t,
                           *high = low + 8 * shape::KEY_STRIDE;
            a[h][0] = low[0], a[h][1] = high[0], a[h][2] = low[4], a[h][3] = high[4];
        }
#pragma unroll
        for (int n = 0; n < shape::SCORES; n++) {
            const uint32_t *key = keys + (n * 8 + g) * shape::KEY_STRIDE + s * 8 + t;
            uint32_t b0 = key[0], b1 = key[4];
#pragma unroll
            for (int h = 0; h < HEADS; h++) em_mma(z[h][n], a[h], b0, b1, T());
        }
    }
}

/* Caps, and masks. seen: from the first of this lane's two queries on. */
template <int SCORES>
__device__ void mask_scores(float (*z)[4], const em_seen *seen, int first, float cap) {
    const em_seen own[2] = {seen[0], seen[8]};
    int t = threadIdx.x % 4;
#pragma unroll
    for (int n = 0; n < SCORES; n++)
#pragma unroll
        for (int c = 0; c < 4; c++) {
            int key = first + n * 8 + t * 2 + c % 2;
            z[n][c] = key >= own[c / 2].lo && key < own[c / 2].hi ? capped(z[n][c], cap)
                                                                  : -INFINITY;
        }
}

/* z becomes probabilities against the new maximum; what came before is scaled to it, where a
 * maximum of the warp moved. */
template <int SCORES, int OUTS> __device__ void soften(float (*z)[4], mma_state<OUTS> *r) {
    float keep[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float max = r->max[half], sum = 0;
#pragma unroll
        for (int n = 0; n < SCORES; n++)
            max = fmaxf(max, fmaxf(z[n][2 * half], z[n][2 * half + 1]));
        max = fmaxf(max, __shfl_xor_sync(EM_ALL_LANES, max, 1));
        max = fmaxf(max, __shfl_xor_sync(EM_ALL_LANES, max, 2));
        keep[half] = em_exp2((r->max[half] - max) * LOG2E);
#pragma unroll
        for (int n = 0; n < SCORES; n++)
#pragma unroll
            for (int c = 2 * half; c < 2 * half + 2; c++)
                sum += z[n][c] = em_exp2(fmaf(z[n][c], LOG2E, -max * LOG2E));
        r->sum[half] = r->sum[half] * keep[half] + sum;
        r->max[half] = max;
    }
    if (!em_warp_any(keep[0] != 1 || keep[1] != 1)) return;
#pragma unroll
    for (int n = 0; n < OUTS; n++)
#pragma unroll
        for (int c = 0; c < 4; c++) r->out[n][c] *= keep[c / 2];
}

/* A lane's scores of two groups of 8 keys are, as they stand, its words of a 16 x 16 left factor.
 */
template <typename T, int D, int HEADS>
__device__ void add_values(float (*p)[mma_shape<D, HEADS>::SCORES][4], const uint32_t *values,
                           mma_state<mma_shape<D, HEADS>::OUTS> *r) {
    typedef mma_shape<D, HEADS> shape;
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int s = 0; s < shape::KEYS / 16; s++) {
        uint32_t a[HEADS][4];
#pragma unroll
        for (int h = 0; h < HEADS; h++) {
            const float *low = p[h][2 * s], *high = p[h][2 * s + 1];
            a[h][0] = em_pack<T>(low[0], low[1]), a[h][1] = em_pack<T>(low[2], low[3]);
            a[h][2] = em_pack<T>(high[0], high[1]), a[h][3] = em_pack<T>(high[2], high[3]);
        }
        const uint32_t *pair = values + (s * 8 + t) * shape::VALUE_STRIDE + g;
#pragma unroll
        for (int n = 0; n < shape::OUTS; n++) {
            uint32_t b0 = pair[n * 8], b1 = pair[4 * shape::VALUE_STRIDE + n * 8];
#pragma unroll
            for (int h = 0; h < HEADS; h++) em_mma(r[h].out[n], a[h], b0, b1, T());
        }
    }
}

template <typename T, int OUTS>
__device__ void write_out(const em_cuda_attend &a, int64_t token, int head,
                          const mma_state<OUTS> *r) {
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float sum = r->sum[half];
        sum += __shfl_xor_sync(EM_ALL_LANES, sum, 1);
        sum += __shfl_xor_sync(EM_ALL_LANES, sum, 2);
        float inverse = sum > 0 ? 1 / sum : 0;
        T *to = (T *)a.out + (token + g + 8 * half) * a.out_stride + head * a.head_dim;
#pragma unroll
        for (int n = 0; n < OUTS; n++)
            for (int c = 0; c < 2; c++)
                if (n * 8 + t * 2 + c < a.head_dim)
                    em_from_float(&to[n * 8 + t * 2 + c], r->out[n][2 * half + c] * inverse);
    }
}

/* Keys of the next tile come while this one's probabilities meet its values. blocks: [items, heads
 * / HEADS] */
template <typename T, int D, int HEADS>
__global__ void __launch_bounds__(128) attend_mma(em_cuda_attend a) {
    typedef mma_shape<D, HEADS> shape;
    uint32_t *keys = (uint32_t *)em_shared_bytes, *values = keys + shape::KEY_WORDS,
             *queries = values + shape::VALUE_WORDS;
    const em_attention_item item = a.items[blockIdx.x / (a.heads / HEADS)];
    int head = blockIdx.x % (a.heads / HEADS) * HEADS,
        kv = em_cuda_kv_head(head, a.heads, a.kv_heads), g = threadIdx.x % 32 / 4;
    int own = threadIdx.x / 32 * 16;
    int64_t token = (int64_t)item.first_query + own;
    mma_state<shape::OUTS> r[HEADS];
#pragma unroll
    for (int h = 0; h < HEADS; h++) {
        for (int i = 0; i < 2; i++) r[h].max[i] = LOWEST, r[h].sum[i] = 0;
#pragma unroll
        for (int i = 0; i < shape::OUTS * 4; i++) r[h].out[i / 4][i % 4] = 0;
    }
    if (item.begin < item.end) {
        copy_queries<D, HEADS>(a, item.first_query, head, queries);
        copy_keys<D, HEADS>(a, (int64_t)item.row_token + item.begin, kv, keys);
    }
    for (int key = item.begin; key < item.end; key += shape::KEYS) {
        int64_t at = (int64_t)item.row_token + key;
        bool all = em_keys_whole(&item, key, shape::KEYS) && !(a.softcap > 0);
        float z[HEADS][shape::SCORES][4];
        em_copy_wait<0>();
        __syncthreads(); /* keys are there, and everyone is done with the last values */
        copy_values<D, HEADS>(a, at, kv, values);
        score_keys<T, D, HEADS>(queries + own * shape::KEY_STRIDE, keys, z);
        __syncthreads(); /* everyone is done with these keys */
        if (key + shape::KEYS < item.end) copy_keys<D, HEADS>(a, at + shape::KEYS, kv, keys);
        else em_copy_commit(); /* an empty group: the values are always the last but one */
#pragma unroll
        for (int h = 0; h < HEADS; h++) {
            if (!all) mask_scores<shape::SCORES>(z[h], a.seen + token + g, key, a.softcap);
            soften<shape::SCORES>(z[h], &r[h]);
        }
        em_copy_wait<1>();
        __syncthreads(); /* values are there */
        add_values<T, D, HEADS>(z, values, r);
    }
#pragma unroll
    for (int h = 0; h < HEADS; h++) write_out<T>(a, token, head + h, &r[h]);
}

template <typename T, int D, int HEADS> static void run_mma(em_stream s, const em_cuda_attend *a) {
    auto kernel = attend_mma<T, D, HEADS>;
    EM_ALLOW_SHARED(kernel, (mma_shape<D, HEADS>::BYTES));
    EM_LAUNCH(kernel, a->n_items * (a->heads / HEADS), MMA_THREADS, (mma_shape<D, HEADS>::BYTES), s,
              *a);
}

/* Two heads a block where a key head has an even number of them and the registers suffice. */
template <typename T> static void run_halves(em_stream s, const em_cuda_attend *a) {
    bool even = a->heads / a->kv_heads % 2 == 0;
    switch (em_cuda_depth(a->head_dim, true)) {
    case 64: even ? run_mma<T, 64, 2>(s, a) : run_mma<T, 64, 1>(s, a); break;
    case 128: even ? run_mma<T, 128, 2>(s, a) : run_mma<T, 128, 1>(s, a); break;
    default: run_mma<T, EM_CUDA_MAX_HEAD_DIM, 1>(s, a); break;
    }
}

void em_cuda_attend_run(em_stream s, em_dtype type, const em_cuda_attend *a) {
    switch (type) {
    case EM_F32: run_plain(s, a); break;
    case EM_F16: run_halves<em_half_f16>(s, a); break;
    case EM_BF16: run_halves<em_half_bf16>(s, a); break;
    }
}
