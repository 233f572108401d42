/* The loss from a tile of logits: what softmax needs of it, added to what earlier slices of the
 * vocabulary left. A block is a token, and its threads hold the slice's logits in registers. */
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/launch.cuh"

static const int THREADS = 256, WARPS = THREADS / 32, OWN = EM_CUDA_SLICE / THREADS;

/* ---- logits ---- */

__global__ void finish_logits(em_cuda_logits l) {
    float *z = l.z + (int64_t)blockIdx.x * EM_CUDA_SLICE;
    for (int i = threadIdx.x; i < l.n; i += blockDim.x) {
        float x = z[i] + (l.bias ? l.bias[i] : 0);
        z[i] = l.softcap > 0 ? l.softcap * tanhf(x / l.softcap) : x;
    }
}

void em_cuda_logits_finish(em_stream s, const em_cuda_logits *l) {
    if (l->bias || l->softcap > 0) EM_LAUNCH(finish_logits, EM_CUDA_TOKENS, THREADS, 0, s, *l);
}

/* ---- sums ---- */

/* All threads' v, in order of warps, into *state. scratch: [WARPS]; all threads call. */
__device__ inline void block_merge(em_soft v, em_soft *state, em_soft *scratch) {
    v = em_warp_reduce(v, [](em_soft x, em_soft y) { return em_soft_merge(x, y); });
    __syncthreads();
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = v;
    __syncthreads();
    if (threadIdx.x != 0) return;
    em_soft sum = scratch[0];
    for (int w = 1; w < WARPS; w++) sum = em_soft_merge(sum, scratch[w]);
    *state = em_soft_merge(*state, sum);
}

/* A thread's own logits: elements thread, thread + THREADS, … of the slice's n. */
__device__ inline void read_own(const em_cuda_logits &l, float *z) {
    const float *row = l.z + (int64_t)blockIdx.x * EM_CUDA_SLICE;
#pragma unroll
    for (int i = 0; i < OWN; i++) {
        int at = threadIdx.x + i * THREADS;
        z[i] = at < l.n ? row[at] : 0;
    }
}

__device__ inline em_soft own_sums(const float *z, int first, int n) {
    em_soft v = em_soft_none();
    float sum = 0;
#pragma unroll
    for (int i = 0; i < OWN; i++) {
        int at = threadIdx.x + i * THREADS;
        if (at >= n || z[i] <= v.max) continue;
        v.max = z[i];
        v.argmax = first + at;
    }
#pragma unroll
    for (int i = 0; i < OWN; i++) {
        if ((int)threadIdx.x + i * THREADS >= n) continue;
        sum += expf(z[i] - v.max);
    }
    v.sum = sum;
    return v;
}

/* Where the token's label j has its logit, if the slice holds it: its place in the slice, else -1.
 */
__device__ inline int label_place(const em_cuda_labels &labels, int j, int first, int n) {
    int at = labels.labels[(int64_t)blockIdx.x * labels.n + j] - first;
    return at >= 0 && at < n ? at : -1;
}

__device__ inline void keep_labels(const em_cuda_logits &l, const em_cuda_labels &labels,
                                   const em_cuda_sums &sums) {
    for (int j = threadIdx.x; j < labels.n; j += THREADS) {
        int at = label_place(labels, j, l.first, l.n);
        if (at >= 0)
            sums.label_logit[(int64_t)blockIdx.x * labels.n + j] =
                l.z[(int64_t)blockIdx.x * EM_CUDA_SLICE + at];
    }
}

__global__ void clear_soft(em_soft *soft, int64_t n) {
    int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < n) soft[i] = em_soft_none();
}

void em_cuda_soft_clear(em_stream s, em_soft *soft, int64_t n) {
    EM_LAUNCH(clear_soft, (unsigned)((n + THREADS - 1) / THREADS), THREADS, 0, s, soft, n);
}

/* ---- one model ---- */

__global__ void __launch_bounds__(256)
    score_token(em_cuda_logits l, em_cuda_labels labels, em_cuda_sums sums) {
    if (!labels.scored[blockIdx.x]) return;
    float z[OWN];
    read_own(l, z);
    block_merge(own_sums(z, l.first, l.n), &sums.soft[blockIdx.x], (em_soft *)em_shared_bytes);
    keep_labels(l, labels, sums);
}

