/* The vector kernels, compiled once per instruction set: see kernels.h for what each computes.
 * Loops over plain arithmetic are left to the compiler's vectoriser; where the order of a sum or
 * a fused multiply matters it is written out. */
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/vec.h"

#include <string.h>

/* ---- norms ---- */

/* Sums run in vector lanes over chunks of this many floats; the chunks are added in double. */
#define CHUNK 512

static double sum(const float *x, int n) {
    double total = 0;
    for (int c = 0; c < n; c += CHUNK) {
        vf acc = v_set(0);
        int end = c + CHUNK < n ? c + CHUNK : n, i = c;
        for (; i + VW <= end; i += VW) acc = v_add(acc, v_load(x + i));
        if (i < end) acc = v_add(acc, v_load_n(x + i, end - i, v_set(0)));
        total += v_sum(acc);
    }
    return total;
}

/* Sum of (x - mean)^2. */
static double squares(const float *x, float mean, int n) {
    double total = 0;
    vf m = v_set(mean);
    for (int c = 0; c < n; c += CHUNK) {
        vf acc = v_set(0);
        int end = c + CHUNK < n ? c + CHUNK : n, i = c;
        for (; i + VW <= end; i += VW) {
            vf d = v_sub(v_load(x + i), m);
            acc = v_fma(d, d, acc);
        }
        if (i < end) {
            vf d = v_sub(v_load_n(x + i, end - i, m), m);
            acc = v_fma(d, d, acc);
        }
        total += v_sum(acc);
    }
    return total;
}

static void rms_norm(float *y, const float *x, const float *w, int n, float eps) {
    float inverse = (float)(1 / sqrt(squares(x, 0, n) / n + eps));
    for (int i = 0; i < n; i++) y[i] = x[i] * inverse * w[i];
}

static void layer_norm(float *y, const float *x, const float *w, const float *b, int n, float eps) {
    float mean = (float)(sum(x, n) / n);
    float inverse = (float)(1 / sqrt(squares(x, mean, n) / n + eps));
    if (b)
        for (int i = 0; i < n; i++) y[i] = (x[i] - mean) * inverse * w[i] + b[i];
    else
        for (int i = 0; i < n; i++) y[i] = (x[i] - mean) * inverse * w[i];
}

/* ---- rotary embedding ---- */

/* Taylor series on |r| <= pi / 4, in double: beyond float's precision. */
static inline double sine_series(double r, double z) {
    double p = -1.0 / 39916800;
    p = p * z + 1.0 / 362880;
    p = p * z - 1.0 / 5040;
    p = p * z + 1.0 / 120;
    p = p * z - 1.0 / 6;
    return r + r * z * p;
}

static inline double cosine_series(double z) {
    double p = 1.0 / 479001600;
    p = p * z - 1.0 / 3628800;
    p = p * z + 1.0 / 40320;
    p = p * z - 1.0 / 720;
    p = p * z + 1.0 / 24;
    p = p * z - 0.5;
    return 1 + z * p;
}

/* Cody and Waite: the angle less n times pi / 2 in two parts, then by quadrant. */
static void rope_table(float *cosine, float *sine, float position, const float *inv_freq, int pairs,
                       float scale_by) {
    for (int j = 0; j < pairs; j++) {
        double x = position * inv_freq[j];
        double n = __builtin_rint(x * 0.63661977236758134);
        double r = __builtin_fma(-n, 1.5707963267948966, x);
        r = __builtin_fma(-n, 6.123233995736766e-17, r);
        int quadrant = (int)n;
        double s = sine_series(r, r * r), c = cosine_series(r * r);
        double cos_x = quadrant & 1 ? s : c, sin_x = quadrant & 1 ? c : s;
        cosine[j] = (float)((quadrant + 1) & 2 ? -cos_x : cos_x) * scale_by;
        sine[j] = (float)(quadrant & 2 ? -sin_x : sin_x) * scale_by;
    }
}

static void rope(float *x, const float *cosine, const float *sine, int pairs) {
    float *y = x + pairs;
    for (int j = 0; j < pairs; j += VW) {
        int n = pairs - j < VW ? pairs - j : VW;
        vf zero = v_set(0), c = v_load_n(cosine + j, n, zero), s = v_load_n(sine + j, n, zero);
        vf a = v_load_n(x + j, n, zero), b = v_load_n(y + j, n, zero);
        v_store_n(x + j, v_fnma(b, s, v_mul(a, c)), n);
        v_store_n(y + j, v_fma(a, s, v_mul(b, c)), n);
    }
}

