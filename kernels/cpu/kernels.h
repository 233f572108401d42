/* The vector kernels that the CPU backend is made of, as a table of functions: one table per
 * instruction set, and a portable one in plain C that says what they compute. Each kernel works
 * on one token, one tile or one slice of one thread; results depend on its arguments only. */
#ifndef EM_KERNELS_CPU_KERNELS_H
#define EM_KERNELS_CPU_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "kernels/backend.h"
#include "kernels/divergence.h"

/* Queries of one head that attend() takes at once, and the keys of a key tile. Both count from
 * the row's start, so that a query's sums have one order whatever the mask or the batch. */
#define EM_ATTEND_QUERIES 8
#define EM_KEY_TILE EM_TILE
/* Values of a head are padded with zeros to a multiple of this many floats. */
#define EM_VALUE_ALIGN 16

/* One step of online softmax (Milakov and Gimelshein, arXiv 1805.02867): EM_ATTEND_QUERIES
 * queries of one head against one tile of keys. */
typedef struct em_attend {
    const float *q; /* [EM_ATTEND_QUERIES, head_dim], rows q_stride apart; scaled already */
    ptrdiff_t q_stride;
    const float *keys;   /* [head_dim, EM_KEY_TILE]: transposed */
    const float *values; /* [EM_KEY_TILE, value_width] */
    int head_dim, value_width;
    const int32_t *lo, *hi; /* [EM_ATTEND_QUERIES]: the keys that a query sees; lo >= hi: none */
    int32_t first_key;      /* the tile's first key, on the same scale as lo and hi */
    float softcap;          /* 0: none */
    float *max, *sum;       /* [EM_ATTEND_QUERIES]: running; start at -FLT_MAX and 0 */
    float *out;             /* [EM_ATTEND_QUERIES, value_width]: running, starts at 0 */
} em_attend;

/* The same step in bf16 for EM_TILE queries of some heads that share their keys: products of bf16
 * numbers, summed in f32. Probabilities are rounded to bf16 for the second product, after they were
 * summed. Pairs lie side by side as the machine's tile registers want them; beyond the head's own
 * elements there are zeros. */
#define EM_DEPTH_ALIGN 32
#define EM_MAX_DEPTH 256
typedef struct em_attend_bf16 {
    int heads;
    const uint16_t *q;      /* [heads, EM_TILE, depth]; scaled already */
    const uint16_t *keys;   /* [depth / 2, EM_KEY_TILE, 2]: pairs of elements */
    const uint16_t *values; /* [EM_KEY_TILE / 2, value_width, 2]: pairs of keys */
    int depth, value_width; /* multiples of EM_DEPTH_ALIGN and EM_VALUE_ALIGN */
    const int32_t *lo, *hi; /* [EM_TILE]: of all heads */
    int32_t first_key;
    float softcap;
    float *max, *sum, *out; /* [heads, EM_TILE] and out [.., value_width]: as in em_attend */
} em_attend_bf16;

/* c = a b + bias of bf16 numbers, added in f32. */
typedef struct em_product_bf16 {
    const uint16_t *a; /* [EM_TILE, depth] */
    const uint16_t
        *b; /* [width / 32, depth / 32, 2, 16, 16, 2]: by 32 outputs and 32 inputs, of these each 16
               outputs apart; pairs of inputs side by side; columns beyond width are zeros */
    int depth, width;  /* depth: a multiple of EM_DEPTH_ALIGN */
    const float *bias; /* [width] or NULL */
    float *c;          /* [EM_TILE, width], rows c_stride apart */
    ptrdiff_t c_stride;
    const char *ahead; /* what will be read next: to be fetched meanwhile */
    size_t ahead_bytes;
} em_product_bf16;

/* What works on bf16 numbers, where the machine has tile registers for them. */
typedef struct em_bf16_kernels {
    void (*attend)(const em_attend_bf16 *a); /* keys that a query does not see change no bit of it,
                                                whatever they and their values hold */
    /* rows: [width, depth] f32 -> em_product_bf16's b */
    void (*pack)(uint16_t *packed, const float *rows, int depth, int width);
    void (*product)(const em_product_bf16 *p); /* c = a b + bias */
} em_bf16_kernels;

