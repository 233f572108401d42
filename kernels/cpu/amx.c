/* Attention in bf16 on tile registers (AMX): see em_attend_bf16. Compiled for AVX-512 with bf16 and
 * AMX. */
#include "kernels/cpu/amx.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/vec.h"

#include <float.h>
#include <math.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ROWS = EM_AMX_ROWS, COLUMNS = EM_AMX_COLUMNS, STEP = EM_AMX_STEP };

/* Linux lets a process use tile registers once it has asked (arch/x86, ARCH_REQ_XCOMP_PERM). */
bool em_amx_allowed(void) {
    enum { REQUEST = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
}

/* c[r, k] = sum over i < depth of a[r, i] b[i, k], 32 x 32, or 32 x 16 where b has 16 columns left.
 * a: bf16, rows a_stride apart; b: bf16, pairs of i side by side, rows of pairs b_stride apart;
 * strides in bytes; c: f32, rows c_stride apart. */
static inline void block_product(const uint16_t *a, size_t a_stride, const uint16_t *b,
                                 size_t b_stride, int depth, bool wide, float *c, size_t c_stride) {
    em_amx_written();
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int i = 0; i < depth; i += STEP) {
        const char *at = (const char *)(a + i), *bt = (const char *)b + (size_t)(i / 2) * b_stride;
        _tile_loadd(4, at, a_stride);
        _tile_loadd(5, at + 16 * a_stride, a_stride);
        _tile_loadd(6, bt, b_stride);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(2, 5, 6);
        if (!wide) continue;
        _tile_loadd(7, bt + 64, b_stride);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(3, 5, 7);
    }
    char *to = (char *)c;
    _tile_stored(0, to, c_stride);
    _tile_stored(2, to + 16 * c_stride, c_stride);
    if (!wide) return;
    _tile_stored(1, to + 64, c_stride);
    _tile_stored(3, to + 16 * c_stride + 64, c_stride);
}

static inline int clamp(int x) { return x < 0 ? 0 : x > EM_KEY_TILE ? EM_KEY_TILE : x; }

/* Keys of this tile that any query of the block sees, widened to whole steps; what that adds has
 * probability 0 and changes nothing. */
static bool key_range(const em_attend_bf16 *a, int query, int *first, int *last) {
    *first = EM_KEY_TILE;
    *last = 0;
    for (int r = query % EM_TILE; r < query % EM_TILE + ROWS; r++) {
        int lo = clamp(a->lo[r] - a->first_key), hi = clamp(a->hi[r] - a->first_key);
        if (lo >= hi) continue;
        if (lo < *first) *first = lo;
        if (hi > *last) *last = hi;
    }
    *first = *first / STEP * STEP;
    *last = (*last + STEP - 1) / STEP * STEP;
    return *first < *last;
}

static void cap_scores(float *z, int n, float cap) {
    vf c = v_set(cap);
    for (int k = 0; k < n; k += VW) v_store(z + k, v_mul(c, v_tanh(v_div(v_load(z + k), c))));
}

/* Scores of keys outside [lo, hi) become -inf, whose exp is exactly 0. */
static void mask_edges(float *z, int first, int last, int lo, int hi) {
    vf low = v_set((float)lo - 0.5f), high = v_set((float)hi - 0.5f), none = v_set(-INFINITY);
    for (int k = first; k < last; k += VW) {
        vf index = v_add(v_set((float)k), v_lanes());
        v_store(z + k, v_select(v_and(v_lt(low, index), v_lt(index, high)), v_load(z + k), none));
    }
}

/* Of 16 vectors: each one's largest element. */
static inline __attribute__((always_inline)) vf largest_of_each(vf x[16]) {
    for (int i = 0; i < 8; i++)
        x[i] = v_max(_mm512_unpacklo_ps(x[2 * i], x[2 * i + 1]),
                     _mm512_unpackhi_ps(x[2 * i], x[2 * i + 1]));
    for (int i = 0; i < 4; i++)
        x[i] = v_max(_mm512_shuffle_ps(x[2 * i], x[2 * i + 1], 0x44),
                     _mm512_shuffle_ps(x[2 * i], x[2 * i + 1], 0xee));
    for (int i = 0; i < 2; i++)
        x[i] = v_max(_mm512_shuffle_f32x4(x[2 * i], x[2 * i + 1], 0x88),
                     _mm512_shuffle_f32x4(x[2 * i], x[2 * i + 1], 0xdd));
    return v_max(_mm512_shuffle_f32x4(x[0], x[1], 0x88), _mm512_shuffle_f32x4(x[0], x[1], 0xdd));
}

