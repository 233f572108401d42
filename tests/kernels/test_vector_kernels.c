/* Every table of kernels that this machine can run against double precision, at odd sizes and
 * misaligned, with a guard behind each output. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kernels/cpu/kernels.h"

#define MAX 2100
#define GUARD 12345.0f

static const int sizes[] = {1,  2,   7,   8,   9,   15,  16,   17,   31,  33,
                            64, 100, 511, 512, 513, 576, 1025, 2048, 2051};
#define N_SIZES ((int)(sizeof sizes / sizeof *sizes))

static uint64_t seed = 1;

static double uniform(void) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed >> 11) * 0x1p-53;
}

static float between(double low, double high) { return (float)(low + (high - low) * uniform()); }

static void fill(float *x, int n, double low, double high) {
    for (int i = 0; i < n; i++) x[i] = between(low, high);
}

static const em_cpu_kernels *tables[4];
static int n_tables;

static void find_tables(void) {
    tables[n_tables++] = &em_cpu_kernels_portable;
#ifdef EM_X86
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("f16c"))
        tables[n_tables++] = &em_cpu_kernels_avx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        tables[n_tables++] = &em_cpu_kernels_avx512;
    if (__builtin_cpu_supports("avx512bf16")) tables[n_tables++] = &em_cpu_kernels_avx512_bf16;
#endif
}

#define FOR_TABLES(k) \
    for (int i_table = 0; i_table < n_tables; i_table++) \
        for (const em_cpu_kernels *k = tables[i_table]; k; k = NULL)

static void close_to(const em_cpu_kernels *k, const char *what, double x, double expected,
                     double relative, double absolute) {
    if (!(fabs(x - expected) <= relative * fabs(expected) + absolute))
        fail_msg("%s of %s: %.9g, should be %.9g", what, k->name, x, expected);
}

/* Buffers one float off alignment. */
static float store[6][MAX + 80];
static float *x = store[0] + 1, *y = store[1] + 1, *w = store[2] + 1, *b = store[3] + 1;

static void guard(void) {
    for (int i = 0; i < MAX; i++) y[i] = GUARD;
}

static void guarded(const em_cpu_kernels *k, int n) {
    if (y[n] != GUARD) fail_msg("%s wrote beyond %d elements", k->name, n);
}

/* ---- norms ---- */

static void test_norms(void **state) {
    FOR_TABLES(k) for (int s = 0; s < N_SIZES; s++) {
        int n = sizes[s];
        double mean = 0, squares = 0, variance = 0;
        fill(x, n, -3, 4);
        fill(w, n, -1, 1);
        fill(b, n, -1, 1);
        for (int i = 0; i < n; i++) mean += x[i] / (double)n, squares += (double)x[i] * x[i] / n;
        for (int i = 0; i < n; i++) variance += (x[i] - mean) * (x[i] - mean) / n;
        guard();
        k->rms_norm(y, x, w, n, 1e-5f);
        guarded(k, n);
        for (int i = 0; i < n; i++)
            close_to(k, "rms_norm", y[i], x[i] / sqrt(squares + 1e-5) * w[i], 1e-6, 0);
        k->layer_norm(y, x, w, b, n, 1e-5f);
        guarded(k, n);
        for (int i = 0; i < n; i++)
            close_to(k, "layer_norm", y[i], (x[i] - mean) / sqrt(variance + 1e-5) * w[i] + b[i],
                     1e-6, 2e-6);
        memcpy(y, x, (size_t)n * sizeof *y);
        k->layer_norm(y, y, w, NULL, n, 1e-5f);
        for (int i = 0; i < n; i++)
            close_to(k, "layer_norm in place", y[i], (x[i] - mean) / sqrt(variance + 1e-5) * w[i],
                     1e-6, 2e-6);
    }
}

/* ---- rotary embedding ---- */

