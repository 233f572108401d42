/* Matrix products in bf16 on tile registers: see em_product_bf16. oneDNN's reach half of their rate
 * at the sizes of a layer (docs/speed.md). */
#include "kernels/cpu/amx.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/vec.h"

enum { ROWS = EM_AMX_ROWS, COLUMNS = EM_AMX_COLUMNS, STEP = EM_AMX_STEP, REGISTER = 16 * 64 };

/* ---- weights ---- */

/* Inputs [i, i + STEP) of 16 outputs from `first` on, those beyond width as zeros. */
static void pack_register(uint16_t *to, const float *rows, int depth, int width, int first, int i) {
    __m512i x[16];
    for (int r = 0; r < 16; r++) {
        const float *from = rows + (int64_t)(first + r) * depth + i;
        x[r] = first + r < width
                   ? (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + 16), _mm512_loadu_ps(from))
                   : _mm512_setzero_si512();
    }
    em_transpose_words(x);
    for (int r = 0; r < 16; r++) _mm512_storeu_si512(to + 32 * r, x[r]);
}

void em_pack_bf16_amx(uint16_t *packed, const float *rows, int depth, int width) {
    for (int j = 0; j < width; j += COLUMNS)
        for (int i = 0; i < depth; i += STEP, packed += COLUMNS * STEP) {
            pack_register(packed, rows, depth, width, j, i);
            pack_register(packed + COLUMNS * STEP / 2, rows, depth, width, j + 16, i);
        }
}

/* ---- products ---- */

/* Weights that come next are fetched into the second-level cache, some lines beside each step of a
 * block. All are values, in registers: a store in the loop would hold its tile loads up. */
typedef struct ahead {
    const char *at;
    int lines;
} ahead;

static ahead ahead_of(const em_product_bf16 *p, int block) {
    int64_t blocks = (int64_t)((p->width + COLUMNS - 1) / COLUMNS) * (EM_TILE / ROWS),
            steps = p->depth / STEP;
    int64_t each = ((int64_t)p->ahead_bytes / 64 + blocks * steps - 1) / (blocks * steps),
            first = block * steps * each * 64;
    return first < (int64_t)p->ahead_bytes ? (ahead){p->ahead + first, (int)each}
                                           : (ahead){NULL, 0};
}

/* c: [ROWS, COLUMNS], stride bytes apart = a b. a: rows of depth; b: its packed columns */
static inline void block_product(const uint16_t *a, const uint16_t *b, int depth, float *c,
                                 size_t stride, ahead next) {
    size_t a_stride = (size_t)depth * sizeof *a;
    const char *at = (const char *)a, *bt = (const char *)b;
    em_amx_written();
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int i = 0; i < depth; i += STEP, at += STEP * sizeof *a, bt += 2 * REGISTER) {
        _tile_loadd(4, at, a_stride);
        _tile_loadd(6, bt, 64);
        _tile_loadd(5, at + 16 * a_stride, a_stride);
        _tile_loadd(7, bt + REGISTER, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(3, 5, 7);
        for (int k = 0; k < next.lines; k++, next.at += 64) _mm_prefetch(next.at, _MM_HINT_T1);
    }
    char *to = (char *)c;
    _tile_stored(0, to, stride);
    _tile_stored(1, to + 64, stride);
    _tile_stored(2, to + 16 * stride, stride);
    _tile_stored(3, to + 16 * stride + 64, stride);
}

/* The first n columns of a block to c. */
static void leave_block(const em_product_bf16 *p, float (*block)[COLUMNS], const float *bias, int n,
                        float *c) {
    for (int k = 0; k < n; k += VW) {
        vf none = v_set(0), plus = bias ? v_load_n(bias + k, n - k, none) : none;
        for (int r = 0; r < ROWS; r++)
            v_store_n(c + r * p->c_stride + k, v_add(v_load(block[r] + k), plus), n - k);
    }
}

/* Rows [i, i + ROWS), columns [j, j + COLUMNS), or what there is of them. */
static inline void place_block(const em_product_bf16 *p, int i, int j) {
    _Alignas(64) float block[ROWS][COLUMNS];
    const uint16_t *a = p->a + (int64_t)i * p->depth, *b = p->b + (int64_t)j * p->depth;
    float *c = p->c + i * p->c_stride + j;
    ahead next = ahead_of(p, j / COLUMNS * (EM_TILE / ROWS) + i / ROWS);
    int n = p->width - j < COLUMNS ? p->width - j : COLUMNS;
    if (n == COLUMNS && !p->bias) {
        block_product(a, b, p->depth, c, (size_t)p->c_stride * sizeof *c, next);
    } else {
        block_product(a, b, p->depth, block[0], sizeof block[0], next);
        leave_block(p, block, p->bias ? p->bias + j : NULL, n, c);
    }
}

void em_product_bf16_amx(const em_product_bf16 *p) {
    em_amx_configure();
    for (int j = 0; j < p->width; j += COLUMNS)
        for (int i = 0; i < EM_TILE; i += ROWS) place_block(p, i, j);
    _tile_release();
}
