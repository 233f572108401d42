/* The CUDA engine's attention by itself: against softmax in double on the same numbers, for each
 * shape that it was built for and each kind of interval; and two heads a block against one head a
 * block, bit for bit. On a device, and with the emulator in its place. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kernels/cuda/kernels.h"
#include "tests/kernels/naive.h"

enum { TOKENS = 3840, ITEMS = TOKENS / EM_QUERY_TILE };

typedef struct shape {
    em_dtype type;
    int heads, kv_heads, dim;
    float softcap;
} shape;

static void check(bool good, const em_error *err) {
    if (!good) fail_msg("%s", err->text);
}

/* ---- rows ---- */

typedef enum mask {
    REGULAR,
    DOC,
    WINDOW,
    DOC_WINDOW,
    PREFIX,
    FULL,
    DOC_FULL,
    BACKWARD,
    DOC_BACKWARD,
    FLIP0
} mask;

/* n: tokens of a document, of the mask's own window, of the prefix, or flip0's M. window: the
 * layer's, on both sides. */
typedef struct row {
    mask mask;
    int length, n, window;
} row;

#ifdef EM_SHORT /* see test_cuda.c */
static const row rows[] = {{FLIP0, 200, 60, 0}, {DOC, 70, 20, 0}, {REGULAR, 130, 0, 40}};
#else
static const row rows[] = {
    {REGULAR, 330, 0, 0},  {DOC, 300, 53, 0},          {DOC, 150, 5, 0},
    {WINDOW, 200, 40, 0},  {DOC_WINDOW, 130, 17, 0},   {PREFIX, 150, 90, 0},
    {FULL, 100, 0, 0},     {FULL, 192, 0, 0},          {DOC_FULL, 129, 70, 0},
    {BACKWARD, 140, 0, 0}, {DOC_BACKWARD, 128, 33, 0}, {FLIP0, 100, 100, 0},
    {FLIP0, 200, 60, 0}, /* tiles of queries that see nothing */
    {REGULAR, 250, 0, 64}, {FULL, 170, 0, 37},         {REGULAR, 1, 0, 0},
};
#endif
#define N_ROWS ((int)(sizeof rows / sizeof *rows))

/* Rows at multiples of EM_TILE tokens, as the engine lays them out. What lies between them is
 * random, too: nobody sees it. */
typedef struct batch {
    int start[N_ROWS], n_items;
    em_seen seen[TOKENS];
    em_attention_item items[ITEMS];
} batch;

static int larger(int a, int b) { return a > b ? a : b; }
static int smaller(int a, int b) { return a < b ? a : b; }

static em_seen interval(const row *r, int i) {
    bool documents = r->mask == DOC || r->mask == DOC_WINDOW || r->mask == DOC_FULL ||
                     r->mask == DOC_BACKWARD;
    int document = !documents              ? r->length
                   : r->mask == DOC_WINDOW ? 2 * r->n
                                           : r->n,
        s = i / document * document;
    int e = smaller(s + document, r->length), lo = s, hi = i + 1;
    switch (r->mask) {
    case REGULAR:
    case DOC: break;
    case WINDOW:
    case DOC_WINDOW: lo = larger(s, i + 1 - r->n); break;
    case PREFIX: hi = larger(i + 1, r->n); break;
    case FULL:
    case DOC_FULL: hi = e; break;
    case BACKWARD:
    case DOC_BACKWARD: lo = i, hi = e; break;
    case FLIP0: hi = smaller(r->length, r->n - i); break;
    }
    return em_seen_make(i, lo, hi, r->window, r->length);
}

static batch *make_batch(void) {
    batch *b = calloc(1, sizeof *b);
    int at = 0;
    for (int r = 0; r < N_ROWS; r++) {
        b->start[r] = at;
        for (int i = 0; i < rows[r].length; i++) b->seen[at + i] = interval(&rows[r], i);
        for (int i = 0; i < rows[r].length; i += EM_QUERY_TILE)
            b->items[b->n_items++] = em_attention_item_make(
                b->seen + at + i, smaller(rows[r].length - i, EM_QUERY_TILE), at + i, at);
        at += (rows[r].length + EM_TILE - 1) / EM_TILE * EM_TILE;
        assert_true(at <= TOKENS);
    }
    em_attention_items_sort(b->items, b->n_items);
    return b;
}