static void test_rope_table(void **state) {
    static const float positions[] = {0, 1, 2, 100, 1023, 4095, 65537, 131071, 1048575};
    FOR_TABLES(k) for (size_t p = 0; p < sizeof positions / sizeof *positions; p++) {
        int pairs = 67;
        for (int j = 0; j < pairs; j++) w[j] = powf(10000, -(float)j / (float)pairs);
        guard();
        k->rope_table(y, b, positions[p], w, pairs, 1.25f);
        guarded(k, pairs);
        for (int j = 0; j < pairs; j++) {
            float angle = positions[p] * w[j];
            close_to(k, "cosine", y[j], 1.25 * cos(angle), 1e-6, 1e-7);
            close_to(k, "sine", b[j], 1.25 * sin(angle), 1e-6, 1e-7);
        }
    }
}

static void test_rope(void **state) {
    FOR_TABLES(k) for (int pairs = 1; pairs < 130; pairs += 7) {
        fill(x, 2 * pairs, -2, 2);
        fill(w, pairs, -1, 1);
        fill(b, pairs, -1, 1);
        guard();
        memcpy(y, x, (size_t)(2 * pairs) * sizeof *y);
        k->rope(y, w, b, pairs);
        guarded(k, 2 * pairs);
        for (int j = 0; j < pairs; j++) {
            double c = w[j], s = b[j], p = x[j], q = x[j + pairs];
            close_to(k, "rope", y[j], p * c - q * s, 1e-6, 1e-6);
            close_to(k, "rope", y[j + pairs], q * c + p * s, 1e-6, 1e-6);
        }
    }
}

/* ---- elementwise ---- */

static double reference(em_activation kind, double v) {
    switch (kind) {
    case EM_SILU: return v / (1 + exp(-v));
    case EM_GELU: return 0.5 * v * erfc(-v * sqrt(0.5));
    case EM_GELU_TANH: return v / (1 + exp(-2 * sqrt(2 / acos(-1)) * (v + 0.044715 * v * v * v)));
    case EM_RELU: return v > 0 ? v : 0;
    case EM_RELU2: return v > 0 ? v * v : 0;
    }
    return v;
}

static void check_activation(const em_cpu_kernels *k, em_activation kind, int n, double low,
                             double high) {
    fill(x, n, low, high);
    fill(w, n, -2, 2);
    guard();
    k->activate(kind, y, x, w, n);
    guarded(k, n);
    for (int i = 0; i < n; i++)
        close_to(k, "activate, gated", y[i], reference(kind, x[i]) * w[i], 6e-6, 1e-30);
    k->activate(kind, y, x, NULL, n);
    for (int i = 0; i < n; i++) close_to(k, "activate", y[i], reference(kind, x[i]), 6e-6, 1e-30);
}

static void test_activations(void **state) {
    static const em_activation kinds[] = {EM_SILU, EM_GELU, EM_GELU_TANH, EM_RELU, EM_RELU2};
    FOR_TABLES(k) for (int kind = 0; kind < 5; kind++) {
        for (int s = 0; s < N_SIZES; s++) check_activation(k, kinds[kind], sizes[s], -4, 4);
        check_activation(k, kinds[kind], 2000, -0.001, 0.001);
        fill(x, 4, 0, 0);
        x[0] = 1e30f, x[1] = -1e30f, x[2] = 0, x[3] = NAN;
        k->activate(kinds[kind], y, x, NULL, 4);
        bool relu = kinds[kind] == EM_RELU || kinds[kind] == EM_RELU2;
        assert_true(y[0] == (kinds[kind] == EM_RELU2 ? INFINITY : 1e30f) && y[1] == 0 &&
                    y[2] == 0 && (isnan(y[3]) || (relu && i_table == 0)));
    }
}

static void test_soft_cap(void **state) {
    FOR_TABLES(k) for (int s = 0; s < N_SIZES; s++) {
        int n = sizes[s];
        double range = s % 2 ? 300 : 1;
        fill(x, n, -range, range);
        guard();
        memcpy(y, x, (size_t)n * sizeof *y);
        k->soft_cap(y, n, 30);
        guarded(k, n);
        for (int i = 0; i < n; i++)
            close_to(k, "soft_cap", y[i], 30 * tanh((double)x[i] / 30), 5e-7, 0);
    }
}