typedef struct em_cpu_kernels {
    const char *name;
    /* y = x / sqrt(mean(x^2) + eps) * w; x, y, w: [n]; y may be x */
    void (*rms_norm)(float *y, const float *x, const float *w, int n, float eps);
    /* y = (x - mean) / sqrt(variance + eps) * w + b; b may be NULL; y may be x */
    void (*layer_norm)(float *y, const float *x, const float *w, const float *b, int n, float eps);
    /* cosine and sine of position * inv_freq[j] (rounded to float first), times scale; [pairs] */
    void (*rope_table)(float *cosine, float *sine, float position, const float *inv_freq, int pairs,
                       float scale);
    /* rotates the pairs (x[j], x[j + pairs]) */
    void (*rope)(float *x, const float *cosine, const float *sine, int pairs);
    void (*scale)(float *y, const float *x, float factor, int n); /* y = factor x */
    void (*add)(float *y, const float *x, int n);                 /* y += x */
    /* y = act(gate) * up; up NULL: act(gate); y may be gate */
    void (*activate)(em_activation kind, float *y, const float *gate, const float *up, int n);
    void (*soft_cap)(float *x, int n, float cap); /* x = cap tanh(x / cap) */
    /* one step of online softmax; keys that a query does not see change no bit of it, whatever they
       and their values hold */
    void (*attend)(const em_attend *a);
    /* max of x and the sum of exp(x - max); x: [n], n >= 1 */
    void (*soft_sum)(const float *x, int n, float *max, double *sum);
    /* z = (1 + alpha) * after - alpha * before, in double; z: [n], apart from both */
    void (*mix)(float *z, const float *after, const float *before, double alpha, int n);
    /* the ids' part of KL(after || before) under these maxima; after, before: [n], at most these */
    em_divergence (*divergence)(const float *after, const float *before, float max_after,
                                float max_before, int n);
    void (*round_bf16)(float *x, int64_t n); /* to the nearest bf16, ties to even */
    /* as round_bf16, but a number below the smallest normal float may become 0 */
    void (*to_bf16)(uint16_t *y, const float *x, int64_t n);
    /* y = x, exactly, n numbers; x need not be aligned: it may lie anywhere in a mapped file */
    void (*from_bf16)(float *y, const void *x, int64_t n);
    void (*from_f16)(float *y, const void *x, int64_t n);
    bool (*all_finite)(const float *x, int64_t n); /* no NaN and no infinity among them */
} em_cpu_kernels;

extern const em_cpu_kernels em_cpu_kernels_portable;
#ifdef EM_X86
extern const em_cpu_kernels em_cpu_kernels_avx2;
extern const em_cpu_kernels em_cpu_kernels_avx512;
extern const em_cpu_kernels em_cpu_kernels_avx512_bf16;
#endif

extern const em_bf16_kernels em_bf16_kernels_portable; /* says what they compute */
#ifdef EM_X86
extern const em_bf16_kernels em_bf16_kernels_amx;
/* The members of em_bf16_kernels_amx, of two files; the machine must have tile registers, and
 * em_amx_allowed have been true. */
void em_attend_bf16_amx(const em_attend_bf16 *a);
void em_pack_bf16_amx(uint16_t *packed, const float *rows, int depth, int width);
void em_product_bf16_amx(const em_product_bf16 *p);
bool em_amx_allowed(void); /* asks the system for tile registers: once, before their first use */
#endif

/* What this machine has; NULL where it has no tile registers. */
const em_bf16_kernels *em_bf16_kernels_best(void);

/* The widest table that this machine runs (ONEDNN_MAX_CPU_ISA bounds it, as it does oneDNN). */
const em_cpu_kernels *em_cpu_kernels_best(void);

#endif