/* ---- elementwise ---- */

static void scale(float *y, const float *x, float factor, int n) {
    for (int i = 0; i < n; i++) y[i] = factor * x[i];
}

static void add(float *y, const float *x, int n) {
    for (int i = 0; i < n; i++) y[i] += x[i];
}

static inline vf silu(vf x) { return v_div(x, v_add(v_set(1), v_exp(v_sub(v_set(0), x)))); }

static inline vf gelu(vf x) {
    vf half = v_mul(v_set(0.5f), v_erfc_positive(v_mul(v_abs(x), v_set(0.70710678f))));
    return v_mul(x, v_select(v_lt(x, v_set(0)), half, v_sub(v_set(1), half)));
}

/* (1 + tanh(u)) / 2 = 1 / (1 + exp(-2u)), u = sqrt(2 / pi) (x + 0.044715 x^3) */
static inline vf gelu_tanh(vf x) {
    vf cubic = v_fma(v_mul(v_mul(x, x), x), v_set(0.044715f), x);
    return v_div(x, v_add(v_set(1), v_exp(v_mul(cubic, v_set(-1.59576912f)))));
}

static inline vf activation(em_activation kind, vf x) {
    switch (kind) {
    case EM_SILU: return silu(x);
    case EM_GELU: return gelu(x);
    case EM_GELU_TANH: return gelu_tanh(x);
    case EM_RELU:
    case EM_RELU2: break;
    }
    vf relu = v_max(v_set(0), x);
    return kind == EM_RELU2 ? v_mul(relu, relu) : relu;
}

static inline __attribute__((always_inline)) void activate_as(em_activation kind, float *y,
                                                              const float *gate, const float *up,
                                                              int n) {
    for (int i = 0; i < n; i += VW) {
        int lanes = n - i < VW ? n - i : VW;
        vf v = activation(kind, v_load_n(gate + i, lanes, v_set(0)));
        if (up) v = v_mul(v, v_load_n(up + i, lanes, v_set(0)));
        v_store_n(y + i, v, lanes);
    }
}

static void activate(em_activation kind, float *y, const float *gate, const float *up, int n) {
    switch (kind) {
    case EM_SILU: activate_as(EM_SILU, y, gate, up, n); break;
    case EM_GELU: activate_as(EM_GELU, y, gate, up, n); break;
    case EM_GELU_TANH: activate_as(EM_GELU_TANH, y, gate, up, n); break;
    case EM_RELU: activate_as(EM_RELU, y, gate, up, n); break;
    case EM_RELU2: activate_as(EM_RELU2, y, gate, up, n); break;
    }
}

static void soft_cap(float *x, int n, float cap) {
    vf c = v_set(cap);
    for (int i = 0; i < n; i += VW) {
        int lanes = n - i < VW ? n - i : VW;
        vf v = v_div(v_load_n(x + i, lanes, v_set(0)), c);
        v_store_n(x + i, v_mul(c, v_tanh(v)), lanes);
    }
}

/* ---- attention ---- */

/* Rows of a register block: with two vectors of columns, its sums fill most registers. */
#define BLOCK (VW == 16 ? 8 : 4)

/* acc[r][c] = sum over i < depth of a[r, i] * b[i, c]; columns are vectors. */
static inline __attribute__((always_inline)) void block_product(const float *a, ptrdiff_t a_stride,
                                                                const float *b, ptrdiff_t b_stride,
                                                                int depth, int columns,
                                                                vf acc[BLOCK][2]) {
    for (int r = 0; r < BLOCK; r++) acc[r][0] = acc[r][1] = v_set(0);
    for (int i = 0; i < depth; i++) {
        vf b0 = v_load(b + i * b_stride), b1 = columns > 1 ? v_load(b + i * b_stride + VW) : b0;
#pragma GCC unroll 8
        for (int r = 0; r < BLOCK; r++) {
            vf factor = v_set(a[r * a_stride + i]);
            acc[r][0] = v_fma(factor, b0, acc[r][0]);
            if (columns > 1) acc[r][1] = v_fma(factor, b1, acc[r][1]);
        }
    }
}