/* ---- numbers ---- */

/* Rounded to type, as every side sees it. */
static float draw(em_dtype type, uint64_t *state, float scale) {
    float x = network_random(state) * scale;
    return type == EM_F32    ? x
           : type == EM_BF16 ? em_bf16_to_f32(em_f32_to_bf16(x))
                             : em_f16_to_f32(em_f32_to_f16(x));
}

static float read(em_dtype type, const void *x, int64_t i) {
    if (type == EM_F32) return ((const float *)x)[i];
    return type == EM_BF16 ? em_bf16_to_f32(((const uint16_t *)x)[i])
                           : em_f16_to_f32(((const uint16_t *)x)[i]);
}

static void put(em_dtype type, void *to, int64_t i, float x) {
    if (type == EM_F32) ((float *)to)[i] = x;
    else ((uint16_t *)to)[i] = type == EM_BF16 ? em_f32_to_bf16(x) : em_f32_to_f16(x);
}

/* ---- one run on the device ---- */

typedef struct memory {
    void *at[8];
    int n;
    em_stream stream;
} memory;

static void *send(memory *m, const void *host, size_t bytes) {
    em_error err = EM_ERROR_INIT;
    void *p = m->at[m->n++] = em_device_alloc(bytes, "a test", &err);
    check(p && em_copy_in(m->stream, p, host, bytes, &err) && em_stream_wait(m->stream, &err),
          &err);
    return p;
}

/* Head h of x [TOKENS, heads, dim] to where the device reads it. */
static void *send_heads(memory *m, const shape *s, const float *x, int heads, bool values) {
    bool half = s->type != EM_F32;
    int depth = em_cuda_depth(s->dim, half);
    size_t bytes = (size_t)TOKENS * (size_t)heads * (size_t)depth * em_dtype_size(s->type);
    char *host = calloc(1, bytes);
    for (int t = 0; t < TOKENS; t++)
        for (int h = 0; h < heads; h++)
            for (int d = 0; d < s->dim; d++) {
                int64_t at = values ? em_cuda_value_index(t, h, heads, depth, d, half)
                                    : em_cuda_head_index(t, h, heads, depth) + d;
                put(s->type, host, at, x[(t * heads + h) * s->dim + d]);
            }
    void *p = send(m, host, bytes);
    free(host);
    return p;
}

/* q: [TOKENS, heads, dim]; k, v: [TOKENS, kv_heads, dim]. out: [TOKENS, heads, dim], the caller's
 * to free */
static float *attend(const batch *b, const shape *s, const float *q, const float *k,
                     const float *v) {
    em_error err = EM_ERROR_INIT;
    memory m = {.stream = em_stream_new(&err)};
    size_t n = (size_t)TOKENS * (size_t)s->heads * (size_t)s->dim,
           bytes = n * em_dtype_size(s->type);
    char *host = malloc(bytes);
    memset(host, 0xff, bytes); /* NaN where nothing is written */
    em_cuda_attend a = {.q = send_heads(&m, s, q, s->heads, false),
                        .k = send_heads(&m, s, k, s->kv_heads, false),
                        .v = send_heads(&m, s, v, s->kv_heads, true),
                        .out = send(&m, host, bytes),
                        .out_stride = s->heads * s->dim,
                        .items = send(&m, b->items, sizeof b->items),
                        .seen = send(&m, b->seen, sizeof b->seen),
                        .n_items = b->n_items,
                        .heads = s->heads,
                        .kv_heads = s->kv_heads,
                        .head_dim = s->dim,
                        .softcap = s->softcap};
    em_cuda_attend_run(m.stream, s->type, &a);
    check(em_launch_check(&err) && em_copy_out(m.stream, host, a.out, bytes, &err) &&
              em_stream_wait(m.stream, &err),
          &err);
    float *out = malloc(n * sizeof *out);
    for (size_t i = 0; i < n; i++) out[i] = read(s->type, host, (int64_t)i);
    for (int i = 0; i < m.n; i++) em_device_free(m.at[i]);
    em_stream_free(m.stream);
    free(host);
    return out;
}