static void test_scale_and_add(void **state) {
    FOR_TABLES(k) for (int s = 0; s < N_SIZES; s++) {
        int n = sizes[s];
        fill(x, n, -3, 3);
        guard();
        k->scale(y, x, 1.7f, n);
        guarded(k, n);
        for (int i = 0; i < n; i++) assert_true(y[i] == 1.7f * x[i]);
        memcpy(w, y, (size_t)n * sizeof *w);
        k->add(y, x, n);
        guarded(k, n);
        for (int i = 0; i < n; i++) assert_true(y[i] == w[i] + x[i]);
    }
}

/* ---- softmax and loss ---- */

static void test_soft_sum(void **state) {
    FOR_TABLES(k) for (int s = 0; s < N_SIZES; s++) {
        int n = sizes[s];
        float max = -FLT_MAX, got;
        double sum = 0, got_sum;
        fill(x, n, -120, -3);
        for (int i = 0; i < 64; i++) x[n + i] = 1000; /* what lies behind must not matter */
        for (int i = 0; i < n; i++) max = fmaxf(max, x[i]);
        for (int i = 0; i < n; i++) sum += exp((double)x[i] - max);
        k->soft_sum(x, n, &got, &got_sum);
        assert_true(got == max);
        close_to(k, "soft_sum", got_sum, sum, 1e-6, 0);
        x[n / 2] = NAN;
        k->soft_sum(x, n, &got, &got_sum);
        assert_true(isnan(got_sum));
    }
}

static void test_mix(void **state) {
    static const double alphas[] = {-2, -1, -0.3, 0, 0.1, 1.75, 30};
    FOR_TABLES(k)
    for (int s = 0; s < N_SIZES; s++)
        for (size_t a = 0; a < sizeof alphas / sizeof *alphas; a++) {
            int n = sizes[s];
            fill(x, n, -60, 60);
            fill(w, n, -60, 60);
            guard();
            k->mix(y, x, w, alphas[a], n);
            guarded(k, n);
            for (int i = 0; i < n; i++) {
                close_to(k, "mix", y[i], (1 + alphas[a]) * x[i] - alphas[a] * w[i], 1e-7, 1e-13);
                if (alphas[a] == -1) assert_true(y[i] == w[i]);
                if (alphas[a] == 0) assert_true(y[i] == x[i]);
            }
        }
}

/* KL in double, each term at least 0. */
static double kl_of(const float *after, const float *before, int n) {
    double m = -INFINITY, k = -INFINITY, sum = 0, other = 0, kl = 0;
    for (int i = 0; i < n; i++) m = fmax(m, after[i]), k = fmax(k, before[i]);
    for (int i = 0; i < n; i++) sum += exp(after[i] - m), other += exp(before[i] - k);
    for (int i = 0; i < n; i++) {
        double r = (after[i] - m) - (before[i] - k) - log(sum) + log(other);
        double p = exp(after[i] - m) / sum;
        kl += fabs(r) < 1 ? p * (r + expm1(-r)) : p * r + exp(before[i] - k) / other - p;
    }
    return kl;
}

/* In slices of 100, under maxima that grow. */
static double divergence_of(const em_cpu_kernels *k, const float *after, const float *before,
                            int n) {
    em_divergence v = em_divergence_none(-INFINITY, -INFINITY);
    float max = -INFINITY, max_before = -INFINITY;
    for (int at = 0; at < n; at += 100) {
        int count = n - at < 100 ? n - at : 100;
        for (int i = at; i < at + count; i++)
            max = fmaxf(max, after[i]), max_before = fmaxf(max_before, before[i]);
        v = em_divergence_merge(v, k->divergence(after + at, before + at, max, max_before, count));
    }
    return em_divergence_kl(v);
}

