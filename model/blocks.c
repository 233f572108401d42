/* One function a type: each is the type's line of ggml's source in plain C. A product is rounded
 * before it is added to anything: fused operations would give other bits than ggml's. */
#include "model/blocks.h"

#include <stdio.h>
#include <string.h>

#include "common/dtype.h"

typedef unsigned char byte;

static float half(const byte *p) {
    uint16_t x;
    memcpy(&x, p, 2);
    return em_f16_to_f32(x);
}

static uint32_t word(const byte *p) {
    uint32_t x;
    memcpy(&x, p, 4);
    return x;
}

/* ---- plain numbers ---- */

static void f32_values(const void *blocks, int64_t n, float *out) {
    memcpy(out, blocks, (size_t)n * sizeof *out);
}

static void f16_values(const void *blocks, int64_t n, float *out) {
    for (int64_t i = 0; i < n; i++) out[i] = half((const byte *)blocks + 2 * i);
}

static void bf16_values(const void *blocks, int64_t n, float *out) {
    for (int64_t i = 0; i < n; i++) {
        uint16_t x;
        memcpy(&x, (const byte *)blocks + 2 * i, 2);
        out[i] = em_bf16_to_f32(x);
    }
}

/* ---- 32 weights and their scale ---- */

static void q4_0_values(const void *blocks, int64_t n, float *out) {
    const byte *b = blocks;
    for (int64_t at = 0; at < n; at += 32, b += 18) {
        float d = half(b);
        for (int i = 0; i < 16; i++) {
            out[at + i] = d * (float)((b[2 + i] & 15) - 8);
            out[at + 16 + i] = d * (float)((b[2 + i] >> 4) - 8);
        }
    }
}

static void q4_1_values(const void *blocks, int64_t n, float *out) {
    const byte *b = blocks;
    for (int64_t at = 0; at < n; at += 32, b += 20) {
        float d = half(b), m = half(b + 2);
        for (int i = 0; i < 16; i++) {
            out[at + i] = d * (float)(b[4 + i] & 15) + m;
            out[at + 16 + i] = d * (float)(b[4 + i] >> 4) + m;
        }
    }
}

/* The five bits of weights i and i + 16: nibbles of q[i], and bits of high. */
static void five_bits(const byte *q, uint32_t high, int i, int *low_half, int *high_half) {
    *low_half = (q[i] & 15) | (int)(high >> i & 1) << 4;
    *high_half = q[i] >> 4 | (int)(high >> (i + 16) & 1) << 4;
}

static void q5_0_values(const void *blocks, int64_t n, float *out) {
    const byte *b = blocks;
    for (int64_t at = 0; at < n; at += 32, b += 22) {
        float d = half(b);
        uint32_t high = word(b + 2);
        for (int i = 0, x, y; i < 16; i++) {
            five_bits(b + 6, high, i, &x, &y);
            out[at + i] = d * (float)(x - 16);
            out[at + 16 + i] = d * (float)(y - 16);
        }
    }
}

static void q5_1_values(const void *blocks, int64_t n, float *out) {
    const byte *b = blocks;
    for (int64_t at = 0; at < n; at += 32, b += 24) {
        float d = half(b), m = half(b + 2);
        uint32_t high = word(b + 4);
        for (int i = 0, x, y; i < 16; i++) {
            five_bits(b + 8, high, i, &x, &y);
            out[at + i] = d * (float)x + m;
            out[at + 16 + i] = d * (float)y + m;
        }
    }
}

static void q8_0_values(const void *blocks, int64_t n, float *out) {
    const byte *b = blocks;
    for (int64_t at = 0; at < n; at += 32, b += 34) {
        float d = half(b);
        for (int i = 0; i < 32; i++) out[at + i] = d * (float)(int8_t)b[2 + i];
    }
}

static const int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                      1,    13,   25,  38,  53,  69,  89,  113};