void em_cuda_score_run(em_stream s, const em_cuda_logits *l, const em_cuda_labels *labels,
                       const em_cuda_sums *sums) {
    EM_LAUNCH(score_token, EM_CUDA_TOKENS, THREADS, WARPS * sizeof(em_soft), s, *l, *labels, *sums);
}

/* ---- two models ---- */

__device__ inline bool is_a_model(const em_cuda_pair &p, double alpha) {
    return !p.general && (alpha == -1 || alpha == 0);
}

__device__ inline void add_alpha(const em_cuda_logits &before, const em_cuda_logits &after,
                                 const em_cuda_labels &labels, const em_cuda_pair &p, int k,
                                 const float *b, const float *a, em_soft *scratch) {
    double alpha = p.alpha[k];
    int64_t token = blockIdx.x, row = token * EM_CUDA_SLICE,
            place = (int64_t)k * EM_CUDA_TOKENS + token;
    float z[OWN];
#pragma unroll
    for (int i = 0; i < OWN; i++) z[i] = em_mix(alpha, a[i], b[i]);
    block_merge(own_sums(z, after.first, after.n), &p.alphas.soft[place], scratch);
    for (int j = threadIdx.x; j < labels.n; j += THREADS) {
        int at = label_place(labels, j, after.first, after.n);
        if (at >= 0)
            p.alphas.label_logit[place * labels.n + j] = em_mix(alpha, after.z[row + at],
                                                                before.z[row + at]);
    }
}

/* The slice's part of the token's KL, under the maxima that both models have by now. scratch:
 * [WARPS]; all threads call. */
__device__ inline void add_divergence(const em_cuda_pair &p, const float *a, const float *b,
                                      int first, int n, em_divergence *scratch) {
    __syncthreads(); /* thread 0 has written the maxima */
    em_divergence v = em_divergence_none(p.after.soft[blockIdx.x].max,
                                         p.before.soft[blockIdx.x].max);
#pragma unroll
    for (int i = 0; i < OWN; i++)
        if ((int)threadIdx.x + i * THREADS < n) em_divergence_add(&v, a[i], b[i]);
    v = em_warp_reduce(v, [](em_divergence x, em_divergence y) {
        x.sum += y.sum, x.first += y.first, x.near += y.near, x.far += y.far;
        return x;
    });
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = v;
    __syncthreads();
    if (threadIdx.x != 0) return;
    em_divergence sum = scratch[0];
    for (int w = 1; w < WARPS; w++) {
        sum.sum += scratch[w].sum, sum.first += scratch[w].first;
        sum.near += scratch[w].near, sum.far += scratch[w].far;
    }
    em_divergence *kl = &p.kl[blockIdx.x];
    *kl = first == 0 ? sum : em_divergence_merge(*kl, sum);
}

__global__ void __launch_bounds__(256)
    pair_token(em_cuda_logits before, em_cuda_logits after, em_cuda_labels labels, em_cuda_pair p) {
    if (!labels.scored[blockIdx.x]) return;
    em_soft *scratch = (em_soft *)em_shared_bytes;
    float b[OWN], a[OWN];
    read_own(before, b);
    read_own(after, a);
    block_merge(own_sums(b, before.first, before.n), &p.before.soft[blockIdx.x], scratch);
    keep_labels(before, labels, p.before);
    block_merge(own_sums(a, after.first, after.n), &p.after.soft[blockIdx.x], scratch);
    keep_labels(after, labels, p.after);
    add_divergence(p, a, b, after.first, after.n, (em_divergence *)em_shared_bytes);
    for (int k = 0; k < p.n_alphas; k++)
        if (!is_a_model(p, p.alpha[k])) add_alpha(before, after, labels, p, k, b, a, scratch);
}

void em_cuda_pair_run(em_stream s, const em_cuda_logits *before, const em_cuda_logits *after,
                      const em_cuda_labels *labels, const em_cuda_pair *p) {
    EM_LAUNCH(pair_token, EM_CUDA_TOKENS, THREADS, WARPS * sizeof(em_divergence), s, *before,
              *after, *labels, *p);
}