/* Logits of any size, and differences of any size between them, in both directions. */
static void test_divergence(void **state) {
    static const double scales[] = {1e-6, 1e-3, 1, 30, 1e3, 1e6, 1e10, 1e20, 1e30, 1e38};
    static float z[MAX + 64], other[MAX + 64];
    FOR_TABLES(k)
    for (int s = 0; s < N_SIZES; s++)
        for (size_t i = 0; i < sizeof scales / sizeof *scales; i++)
            for (size_t j = 0; j < sizeof scales / sizeof *scales; j++) {
                int n = sizes[s];
                fill(z, n, -scales[i], scales[i]);
                fill(other, n, -scales[j], scales[j]);
                for (int v = 0; v < n && i == j; v++) /* twice: one that hardly differs */
                    other[v] = s % 2 ? other[v] : z[v] * (1 + 1e-3f * other[v] / (float)scales[j]);
                for (int v = 0; v < 64; v++) z[n + v] = other[n + v] = NAN; /* must not matter */
                double there = kl_of(z, other, n), back = kl_of(other, z, n);
                close_to(k, "divergence", divergence_of(k, z, other, n), there, 1e-5, 1e-20);
                close_to(k, "divergence, back", divergence_of(k, other, z, n), back, 1e-5, 1e-20);
                assert_true(divergence_of(k, z, z, n) == 0);
            }
    FOR_TABLES(k) {
        fill(z, 100, -3, 3);
        memcpy(other, z, sizeof z);
        other[50] = -INFINITY; /* an id that one model cannot give */
        assert_true(divergence_of(k, z, other, 100) == INFINITY);
        double kl = divergence_of(k, other, z, 100);
        assert_true(kl > 0 && kl < 10);
        other[50] = NAN;
        assert_true(isnan(divergence_of(k, z, other, 100)));
    }
}

/* ---- attention ---- */

typedef struct attention {
    em_attend a;
    float q[EM_ATTEND_QUERIES * 300], keys[256 * EM_KEY_TILE], values[EM_KEY_TILE * 256];
    int32_t lo[EM_ATTEND_QUERIES], hi[EM_ATTEND_QUERIES];
    float max[EM_ATTEND_QUERIES], sum[EM_ATTEND_QUERIES], out[EM_ATTEND_QUERIES * 256];
} attention;

static void attention_start(attention *t, int head_dim) {
    int width = (head_dim + EM_VALUE_ALIGN - 1) / EM_VALUE_ALIGN * EM_VALUE_ALIGN;
    t->a = (em_attend){.q = t->q,
                       .q_stride = head_dim + 3,
                       .keys = t->keys,
                       .values = t->values,
                       .head_dim = head_dim,
                       .value_width = width,
                       .lo = t->lo,
                       .hi = t->hi,
                       .max = t->max,
                       .sum = t->sum,
                       .out = t->out};
    for (int r = 0; r < EM_ATTEND_QUERIES; r++) t->max[r] = -FLT_MAX, t->sum[r] = 0;
    memset(t->out, 0, sizeof t->out);
}

/* A key tile of its own content for each place in the row. */
static void attention_tile(attention *t, int tile) {
    seed = (uint64_t)tile + 99;
    t->a.first_key = tile * EM_KEY_TILE;
    fill(t->keys, t->a.head_dim * EM_KEY_TILE, -1, 1);
    fill(t->values, EM_KEY_TILE * t->a.value_width, -1, 1);
}

static void attention_run(const em_cpu_kernels *k, attention *t, int head_dim, int tiles,
                          float softcap) {
    attention_start(t, head_dim);
    t->a.softcap = softcap;
    for (int tile = 0; tile < tiles; tile++) {
        attention_tile(t, tile);
        k->attend(&t->a);
    }
}

static double attention_logit(const attention *t, int r, int key) {
    double z = 0, cap = (double)t->a.softcap;
    for (int d = 0; d < t->a.head_dim; d++)
        z += (double)t->q[r * t->a.q_stride + d] * t->keys[d * EM_KEY_TILE + key];
    return cap > 0 ? cap * tanh(z / cap) : z;
}