static inline __attribute__((always_inline)) vf sum_of_each(vf x[16]) {
    for (int i = 0; i < 8; i++)
        x[i] = v_add(_mm512_unpacklo_ps(x[2 * i], x[2 * i + 1]),
                     _mm512_unpackhi_ps(x[2 * i], x[2 * i + 1]));
    for (int i = 0; i < 4; i++)
        x[i] = v_add(_mm512_shuffle_ps(x[2 * i], x[2 * i + 1], 0x44),
                     _mm512_shuffle_ps(x[2 * i], x[2 * i + 1], 0xee));
    for (int i = 0; i < 2; i++)
        x[i] = v_add(_mm512_shuffle_f32x4(x[2 * i], x[2 * i + 1], 0x88),
                     _mm512_shuffle_f32x4(x[2 * i], x[2 * i + 1], 0xdd));
    return v_add(_mm512_shuffle_f32x4(x[0], x[1], 0x88), _mm512_shuffle_f32x4(x[0], x[1], 0xdd));
}

/* 2^t for t <= 0 within 4e-6, exactly 0 for -inf: a polynomial of the fractional part, times
 * 2^floor(t). That is a thousandth of what rounding it to bf16 changes. Results below the normal
 * floats are flushed to 0: see em_attend_bf16_amx. */
static inline vf power_of_2(vf t) {
    vf f = _mm512_reduce_ps(t, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC),
       p = v_set(0.01355574722f);
    p = v_fma(p, f, v_set(0.05203236903f));
    p = v_fma(p, f, v_set(0.2413797629f));
    p = v_fma(p, f, v_set(0.6930321208f));
    return _mm512_scalef_ps(v_fma(p, f, v_set(1)), t);
}

#define LOG2_E 1.44269504f

/* p = exp(z - max) in bf16, n of them, a multiple of 32; their sum before they were rounded, in
 * lanes. */
static inline vf exponentials(const float *z, uint16_t *p, int n, float max) {
    vf e = v_set(LOG2_E), m = v_set(fmaxf(max * LOG2_E, -FLT_MAX)), even = v_set(0), odd = v_set(0);
    for (int k = 0; k < n; k += 2 * VW) {
        vf x = power_of_2(_mm512_fmsub_ps(v_load(z + k), e, m)),
           y = power_of_2(_mm512_fmsub_ps(v_load(z + k + VW), e, m));
        _mm512_storeu_si512(p + k, (__m512i)_mm512_cvtne2ps_pbh(y, x));
        even = v_add(even, x);
        odd = v_add(odd, y);
    }
    return v_add(even, odd);
}

/* ROWS queries of one head from query on, of heads * EM_TILE, and the keys of the tile that they
 * take: [first, last). */
typedef struct block {
    int query, first, last;
} block;

typedef struct work {
    _Alignas(64) float z[ROWS][EM_KEY_TILE]; /* scores */
    _Alignas(64)
        uint16_t p[ROWS][EM_KEY_TILE]; /* probabilities, of the same block or the one before it */
    _Alignas(64) float keep[ROWS];     /* what its sums so far are multiplied by */
} work;

static void scores(const em_attend_bf16 *a, const block *b, work *w) {
    const uint16_t *q = a->q + (ptrdiff_t)b->query * a->depth;
    for (int k = b->first; k < b->last; k += COLUMNS)
        block_product(q, (size_t)a->depth * sizeof *q, a->keys + 2 * k,
                      2 * EM_KEY_TILE * sizeof *a->keys, a->depth, true, &w->z[0][k],
                      sizeof w->z[0]);
}