/* z[r, k] = q . keys for k in [first, last), a multiple of VW apart. */
static void scores(const em_attend *a, int first, int last, float (*z)[EM_KEY_TILE]) {
    for (int r = 0; r < EM_ATTEND_QUERIES; r += BLOCK) {
        const float *q = a->q + r * a->q_stride;
        vf acc[BLOCK][2];
        int k = first;
        for (; k + 2 * VW <= last; k += 2 * VW) {
            block_product(q, a->q_stride, a->keys + k, EM_KEY_TILE, a->head_dim, 2, acc);
            for (int i = 0; i < BLOCK; i++)
                v_store(z[r + i] + k, acc[i][0]), v_store(z[r + i] + k + VW, acc[i][1]);
        }
        if (k == last) continue;
        block_product(q, a->q_stride, a->keys + k, EM_KEY_TILE, a->head_dim, 1, acc);
        for (int i = 0; i < BLOCK; i++) v_store(z[r + i] + k, acc[i][0]);
    }
}

/* out = out * keep + p . values, over keys [first, last). */
static void mix_values(const em_attend *a, int first, int last, float (*p)[EM_KEY_TILE],
                       const float *keep) {
    for (int r = 0; r < EM_ATTEND_QUERIES; r += BLOCK) {
        for (int d = 0; d < a->value_width; d += 2 * VW) {
            int columns = a->value_width - d > VW ? 2 : 1;
            const float *values = a->values + (ptrdiff_t)first * a->value_width + d;
            vf acc[BLOCK][2];
            if (columns == 2)
                block_product(p[r] + first, EM_KEY_TILE, values, a->value_width, last - first, 2,
                              acc);
            else
                block_product(p[r] + first, EM_KEY_TILE, values, a->value_width, last - first, 1,
                              acc);
            for (int i = 0; i < BLOCK; i++) {
                float *out = a->out + (ptrdiff_t)(r + i) * a->value_width + d;
                vf k = v_set(keep[r + i]);
                v_store(out, v_fma(v_load(out), k, acc[i][0]));
                if (columns == 2) v_store(out + VW, v_fma(v_load(out + VW), k, acc[i][1]));
            }
        }
    }
}

/* Scores of keys outside [lo, hi) become -inf, whose exp is exactly 0. */
static void mask_edges(float *z, int first, int last, int lo, int hi) {
    vf low = v_set((float)lo - 0.5f), high = v_set((float)hi - 0.5f), none = v_set(-INFINITY);
    for (int k = first; k < last; k += VW) {
        vf index = v_add(v_set((float)k), v_lanes());
        vm inside = v_and(v_lt(low, index), v_lt(index, high));
        v_store(z + k, v_select(inside, v_load(z + k), none));
    }
}

static float largest(const float *z, int first, int last) {
    vf max = v_load(z + first);
    for (int k = first + VW; k < last; k += VW) max = v_max(max, v_load(z + k));
    return v_largest(max);
}

static float exponentials(float *z, int first, int last, float max) {
    vf m = v_set(max), total = v_set(0);
    for (int k = first; k < last; k += VW) {
        vf p = v_exp_term(v_sub(v_load(z + k), m));
        v_store(z + k, p);
        total = v_add(total, p);
    }
    return v_sum(total);
}

static inline int clamp(int x) { return x < 0 ? 0 : x > EM_KEY_TILE ? EM_KEY_TILE : x; }

/* The keys of this tile that any of the queries sees, widened to whole vectors; the keys that
 * this adds or leaves out have probability 0, so they change nothing. */
static bool key_range(const em_attend *a, int *first, int *last) {
    *first = EM_KEY_TILE;
    *last = 0;
    for (int r = 0; r < EM_ATTEND_QUERIES; r++) {
        int lo = clamp(a->lo[r] - a->first_key), hi = clamp(a->hi[r] - a->first_key);
        if (lo >= hi) continue;
        if (lo < *first) *first = lo;
        if (hi > *last) *last = hi;
    }
    *first = *first / VW * VW;
    *last = (*last + VW - 1) / VW * VW;
    return *first < *last;
}