static float *random_heads(const shape *s, int heads, uint64_t *state, float scale) {
    float *x = malloc((size_t)TOKENS * (size_t)heads * (size_t)s->dim * sizeof *x);
    for (int i = 0; i < TOKENS * heads * s->dim; i++) x[i] = draw(s->type, state, scale);
    return x;
}

/* ---- against softmax in double ---- */

/* See attend. */
typedef struct numbers {
    float *q, *k, *v;
} numbers;

/* Of one query and head: what is wanted, and sum w |v| of softmax's weights w. */
typedef struct wanted {
    double out[EM_CUDA_MAX_HEAD_DIM], size[EM_CUDA_MAX_HEAD_DIM];
} wanted;

/* begin: the token where the query's row begins */
static wanted naive_query(const shape *s, const numbers *x, em_seen seen, int token, int begin,
                          int head) {
    wanted w = {{0}, {0}};
    int kv = em_cuda_kv_head(head, s->heads, s->kv_heads);
    const float *query = x->q + (token * s->heads + head) * s->dim;
    double total = 0;
    for (int key = begin + seen.lo; key < begin + seen.hi; key++) {
        const float *k = x->k + (key * s->kv_heads + kv) * s->dim,
                    *v = x->v + (key * s->kv_heads + kv) * s->dim;
        double z = 0;
        for (int d = 0; d < s->dim; d++) z += (double)query[d] * (double)k[d];
        double p = exp(s->softcap > 0 ? (double)s->softcap * tanh(z / (double)s->softcap) : z);
        total += p;
        for (int d = 0; d < s->dim; d++)
            w.out[d] += p * (double)v[d], w.size[d] += p * fabs((double)v[d]);
    }
    for (int d = 0; d < s->dim && total > 0; d++) w.out[d] /= total, w.size[d] /= total;
    return w;
}

/* Values are exact, the sum of probabilities is that of the unrounded ones; each probability p is
 * rounded to the half type and moves the mean of values by at most u p |v| / sum, u = 2^-8 in bf16
 * (8 bits) and 2^-11 in f16 (11 bits); the mean is rounded once more. So |error| <= u (sum w |v| +
 * |out|). Products and sums in f32, exp2, and f16's probabilities below its normal numbers (2^-25
 * each) come to less than 2^-14 together. Scores have a deviation of 2, so that a few keys make up
 * a query's mean: one key in a wrong place moves some element by a large part of its size, and a
 * bound of this kind sees it. */
static double tolerance(const shape *s, const wanted *w, int d) {
    if (s->type == EM_F32) return 1e-5;
    return ldexp(w->size[d] + fabs(w->out[d]), s->type == EM_BF16 ? -8 : -11) + 0x1p-14;
}

static void compare_query(const shape *s, const numbers *x, const batch *b, int r, int i, int head,
                          const float *out) {
    int token = b->start[r] + i;
    em_seen seen = b->seen[token];
    wanted w = naive_query(s, x, seen, token, b->start[r], head);
    for (int d = 0; d < s->dim; d++) {
        double got = (double)out[(token * s->heads + head) * s->dim + d];
        if (seen.lo < seen.hi ? fabs(got - w.out[d]) <= tolerance(s, &w, d) : got == 0) continue;
        fail_msg("%s, %d/%d heads of %d: row %d, token %d, head %d, element %d: %f, should be %f "
                 "within %f",
                 em_dtype_name(s->type), s->heads, s->kv_heads, s->dim, r, i, head, d, got,
                 w.out[d], tolerance(s, &w, d));
    }
}

/* Uniform numbers in [-1, 1) have a deviation of 1 / sqrt(3), so q k one of sqrt(dim) / 3 times q's
 * scale. */
static float query_scale(int dim) { return 6 / sqrtf((float)dim); }

static void compare(const batch *b, const shape *s) {
    uint64_t state = 7;
    numbers x = {.q = random_heads(s, s->heads, &state, query_scale(s->dim)),
                 .k = random_heads(s, s->kv_heads, &state, 1)};
    x.v = random_heads(s, s->kv_heads, &state, 1);
    float *out = attend(b, s, x.q, x.k, x.v);
    for (int r = 0; r < N_ROWS; r++)
        for (int i = 0; i < rows[r].length; i++)
            for (int head = 0; head < s->heads; head++) compare_query(s, &x, b, r, i, head, out);
    free(x.q);
    free(x.k);
    free(x.v);
    free(out);
}