static void iq4_nl_values(const void *blocks, int64_t n, float *out) {
    const byte *b = blocks;
    for (int64_t at = 0; at < n; at += 32, b += 18) {
        float d = half(b);
        for (int i = 0; i < 16; i++) {
            out[at + i] = d * (float)iq4_values[b[2 + i] & 15];
            out[at + 16 + i] = d * (float)iq4_values[b[2 + i] >> 4];
        }
    }
}

/* FP4 (e2m1) times two. */
static const int8_t fp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* Half of 2^(e - 127), so that fp4_values give the number itself; e < 2 is subnormal. */
static float e8m0_half(byte e) {
    uint32_t bits = e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

static void mxfp4_values(const void *blocks, int64_t n, float *out) {
    const byte *b = blocks;
    for (int64_t at = 0; at < n; at += 32, b += 17) {
        float d = e8m0_half(b[0]);
        for (int i = 0; i < 16; i++) {
            out[at + i] = d * (float)fp4_values[b[1 + i] & 15];
            out[at + 16 + i] = d * (float)fp4_values[b[1 + i] >> 4];
        }
    }
}

/* Half of an unsigned e4m3 number; 0x7f is none and counts as 0. */
static float ue4m3_half(byte x) {
    int exponent = x >> 3 & 15, mantissa = x & 7;
    if (x == 0 || x == 0x7f) return 0;
    if (!exponent) return (float)mantissa * 0x1p-10f;
    uint32_t bits = (uint32_t)(exponent - 8 + 127) << 23 | (uint32_t)mantissa << 20;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

/* Four scales, each for 16 weights. */
static void nvfp4_values(const void *blocks, int64_t n, float *out) {
    const byte *b = blocks;
    for (int64_t at = 0; at < n; at += 64, b += 36)
        for (int s = 0; s < 4; s++) {
            float d = ue4m3_half(b[s]);
            const byte *q = b + 4 + 8 * s;
            for (int i = 0; i < 8; i++) {
                out[at + 16 * s + i] = d * (float)fp4_values[q[i] & 15];
                out[at + 16 * s + 8 + i] = d * (float)fp4_values[q[i] >> 4];
            }
        }
}

/* ---- 256 weights, scales of their sixteenths or eighths ---- */

/* 16 scales and minima of 4 bits; 2 bits a weight: of each half's 32 bytes, bits 0, 2, 4, 6. */
static void q2_k_values(const void *blocks, int64_t n, float *out) {
    const byte *b = blocks;
    for (int64_t at = 0; at < n; at += 256, b += 84) {
        float d = half(b + 80), least = half(b + 82);
        for (int s = 0; s < 16; s++) {
            float scale = d * (float)(b[s] & 15), m = least * (float)(b[s] >> 4);
            const byte *q = b + 16 + s / 8 * 32 + s % 2 * 16;
            int shift = s % 8 / 2 * 2;
            for (int i = 0; i < 16; i++)
                out[at + 16 * s + i] = scale * (float)(q[i] >> shift & 3) - m;
        }
    }
}

/* Scale k of 16: 6 bits less 32. */
static int q3_k_scale(const byte *s, int k) {
    int low = k < 8 ? s[k] & 15 : s[k - 8] >> 4;
    return (low | (s[8 + k % 4] >> k / 4 * 2 & 3) << 4) - 32;
}

static void q3_k_values(const void *blocks, int64_t n, float *out) {
    const byte *b = blocks;
    for (int64_t at = 0; at < n; at += 256, b += 110) {
        float d = half(b + 108);
        for (int s = 0; s < 16; s++) {
            float scale = d * (float)q3_k_scale(b + 96, s);
            const byte *q = b + 32 + s / 8 * 32 + s % 2 * 16, *high = b + s % 2 * 16;
            int shift = s % 8 / 2 * 2, bit = s / 2;
            for (int i = 0; i < 16; i++) {
                int x = (q[i] >> shift & 3) - (high[i] >> bit & 1 ? 0 : 4);
                out[at + 16 * s + i] = scale * (float)x;
            }
        }
    }
}

/* Scale and minimum j of 8, 6 bits each, of 12 bytes. */
static void q4_k_scale(const byte *s, int j, int *scale, int *least) {
    if (j < 4) {
        *scale = s[j] & 63;
        *least = s[j + 4] & 63;
    } else {
        *scale = (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
        *least = s[j + 4] >> 4 | s[j] >> 6 << 4;
    }
}

/* 32 weights a scale; 64 weights share 32 bytes: low nibbles, then high ones. */
static void q4_k_values(const void *blocks, int64_t n, float *out) {
    const byte *b = blocks;
    for (int64_t at = 0; at < n; at += 256, b += 144) {
        float d = half(b), dmin = half(b + 2);
        for (int j = 0, sc, mn; j < 8; j++) {
            q4_k_scale(b + 4, j, &sc, &mn);
            float scale = d * (float)sc, m = dmin * (float)mn;
            const byte *q = b + 16 + j / 2 * 32;
            int shift = j % 2 * 4;
            for (int i = 0; i < 32; i++)
                out[at + 32 * j + i] = scale * (float)(q[i] >> shift & 15) - m;
        }
    }
}

static void q5_k_values(const void *blocks, int64_t n, float *out) {
    const byte *b = blocks;
    for (int64_t at = 0; at < n; at += 256, b += 176) {
        float d = half(b), dmin = half(b + 2);
        for (int j = 0, sc, mn; j < 8; j++) {
            q4_k_scale(b + 4, j, &sc, &mn);
            float scale = d * (float)sc, m = dmin * (float)mn;
            const byte *high = b + 16, *q = b + 48 + j / 2 * 32;
            int shift = j % 2 * 4;
            for (int i = 0; i < 32; i++) {
                int x = (q[i] >> shift & 15) | (high[i] >> j & 1) << 4;
                out[at + 32 * j + i] = scale * (float)x - m;
            }
        }
    }
}

/* Each half: 64 bytes of low nibbles, 32 of two high bits, 8 scales of 16 weights. */
static void q6_k_values(const void *blocks, int64_t n, float *out) {
    const byte *b = blocks;
    for (int64_t at = 0; at < n; at += 256, b += 210) {
        float d = half(b + 208);
        for (int s = 0; s < 16; s++) {
            int h = s / 8, quarter = s % 8 / 2, first = s % 2 * 16;
            const byte *low = b + 64 * h + quarter % 2 * 32 + first,
                       *high = b + 128 + 32 * h + first;
            float scale = d * (float)(int8_t)b[192 + s];
            for (int i = 0; i < 16; i++) {
                int x = (low[i] >> quarter / 2 * 4 & 15) | (high[i] >> 2 * quarter & 3) << 4;
                out[at + 16 * s + i] = scale * (float)(x - 32);
            }
        }
    }
}

static void iq4_xs_values(const void *blocks, int64_t n, float *out) {
    const byte *b = blocks;
    for (int64_t at = 0; at < n; at += 256, b += 136) {
        float d = half(b);
        uint32_t high = (uint32_t)b[2] | (uint32_t)b[3] << 8;
        for (int j = 0; j < 8; j++) {
            int sc = (b[4 + j / 2] >> j % 2 * 4 & 15) | (int)(high >> 2 * j & 3) << 4;
            float scale = d * (float)(sc - 32);
            const byte *q = b + 8 + 16 * j;
            for (int i = 0; i < 16; i++) {
                out[at + 32 * j + i] = scale * (float)iq4_values[q[i] & 15];
                out[at + 32 * j + 16 + i] = scale * (float)iq4_values[q[i] >> 4];
            }
        }
    }
}

/* ---- ternary ---- */

/* Digit k of a byte that holds five digits of base 3, the highest first: the byte is the number
 * over 243 as a fraction of 256. */
static int ternary_digit(byte q, int k) {
    static const byte powers[5] = {1, 3, 9, 27, 81};
    return ((byte)(q * powers[k]) * 3 >> 8) - 1;
}

/* 32 bytes of five digits, 16 of five, 4 of four. */
static void tq1_0_values(const void *blocks, int64_t n, float *out) {
    static const struct { int bytes, digits; } runs[] = {{32, 5}, {16, 5}, {4, 4}};
    const byte *b = blocks;
    for (int64_t at = 0; at < n; b += 54) {
        float d = half(b + 52);
        const byte *q = b;
        for (int r = 0; r < 3; r++) {
            for (int k = 0; k < runs[r].digits; k++)
                for (int i = 0; i < runs[r].bytes; i++)
                    out[at++] = d * (float)ternary_digit(q[i], k);
            q += runs[r].bytes;
        }
    }
}

static void tq2_0_values(const void *blocks, int64_t n, float *out) {
    const byte *b = blocks;
    for (int64_t at = 0; at < n; at += 256, b += 66) {
        float d = half(b + 64);
        for (int s = 0; s < 8; s++)
            for (int i = 0; i < 32; i++) {
                int x = (b[s / 4 * 32 + i] >> s % 4 * 2 & 3) - 1;
                out[at + 32 * s + i] = d * (float)x;
            }
    }
}

/* ---- the table ---- */

// clang-format off
static const em_block_type types[] = {
    {0,  "F32",     1,   4,   f32_values},
    {1,  "F16",     1,   2,   f16_values},
    {2,  "Q4_0",    32,  18,  q4_0_values},
    {3,  "Q4_1",    32,  20,  q4_1_values},
    {6,  "Q5_0",    32,  22,  q5_0_values},
    {7,  "Q5_1",    32,  24,  q5_1_values},
    {8,  "Q8_0",    32,  34,  q8_0_values},
    {9,  "Q8_1",    32,  36,  NULL},          /* of activations */
    {10, "Q2_K",    256, 84,  q2_k_values},
    {11, "Q3_K",    256, 110, q3_k_values},
    {12, "Q4_K",    256, 144, q4_k_values},
    {13, "Q5_K",    256, 176, q5_k_values},
    {14, "Q6_K",    256, 210, q6_k_values},
    {15, "Q8_K",    256, 292, NULL},          /* of activations */
    {16, "IQ2_XXS", 256, 66,  NULL},
    {17, "IQ2_XS",  256, 74,  NULL},
    {18, "IQ3_XXS", 256, 98,  NULL},
    {19, "IQ1_S",   256, 50,  NULL},
    {20, "IQ4_NL",  32,  18,  iq4_nl_values},
    {21, "IQ3_S",   256, 110, NULL},
    {22, "IQ2_S",   256, 82,  NULL},
    {23, "IQ4_XS",  256, 136, iq4_xs_values},
    {24, "I8",      1,   1,   NULL},
    {25, "I16",     1,   2,   NULL},
    {26, "I32",     1,   4,   NULL},
    {27, "I64",     1,   8,   NULL},
    {28, "F64",     1,   8,   NULL},
    {29, "IQ1_M",   256, 56,  NULL},
    {30, "BF16",    1,   2,   bf16_values},
    {34, "TQ1_0",   256, 54,  tq1_0_values},
    {35, "TQ2_0",   256, 66,  tq2_0_values},
    {39, "MXFP4",   32,  17,  mxfp4_values},
    {40, "NVFP4",   64,  36,  nvfp4_values},
};
// clang-format on
enum { N_TYPES = sizeof types / sizeof *types };

const em_block_type *em_block_type_of(uint32_t id) {
    for (int i = 0; i < N_TYPES; i++)
        if (types[i].id == id) return &types[i];
    return NULL;
}

const em_block_type *em_block_type_named(const char *name) {
    for (int i = 0; i < N_TYPES; i++)
        if (!strcmp(types[i].name, name)) return &types[i];
    return NULL;
}

char *em_block_type_list(char *out, size_t n) {
    size_t at = 0;
    for (int i = 0; i < N_TYPES && at < n; i++)
        if (types[i].values)
            at += (size_t)snprintf(out + at, n - at, "%s%s", at ? ", " : "", types[i].name);
    return out;
}
