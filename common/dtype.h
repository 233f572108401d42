/* The number formats that checkpoints hold and that kernels compute in. */
#ifndef EM_COMMON_DTYPE_H
#define EM_COMMON_DTYPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum em_dtype { EM_F32, EM_F16, EM_BF16 } em_dtype;

/* Bytes of a number. */
static inline size_t em_dtype_size(em_dtype t) { return t == EM_F32 ? 4 : 2; }
/* "f32", "f16" or "bf16". */
static inline const char *em_dtype_name(em_dtype t) {
    return t == EM_F32 ? "f32" : t == EM_F16 ? "f16" : "bf16";
}

/* Exact. */
static inline float em_bf16_to_f32(uint16_t x) {
    uint32_t u = (uint32_t)x << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* Round to nearest, ties to even; NaN stays NaN. */
static inline uint16_t em_f32_to_bf16(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1)) >> 16);
}

/* Exact; subnormals, infinities and NaN too. */
static inline float em_f16_to_f32(uint16_t x) {
    uint32_t sign = (uint32_t)(x & 0x8000) << 16, exponent = (x >> 10) & 31, mantissa = x & 0x3ff,
             u;
    if (exponent == 0) {
        float f = (float)mantissa * 0x1p-24f; /* subnormal: exact in f32 */
        return sign ? -f : f;
    }
    if (exponent == 31) u = sign | 0x7f800000u | mantissa << 13;
    else u = sign | (exponent + 112) << 23 | mantissa << 13;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* Round to nearest, ties to even; beyond the largest, 65504, infinite; NaN stays NaN. */
static inline uint16_t em_f32_to_f16(float f) {
    uint32_t u, magic = 0x3f000000u; /* 0.5: adding it rounds at the subnormals' last bit, 2^-24 */
    float size, half;
    memcpy(&u, &f, 4);
    uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
    u &= 0x7fffffffu;
    if (u > 0x7f800000u) return (uint16_t)(sign | 0x7e00);
    if (u >= 0x477ff000u) return (uint16_t)(sign | 0x7c00);
    if (u >= 0x38800000u)
        return (uint16_t)(sign | (u - 0x38000000u + 0xfffu + (u >> 13 & 1)) >> 13);
    memcpy(&size, &u, 4);
    memcpy(&half, &magic, 4);
    size += half;
    memcpy(&u, &size, 4);
    return (uint16_t)(sign | (u - magic));
}

#endif