static void cap_and_mask(const em_attend_bf16 *a, const block *b, work *w) {
    for (int r = 0; r < ROWS; r++) {
        int at = b->query % EM_TILE + r, lo = clamp(a->lo[at] - a->first_key),
            hi = clamp(a->hi[at] - a->first_key);
        if (a->softcap > 0) cap_scores(w->z[r] + b->first, b->last - b->first, a->softcap);
        if (lo > b->first || hi < b->last) mask_edges(w->z[r], b->first, b->last, lo, hi);
    }
}

/* Maxima of 16 rows from row r on, and what the sums so far are to be multiplied by. */
static void new_maxima(const em_attend_bf16 *a, const block *b, work *w, int r) {
    vf x[16], old = v_load(a->max + b->query + r);
    for (int i = 0; i < 16; i++) {
        const float *z = w->z[r + i];
        x[i] = v_max(v_load(z + b->first), v_load(z + b->first + VW));
        for (int k = b->first + 2 * VW; k < b->last; k += 2 * VW)
            x[i] = v_max(x[i], v_max(v_load(z + k), v_load(z + k + VW)));
    }
    vf max = v_max(largest_of_each(x), old);
    v_store(a->max + b->query + r, max);
    v_store(w->keep + r, v_exp(v_sub(old, max)));
}

/* Probabilities of 16 rows, and their part of the sums. */
static void new_sums(const em_attend_bf16 *a, const block *b, work *w, int r) {
    vf x[16];
    float *sum = a->sum + b->query + r;
    for (int i = 0; i < 16; i++)
        x[i] = exponentials(w->z[r + i] + b->first, w->p[r + i] + b->first, b->last - b->first,
                            a->max[b->query + r + i]);
    v_store(sum, v_fma(v_load(sum), v_load(w->keep + r), sum_of_each(x)));
}

/* out = out * keep + p . values, 32 (or the last 16) columns at a time */
static void mix_values(const em_attend_bf16 *a, const block *b, work *w) {
    _Alignas(64) float mixed[ROWS][COLUMNS];
    if (b->first == b->last) return;
    for (int d = 0; d < a->value_width; d += COLUMNS) {
        bool wide = a->value_width - d > 16;
        block_product(&w->p[0][b->first], sizeof w->p[0],
                      a->values + ((ptrdiff_t)b->first * a->value_width + 2 * d),
                      2 * (size_t)a->value_width * sizeof *a->values, b->last - b->first, wide,
                      mixed[0], sizeof mixed[0]);
        for (int r = 0; r < ROWS; r++) {
            float *out = a->out + (ptrdiff_t)(b->query + r) * a->value_width + d;
            vf keep = v_set(w->keep[r]);
            v_store(out, v_fma(v_load(out), keep, v_load(mixed[r])));
            if (wide) v_store(out + VW, v_fma(v_load(out + VW), keep, v_load(mixed[r] + VW)));
        }
    }
}

static void probabilities(const em_attend_bf16 *a, const block *b, work *w) {
    cap_and_mask(a, b, w);
    for (int r = 0; r < ROWS; r += 16) new_maxima(a, b, w, r);
    for (int r = 0; r < ROWS; r += 16) new_sums(a, b, w, r);
}

/* The values of a block are mixed after the scores of the next one are computed: what the tile
 * registers write and read is then not waited for. */
void em_attend_bf16_amx(const em_attend_bf16 *a) {
    work w;
    block last = {0, 0, 0};
    unsigned mode = _mm_getcsr();
    _mm_setcsr(mode | _MM_FLUSH_ZERO_ON);
    em_amx_configure();
    for (int query = 0; query < a->heads * EM_TILE; query += ROWS) {
        block b = {.query = query};
        if (!key_range(a, query, &b.first, &b.last)) continue;
        scores(a, &b, &w);
        mix_values(a, &last, &w);
        probabilities(a, &b, &w);
        last = b;
    }
    mix_values(a, &last, &w);
    _tile_release();
    _mm_setcsr(mode);
}

const em_bf16_kernels em_bf16_kernels_amx = {
    .attend = em_attend_bf16_amx,
    .pack = em_pack_bf16_amx,
    .product = em_product_bf16_amx,
};
