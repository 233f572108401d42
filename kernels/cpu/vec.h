/* A float vector of the instruction set that the file is compiled for (AVX-512 or AVX2 with FMA),
 * VW lanes wide, with the few operations that the kernels need, and exp, tanh and erfc on it. */
#ifndef EM_KERNELS_CPU_VEC_H
#define EM_KERNELS_CPU_VEC_H

#include <immintrin.h>
#include <math.h>

#ifdef __AVX512F__
#define VW 16
typedef __m512 vf;
typedef __mmask16 vm;

static inline vf v_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void v_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
static inline vf v_set(float x) { return _mm512_set1_ps(x); }
static inline vm v_first(int n) { return (vm)(n >= VW ? 0xffff : (1u << n) - 1); }
static inline vf v_load_n(const float *p, int n, vf fill) {
    return _mm512_mask_loadu_ps(fill, v_first(n), p);
}
static inline void v_store_n(float *p, vf x, int n) { _mm512_mask_storeu_ps(p, v_first(n), x); }
static inline vf v_add(vf a, vf b) { return _mm512_add_ps(a, b); }
static inline vf v_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
static inline vf v_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
static inline vf v_div(vf a, vf b) { return _mm512_div_ps(a, b); }
static inline vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }   /* a b + c */
static inline vf v_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); } /* c - a b */
static inline vf v_max(vf a, vf b) { return _mm512_max_ps(a, b); } /* b where either is NaN */
static inline vf v_min(vf a, vf b) { return _mm512_min_ps(a, b); }
static inline vm v_lt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
static inline vm v_and(vm a, vm b) { return a & b; }
static inline vf v_select(vm m, vf yes, vf no) { return _mm512_mask_blend_ps(m, no, yes); }
static inline vf v_abs(vf x) { return _mm512_abs_ps(x); }
static inline vf v_round(vf x) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vf v_times_power_of_2(vf x, vf n) { return _mm512_scalef_ps(x, n); }
static inline float v_sum(vf x) { return _mm512_reduce_add_ps(x); }
static inline float v_largest(vf x) { return _mm512_reduce_max_ps(x); }
static inline vf v_lanes(void) {
    return _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
static inline vf v_from_f16(const void *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
#else
#define VW 8
typedef __m256 vf;
typedef __m256 vm;

static inline vf v_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void v_store(float *p, vf x) { _mm256_storeu_ps(p, x); }
static inline vf v_set(float x) { return _mm256_set1_ps(x); }
static inline __m256i v_first(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline vf v_load_n(const float *p, int n, vf fill) {
    __m256i m = v_first(n);
    return _mm256_blendv_ps(fill, _mm256_maskload_ps(p, m), _mm256_castsi256_ps(m));
}
static inline void v_store_n(float *p, vf x, int n) { _mm256_maskstore_ps(p, v_first(n), x); }
static inline vf v_add(vf a, vf b) { return _mm256_add_ps(a, b); }
static inline vf v_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
static inline vf v_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
static inline vf v_div(vf a, vf b) { return _mm256_div_ps(a, b); }
static inline vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
static inline vf v_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
static inline vf v_max(vf a, vf b) { return _mm256_max_ps(a, b); }
static inline vf v_min(vf a, vf b) { return _mm256_min_ps(a, b); }
static inline vm v_lt(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
static inline vm v_and(vm a, vm b) { return _mm256_and_ps(a, b); }
static inline vf v_select(vm m, vf yes, vf no) { return _mm256_blendv_ps(no, yes, m); }
static inline vf v_abs(vf x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
static inline vf v_round(vf x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* In two steps: 2^128 is no float, but half of it twice is in reach. */
static inline vf v_times_power_of_2(vf x, vf n) {
    __m256i i = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(i, 1),
            bias = _mm256_set1_epi32(127);
    __m256i rest = _mm256_sub_epi32(i, half);
    x = _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23)));
    return _mm256_mul_ps(x,
                         _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23)));
}
static inline float v_sum(vf x) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
static inline float v_largest(vf x) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
static inline vf v_lanes(void) { return _mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7); }
static inline vf v_from_f16(const void *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
#endif

/* exp within 2 ulp: x = n ln 2 + r, the polynomial of Cephes' expf on |r| <= ln 2 / 2, times 2^n.
 * exp(0) is 1 and, below the smallest normal float, the result is 0: both exactly. */
static inline vf v_exp(vf x) {
    vf lowest = v_set(-87.33654f),
       in_range = v_max(lowest, x); /* subnormal results would be slow; NaN stays */
    vf n = v_round(v_mul(in_range, v_set(1.44269504f)));
    vf r = v_fnma(n, v_set(0.693359375f), in_range);
    r = v_fnma(n, v_set(-2.12194440e-4f), r);
    vf p = v_set(1.9875691500e-4f);
    p = v_fma(p, r, v_set(1.3981999507e-3f));
    p = v_fma(p, r, v_set(8.3334519073e-3f));
    p = v_fma(p, r, v_set(4.1665795894e-2f));
    p = v_fma(p, r, v_set(1.6666665459e-1f));
    p = v_fma(p, r, v_set(5.0000001201e-1f));
    p = v_add(v_fma(p, v_mul(r, r), r), v_set(1));
    vf y = v_times_power_of_2(p, n);
    y = v_select(v_lt(x, lowest), v_set(0), y);
    return v_select(v_lt(v_set(88.722839f), x), v_set(INFINITY), y);
}

/* exp for x <= 0, as a term of a sum whose largest is 1: within 3e-7 of 1, and exactly 1 at 0, 0 at
 * -inf. */
#ifdef __AVX512DQ__
static inline vf v_exp_term(vf x) {
    vf t = v_mul(x, v_set(1.44269504f)),
       f = _mm512_reduce_ps(t, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    vf p = v_set(0.001879318647f);
    p = v_fma(p, f, v_set(0.008990995098f));
    p = v_fma(p, f, v_set(0.05581867596f));
    p = v_fma(p, f, v_set(0.2401592715f));
    p = v_fma(p, f, v_set(0.6931517388f));
    p = v_fma(p, f, v_set(1));
    return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(t, v_set(-126), _CMP_NLT_UQ), p,
                                  t); /* subnormal results would be slow; NaN stays */
}
#else
static inline vf v_exp_term(vf x) { return v_exp(x); }
#endif

/* Cephes' tanhf: a polynomial near 0, where 1 - 2 / (exp(2x) + 1) would cancel. */
static inline vf v_tanh(vf x) {
    vf z = v_mul(x, x);
    vf p = v_set(-5.70498872745e-3f);
    p = v_fma(p, z, v_set(2.06390887954e-2f));
    p = v_fma(p, z, v_set(-5.37397155531e-2f));
    p = v_fma(p, z, v_set(1.33314422036e-1f));
    p = v_fma(p, z, v_set(-3.33332819422e-1f));
    vf near = v_fma(v_mul(p, z), x, x);
    vf far = v_sub(v_set(1), v_div(v_set(2), v_add(v_exp(v_add(x, x)), v_set(1))));
    return v_select(v_lt(v_abs(x), v_set(0.625f)), near, far);
}

/* erfc for z >= 0, relative error 1.2e-7 and the rounding of z^2: Numerical Recipes, erfcc. */
static inline vf v_erfc_positive(vf z) {
    static const float c[] = {0.17087277f,  -0.82215223f, 1.48851587f, -1.13520398f, 0.27886807f,
                              -0.18628806f, 0.09678418f,  0.37409196f, 1.00002368f,  -1.26551223f};
    vf t = v_div(v_set(1), v_fma(v_set(0.5f), z, v_set(1)));
    vf p = v_set(c[0]);
    for (int i = 1; i < 10; i++) p = v_fma(p, t, v_set(c[i]));
    return v_mul(t, v_exp(v_fnma(z, z, p)));
}

#endif