static void test_shapes(void **state) {
    static const shape shapes[] = {
#ifndef EM_SHORT
        {EM_F32, 2, 1, 72, 0},   {EM_F32, 1, 1, 256, 2}, {EM_F16, 6, 2, 16, 0},
        {EM_BF16, 1, 1, 16, 2},  {EM_F16, 2, 2, 64, 3},  {EM_BF16, 3, 3, 80, 5},
        {EM_F16, 2, 1, 80, 0},   {EM_F16, 4, 2, 96, 0},  {EM_BF16, 1, 1, 96, 0},
        {EM_BF16, 8, 1, 128, 0}, {EM_F16, 3, 1, 128, 4}, {EM_BF16, 2, 1, 256, 0},
        {EM_F16, 1, 1, 256, 3},
#endif
        {EM_BF16, 4, 2, 64, 3},
    };
    batch *b = make_batch();
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) compare(b, &shapes[i]);
    free(b);
}

/* ---- how many heads a block has ---- */

static void assert_same_rows(const batch *b, const shape *s, const float *x, const float *y) {
    for (int r = 0; r < N_ROWS; r++) {
        int at = b->start[r] * s->heads * s->dim;
        assert_memory_equal(x + at, y + at,
                            (size_t)(rows[r].length * s->heads * s->dim) * sizeof *x);
    }
}

/* [TOKENS, heads, dim] from x [TOKENS, 1, dim] */
static float *repeat_head(const float *x, int heads, int dim) {
    float *y = malloc((size_t)TOKENS * (size_t)(heads * dim) * sizeof *y);
    for (int i = 0; i < TOKENS * heads; i++)
        memcpy(y + i * dim, x + i / heads * dim, (size_t)dim * sizeof *y);
    return y;
}

/* A key head of its own, with the same numbers, for each query head: then blocks have one head. */
static void same_apart(const batch *b, em_dtype type, int heads, int dim) {
    const shape shared = {type, heads, 1, dim, 0}, own = {type, heads, heads, dim, 0};
    uint64_t random = 3;
    float *q = random_heads(&shared, heads, &random, query_scale(dim)),
          *k = random_heads(&shared, 1, &random, 1);
    float *v = random_heads(&shared, 1, &random, 1), *k2 = repeat_head(k, heads, dim),
          *v2 = repeat_head(v, heads, dim);
    float *together = attend(b, &shared, q, k, v), *apart = attend(b, &own, q, k2, v2);
    assert_same_rows(b, &shared, together, apart);
    float *all[] = {q, k, v, k2, v2, together, apart};
    for (int i = 0; i < 7; i++) free(all[i]);
}

static void test_heads_of_a_block(void **state) {
    batch *b = make_batch();
    same_apart(b, EM_BF16, 2, 64);
#ifndef EM_SHORT
    same_apart(b, EM_F16, 2, 128);
#endif
    free(b);
}

#ifdef EM_EMULATED
extern bool em_emulator_early, em_emulator_backwards;

/* Tiles of keys and values come over those of before: as late as they may, or at once; warps in
 * either order. */
static void test_copies(void **state) {
    const shape s = {EM_BF16, 2, 1, 64, 0};
    batch *b = make_batch();
    uint64_t random = 5;
    float *q = random_heads(&s, 2, &random, query_scale(64)), *k = random_heads(&s, 1, &random, 1),
          *v = random_heads(&s, 1, &random, 1);
    float *late = attend(b, &s, q, k, v);
    for (int backwards = 0; backwards < 2; backwards++) {
        em_emulator_early = true;
        em_emulator_backwards = backwards;
        float *early = attend(b, &s, q, k, v);
        em_emulator_early = em_emulator_backwards = false;
        assert_same_rows(b, &s, late, early);
        free(early);
    }
    float *all[] = {q, k, v, late};
    for (int i = 0; i < 4; i++) free(all[i]);
    free(b);
}
#endif

int main(void) {
    em_error err = EM_ERROR_INIT;
    em_device device;
    if (!em_device_open(&device, 0, &(em_backend_options){0}, &err)) {
        printf("skipped: %s\n", err.text);
        return 77; /* ctest's SKIP_RETURN_CODE */
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_heads_of_a_block),
#ifdef EM_EMULATED
        cmocka_unit_test(test_copies),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