/* Against a plain double softmax over all tiles; scores here stay small enough to need no max. */
static void attention_check(const em_cpu_kernels *k, attention *t, int tiles) {
    static double sum[EM_ATTEND_QUERIES], out[EM_ATTEND_QUERIES][256];
    memset(sum, 0, sizeof sum);
    memset(out, 0, sizeof out);
    for (int tile = 0; tile < tiles; tile++) {
        attention_tile(t, tile);
        for (int r = 0; r < EM_ATTEND_QUERIES; r++)
            for (int i = 0; i < EM_KEY_TILE; i++) {
                int key = t->a.first_key + i;
                if (key < t->lo[r] || key >= t->hi[r]) continue;
                double p = exp(attention_logit(t, r, i));
                sum[r] += p;
                for (int d = 0; d < t->a.head_dim; d++)
                    out[r][d] += p * t->values[i * t->a.value_width + d];
            }
    }
    for (int r = 0; r < EM_ATTEND_QUERIES; r++) {
        if (sum[r] == 0) assert_true(t->sum[r] == 0);
        for (int d = 0; sum[r] > 0 && d < t->a.head_dim; d++)
            close_to(k, "attend", t->out[r * t->a.value_width + d] / t->sum[r], out[r][d] / sum[r],
                     1e-5, 2e-6);
        for (int d = 0; sum[r] == 0 && d < t->a.value_width; d++)
            assert_true(t->out[r * t->a.value_width + d] == 0);
    }
}

static void draw_intervals(attention *t, int keys) {
    for (int r = 0; r < EM_ATTEND_QUERIES; r++) {
        int p = (int)(uniform() * keys), q = (int)(uniform() * keys);
        t->lo[r] = p < q ? p : q;
        t->hi[r] = p < q ? q : p;
    }
    t->lo[2] = t->hi[2] = 5;
    t->lo[3] = 0, t->hi[3] = keys;
    t->lo[4] = 127, t->hi[4] = 129;
    t->lo[5] = 9, t->hi[5] = 3;
}

static void test_attend(void **state) {
    static const int head_dims[] = {1, 8, 16, 24, 40, 64, 72, 80, 128, 256};
    attention *t = calloc(1, sizeof *t);
    FOR_TABLES(k)
    for (size_t h = 0; h < sizeof head_dims / sizeof *head_dims; h++)
        for (int trial = 0; trial < 4; trial++) {
            seed = (uint64_t)trial + 5;
            fill(t->q, EM_ATTEND_QUERIES * 300, -1 / sqrt(head_dims[h]), 1 / sqrt(head_dims[h]));
            draw_intervals(t, 3 * EM_KEY_TILE);
            attention_run(k, t, head_dims[h], 3, trial % 2 ? 1.5f : 0);
            attention_check(k, t, 3);
        }
    free(t);
}

/* Large scores: the running maximum must carry them. */
static void test_attend_large_scores(void **state) {
    attention *t = calloc(1, sizeof *t);
    FOR_TABLES(k) {
        fill(t->q, EM_ATTEND_QUERIES * 300, -900, 900);
        draw_intervals(t, 3 * EM_KEY_TILE);
        attention_run(k, t, 16, 3, 0);
        for (int r = 0; r < EM_ATTEND_QUERIES; r++) {
            assert_true(t->lo[r] >= t->hi[r] ? t->sum[r] == 0
                                             : t->sum[r] >= 0.999f && isfinite(t->sum[r]));
            for (int d = 0; d < 16; d++) assert_true(isfinite(t->out[r * 16 + d]));
        }
    }
    free(t);
}

/* A query's bits depend on its own interval alone: not on what its neighbours see, and so not on
 * which key tiles are skipped or where comparisons are needed. */