static void attend(const em_attend *a) {
    int first, last;
    if (!key_range(a, &first, &last)) return;
    _Alignas(64) float z[EM_ATTEND_QUERIES][EM_KEY_TILE];
    _Alignas(64) float max[EM_ATTEND_QUERIES], keep[EM_ATTEND_QUERIES];
    scores(a, first, last, z);
    for (int r = 0; r < EM_ATTEND_QUERIES; r++) {
        int lo = clamp(a->lo[r] - a->first_key), hi = clamp(a->hi[r] - a->first_key);
        if (a->softcap > 0) soft_cap(z[r] + first, last - first, a->softcap);
        if (lo > first || hi < last) mask_edges(z[r], first, last, lo, hi);
        float here = largest(z[r], first, last);
        max[r] = here > a->max[r] ? here : a->max[r];
        keep[r] = a->max[r] - max[r];
        a->max[r] = max[r];
    }
    for (int r = 0; r < EM_ATTEND_QUERIES; r += VW) {
        int n = EM_ATTEND_QUERIES - r < VW ? EM_ATTEND_QUERIES - r : VW;
        v_store_n(keep + r, v_exp(v_load_n(keep + r, n, v_set(0))), n);
    }
    for (int r = 0; r < EM_ATTEND_QUERIES; r++)
        a->sum[r] = a->sum[r] * keep[r] + exponentials(z[r], first, last, max[r]);
    mix_values(a, first, last, z, keep);
}

/* ---- loss ---- */

/* Four chains: the loop runs at the rate of the loads. */
static float largest_of(const float *x, int n) {
    vf none = v_set(-INFINITY), m[4] = {none, none, none, none};
    int i = 0;
    for (; i + 4 * VW <= n; i += 4 * VW)
        for (int c = 0; c < 4; c++) m[c] = v_max(m[c], v_load(x + i + c * VW));
    for (; i < n; i += VW) m[0] = v_max(m[0], v_load_n(x + i, n - i, none));
    return v_largest(v_max(v_max(m[0], m[1]), v_max(m[2], m[3])));
}

static void soft_sum(const float *x, int n, float *max, double *total) {
    *max = largest_of(x, n);
    vf m = v_set(*max), s[2] = {v_set(0), v_set(0)};
    int i = 0;
    for (; i + 2 * VW <= n; i += 2 * VW)
        for (int c = 0; c < 2; c++)
            s[c] = v_add(s[c], v_exp_term(v_sub(v_load(x + i + c * VW), m)));
    for (; i < n; i += VW)
        s[0] = v_add(s[0], v_exp_term(v_sub(v_load_n(x + i, n - i, v_set(-INFINITY)), m)));
    *total = v_sum(v_add(s[0], s[1]));
}

static void mix(float *restrict z, const float *after, const float *before, double alpha, int n) {
    double more = 1 + alpha;
    for (int i = 0; i < n; i++) z[i] = (float)(more * (double)after[i] - alpha * (double)before[i]);
}

/* (after - max) - (before - max), as f32, and 2^-64 of it, so that no difference of two floats is
 * beyond what f32 holds. */
static void differences(const float *after, const float *before, float max_after, float max_before,
                        int n, float *d, float *small) {
    for (int i = 0; i < n; i++) {
        double x = ((double)after[i] - (double)max_after) -
                   ((double)before[i] - (double)max_before);
        d[i] = (float)x;
        small[i] = (float)(x * 0x1p-64);
    }
}

/* em_divergence_add in lanes. */
typedef struct divergence_lanes {
    vf sum, near_first, far_first, near, far; /* far_first: 2^-64 of it */
} divergence_lanes;

static inline void divergence_add(divergence_lanes *s, vf a, vf b, vf d, vf small) {
    static const float series[] = EM_DIVERGENCE_SERIES;
    vf zero = v_set(0), p = v_set(series[0]);
    for (int i = 1; i < 7; i++) p = v_fma(p, d, v_set(series[i]));
    vm is_near = v_lt(v_abs(d), v_set(0.5f));
    vf ad = v_mul(a, d), first = v_mul(v_mul(ad, d), p);
    s->sum = v_add(s->sum, a);
    s->near_first = v_add(s->near_first, v_select(is_near, first, zero));
    s->near = v_add(s->near, v_select(is_near, v_sub(first, ad), zero));
    s->far = v_add(s->far, v_select(is_near, zero, v_sub(b, a)));
    vf far_first = v_select(v_lt(zero, a), v_mul(a, small), zero);
    s->far_first = v_add(s->far_first, v_select(is_near, zero, far_first));
}

