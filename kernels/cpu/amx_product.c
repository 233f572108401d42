/* Matrix products in bf16 on tile registers: see em_product_bf16. oneDNN's reach half of their rate at the sizes of
 * a layer (docs/speed.md). */
#include "kernels/cpu/amx.h"
#include "kernels/cpu/kernels.h"

enum { ROWS = EM_AMX_ROWS, COLUMNS = EM_AMX_COLUMNS, STEP = EM_AMX_STEP, REGISTER = 16 * 64 };

/* ---- weights ---- */

/* Inputs [i, i + STEP) of 16 outputs from `first` on, those beyond width as zeros. */
static void pack_register(uint16_t *to, const float *rows, int depth, int width, int first, int i) {
    __m512i x[16];
    for (int r = 0; r < 16; r++) {
        const float *from = rows + (int64_t)(first + r) * depth + i;
        x[r] = first + r < width ? (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + 16), _mm512_loadu_ps(from))
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

/* Weights that come next, fetched into the second-level cache a few lines at a time. */
typedef struct ahead { const char *at, *end; int lines; } ahead;

static inline void fetch(ahead *next) {
    for (int i = 0; i < next->lines && next->at < next->end; i++, next->at += 64) _mm_prefetch(next->at, _MM_HINT_T1);
}

/* c: [ROWS, COLUMNS], stride bytes apart = a b. a: rows of depth; b: its packed columns */
static inline void block_product(const uint16_t *a, const uint16_t *b, int depth, float *c, size_t stride, ahead *next) {
    size_t a_stride = (size_t)depth * sizeof *a;
    const char *at = (const char *)a, *bt = (const char *)b;
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
        fetch(next);
    }
    char *to = (char *)c;
    _tile_stored(0, to, stride);
    _tile_stored(1, to + 64, stride);
    _tile_stored(2, to + 16 * stride, stride);
    _tile_stored(3, to + 16 * stride + 64, stride);
}

/* n: columns of the block that there are */
static void add_bias(float *c, int width, const float *bias, int n) {
    for (int r = 0; r < ROWS; r++)
        for (int k = 0; k < n; k++) c[(int64_t)r * width + k] += bias[k];
}

/* The last columns of a matrix whose width is no multiple of a block's. */
static void narrow_block(const em_product_bf16 *p, int i, int j, const uint16_t *b, ahead *next) {
    _Alignas(64) float block[ROWS][COLUMNS];
    block_product(p->a + (int64_t)i * p->depth, b, p->depth, block[0], sizeof block[0], next);
    for (int r = 0; r < ROWS; r++)
        for (int k = 0; k < p->width - j; k++) p->c[(int64_t)(i + r) * p->width + j + k] = block[r][k];
}

void em_product_bf16_amx(const em_product_bf16 *p) {
    int blocks = (p->width + COLUMNS - 1) / COLUMNS * (EM_TILE / ROWS);
    size_t steps = (size_t)blocks * (size_t)(p->depth / STEP), lines = (p->ahead_bytes + 63) / 64;
    ahead next = {p->ahead, p->ahead + p->ahead_bytes, (int)((lines + steps - 1) / steps)};
    em_amx_configure();
    for (int j = 0; j < p->width; j += COLUMNS) {
        const uint16_t *b = p->b + (int64_t)j * p->depth;
        for (int i = 0; i < EM_TILE; i += ROWS) {
            float *c = p->c + (int64_t)i * p->width + j;
            bool whole = p->width - j >= COLUMNS;
            if (whole) block_product(p->a + (int64_t)i * p->depth, b, p->depth, c, (size_t)p->width * sizeof *c, &next);
            else narrow_block(p, i, j, b, &next);
            if (p->bias) add_bias(c, p->width, p->bias + j, whole ? COLUMNS : p->width - j);
        }
    }
    _tile_release();
}