static void test_attend_neighbours(void **state) {
    attention *t = calloc(1, sizeof *t), *narrow = calloc(1, sizeof *t);
    FOR_TABLES(k)
    for (int head_dim = 24; head_dim < 70; head_dim += 40)
        for (int trial = 0; trial < 20; trial++) {
            seed = (uint64_t)trial + 77;
            fill(t->q, EM_ATTEND_QUERIES * 300, -2, 2);
            memcpy(narrow->q, t->q, sizeof t->q);
            draw_intervals(t, 4 * EM_KEY_TILE);
            for (int r = 0; r < EM_ATTEND_QUERIES; r++) {
                bool kept = r == trial % EM_ATTEND_QUERIES;
                narrow->lo[r] = kept ? t->lo[r] : 0;
                narrow->hi[r] = kept ? t->hi[r] : 0;
            }
            attention_run(k, t, head_dim, 4, 0);
            attention_run(k, narrow, head_dim, 4, 0);
            int r = trial % EM_ATTEND_QUERIES, width = t->a.value_width;
            assert_memory_equal(&t->sum[r], &narrow->sum[r], sizeof(float));
            assert_memory_equal(t->out + r * width, narrow->out + r * width,
                                (size_t)width * sizeof(float));
        }
    free(t);
    free(narrow);
}

/* ---- number formats ---- */

/* Every half there is, read from an odd address. */
static void test_halves(void **state) {
    static char raw[2 * 65536 + 1];
    static float wide[65536 + 1];
    for (int i = 0; i < 65536; i++)
        raw[1 + 2 * i] = (char)(i & 255), raw[2 + 2 * i] = (char)(i >> 8);
    FOR_TABLES(k) {
        k->from_bf16(wide, raw + 1, 65535);
        for (int i = 0; i < 65535; i++) {
            float expected = em_bf16_to_f32((uint16_t)i);
            assert_memory_equal(&wide[i], &expected, 4);
        }
        k->from_f16(wide, raw + 1, 65535);
        for (int i = 0; i < 65535; i++) {
            float expected = em_f16_to_f32((uint16_t)i);
            if (isnan(expected)) assert_true(isnan(wide[i]));
            else assert_memory_equal(&wide[i], &expected, 4);
        }
    }
}

static void test_rounding(void **state) {
    static uint16_t narrow[2000];
    static const uint32_t edges[] = {0x3f808000, 0x3f818000, 0x3f807fff, 0x3f808001, 0x7f7fffff,
                                     0x7f800000, 0xff800000, 0x7f800001, 0x7fffffff, 0xffffffff,
                                     0,          0x80000000, 1,          0x00008000};
    FOR_TABLES(k) {
        fill(x, 2000, -1e3, 1e3);
        memcpy(x, edges, sizeof edges);
        memcpy(y, x, 2000 * sizeof *y);
        y[2000] = GUARD;
        k->to_bf16(narrow, x, 2000);
        k->round_bf16(y, 2000);
        guarded(k, 2000);
        for (int i = 0; i < 2000; i++) {
            float expected = em_bf16_to_f32(em_f32_to_bf16(x[i]));
            if (fpclassify(x[i]) == FP_SUBNORMAL)
                assert_true(narrow[i] == em_f32_to_bf16(x[i]) || (narrow[i] & 0x7fff) == 0);
            else assert_int_equal(narrow[i], em_f32_to_bf16(x[i]));
            assert_memory_equal(&y[i], &expected, 4);
        }
    }
}

static void test_all_finite(void **state) {
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    FOR_TABLES(k) for (int s = 0; s < N_SIZES; s++) {
        int n = sizes[s];
        fill(x, n, -FLT_MAX / 2, FLT_MAX / 2);
        x[n] = NAN;
        assert_true(k->all_finite(x, n));
        for (int i = 0; i < 3; i++) {
            x[n - 1] = bad[i];
            assert_false(k->all_finite(x, n));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_norms),
        cmocka_unit_test(test_rope_table),
        cmocka_unit_test(test_rope),
        cmocka_unit_test(test_activations),
        cmocka_unit_test(test_soft_cap),
        cmocka_unit_test(test_scale_and_add),
        cmocka_unit_test(test_soft_sum),
        cmocka_unit_test(test_mix),
        cmocka_unit_test(test_divergence),
        cmocka_unit_test(test_attend),
        cmocka_unit_test(test_attend_large_scores),
        cmocka_unit_test(test_attend_neighbours),
        cmocka_unit_test(test_halves),
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_all_finite),
    };
    find_tables();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