static em_divergence divergence(const float *after, const float *before, float max_after,
                                float max_before, int n) {
    em_divergence v = em_divergence_none(max_after, max_before);
    vf m = v_set(max_after), w = v_set(max_before), zero = v_set(0);
    for (int c = 0; c < n; c += CHUNK) {
        int count = n - c < CHUNK ? n - c : CHUNK;
        _Alignas(64) float d[CHUNK], small[CHUNK];
        divergence_lanes s = {zero, zero, zero, zero, zero};
        differences(after + c, before + c, max_after, max_before, count, d, small);
        for (int i = 0; i < count; i += VW) { /* no id: a = b = 0, d = 0 */
            int lanes = count - i;
            vf none = v_set(-INFINITY);
            divergence_add(&s, v_exp(v_sub(v_load_n(after + c + i, lanes, none), m)),
                           v_exp(v_sub(v_load_n(before + c + i, lanes, none), w)),
                           v_load_n(d + i, lanes, zero), v_load_n(small + i, lanes, zero));
        }
        v.sum += v_sum(s.sum);
        v.first += v_sum(s.near_first) + 0x1p64 * v_sum(s.far_first);
        v.near += v_sum(s.near);
        v.far += v_sum(s.far);
    }
    return v;
}

/* ---- number formats ---- */

static inline uint32_t bits(float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    return u;
}

static inline float from_bits(uint32_t u) {
    float x;
    memcpy(&x, &u, 4);
    return x;
}

/* As em_f32_to_bf16, without its branch. */
static inline uint32_t rounded(uint32_t u) {
    uint32_t nearest = u + 0x7fffu + ((u >> 16) & 1), quiet = u | 0x400000u;
    return (u & 0x7fffffffu) > 0x7f800000u ? quiet : nearest;
}

static void round_bf16(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = from_bits(rounded(bits(x[i])) & 0xffff0000u);
}

#ifdef __AVX512BF16__
static void to_bf16(uint16_t *y, const float *x, int64_t n) {
    int64_t i = 0;
    for (; i + VW <= n; i += VW)
        _mm256_storeu_si256((__m256i *)(y + i), (__m256i)_mm512_cvtneps_pbh(v_load(x + i)));
    if (i == n) return;
    vf rest = v_load_n(x + i, (int)(n - i), v_set(0));
    _mm256_mask_storeu_epi16(y + i, v_first((int)(n - i)), (__m256i)_mm512_cvtneps_pbh(rest));
}
#else
static void to_bf16(uint16_t *y, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = (uint16_t)(rounded(bits(x[i])) >> 16);
}
#endif

static inline uint16_t half_at(const char *x, int64_t i) {
    uint16_t u;
    memcpy(&u, x + 2 * i, 2);
    return u;
}

static void from_bf16(float *y, const void *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = from_bits((uint32_t)half_at(x, i) << 16);
}

static void from_f16(float *y, const void *x, int64_t n) {
    int64_t i = 0;
    for (; i + VW <= n; i += VW) v_store(y + i, v_from_f16((const char *)x + 2 * i));
    for (; i < n; i++) y[i] = em_f16_to_f32(half_at(x, i));
}

static bool all_finite(const float *x, int64_t n) {
    uint32_t bad = 0;
    for (int64_t i = 0; i < n; i++) bad |= (bits(x[i]) & 0x7f800000u) == 0x7f800000u;
    return !bad;
}

const em_cpu_kernels EM_KERNELS = {
    .name = EM_KERNELS_NAME,
    .rms_norm = rms_norm,
    .layer_norm = layer_norm,
    .rope_table = rope_table,
    .rope = rope,
    .scale = scale,
    .add = add,
    .activate = activate,
    .soft_cap = soft_cap,
    .attend = attend,
    .soft_sum = soft_sum,
    .mix = mix,
    .divergence = divergence,
    .round_bf16 = round_bf16,
    .to_bf16 = to_bf16,
    .from_bf16 = from_bf16,
    .from_f16 = from_f16,
    .all_finite = all_finite,
};
