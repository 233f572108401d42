/* The number formats that checkpoints hold and that kernels compute in. */
#ifndef EM_COMMON_DTYPE_H
#define EM_COMMON_DTYPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum em_dtype { EM_F32, EM_F16, EM_BF16 } em_dtype;

static inline size_t em_dtype_size(em_dtype t) { return t == EM_F32 ? 4 : 2; }
static inline const char *em_dtype_name(em_dtype t) { return t == EM_F32 ? "f32" : t == EM_F16 ? "f16" : "bf16"; }

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

static inline float em_f16_to_f32(uint16_t x) {
    uint32_t sign = (uint32_t)(x & 0x8000) << 16, exponent = (x >> 10) & 31, mantissa = x & 0x3ff, u;
    if (exponent == 0) {
        float f = (float)mantissa * 0x1p-24f;   /* subnormal: exact in f32 */
        return sign ? -f : f;
    }
    if (exponent == 31) u = sign | 0x7f800000u | mantissa << 13;
    else u = sign | (exponent + 112) << 23 | mantissa << 13;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

#endif
