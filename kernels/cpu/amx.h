/* What the files that use tile registers (AMX) share: eight registers of 16 rows of 64 bytes.
 * Compiled for AVX-512 with bf16 and AMX. */
#ifndef EM_KERNELS_CPU_AMX_H
#define EM_KERNELS_CPU_AMX_H

#include <immintrin.h>
#include <stdint.h>

/* A product's block: two registers of 16 rows against two of 16 columns, EM_AMX_STEP inputs at a
 * time. */
enum { EM_AMX_ROWS = 32, EM_AMX_COLUMNS = 32, EM_AMX_STEP = 32 };

/* Static: the compiler does not see that the instruction reads all 64 bytes. */
static inline void em_amx_configure(void) {
    static const struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } all = {.palette = 1,
             .bytes = {64, 64, 64, 64, 64, 64, 64, 64},
             .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&all);
}

/* Before tiles are loaded: to gcc, _tile_loadd reads no memory, so what is written for it could
 * come later or be left out. */
static inline void em_amx_written(void) { __asm__ volatile("" ::: "memory"); }

/* 32-bit word j of x[i] becomes word i of x[j]. */
static inline __attribute__((always_inline)) void em_transpose_words(__m512i x[16]) {
    __m512i pairs[16], fours[16];
    for (int i = 0; i < 16; i += 2) {
        pairs[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) /* fours[i + c], lane l: word 4 l + c of x[i] to x[i + 3] */
        for (int half = 0; half < 2; half++) {
            fours[i + 2 * half] = _mm512_unpacklo_epi64(pairs[i + half], pairs[i + 2 + half]);
            fours[i + 2 * half + 1] = _mm512_unpackhi_epi64(pairs[i + half], pairs[i + 2 + half]);
        }
    for (int c = 0; c < 4; c++) {
        __m512i even0 = _mm512_shuffle_i32x4(fours[c], fours[4 + c], 0x88),
                odd0 = _mm512_shuffle_i32x4(fours[c], fours[4 + c], 0xdd);
        __m512i even1 = _mm512_shuffle_i32x4(fours[8 + c], fours[12 + c], 0x88),
                odd1 = _mm512_shuffle_i32x4(fours[8 + c], fours[12 + c], 0xdd);
        x[c] = _mm512_shuffle_i32x4(even0, even1, 0x88);
        x[4 + c] = _mm512_shuffle_i32x4(odd0, odd1, 0x88);
        x[8 + c] = _mm512_shuffle_i32x4(even0, even1, 0xdd);
        x[12 + c] = _mm512_shuffle_i32x4(odd0, odd1, 0xdd);
    }
}

#endif
