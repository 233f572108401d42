/* Attention and products in bf16 on tile registers against the plain C that says what they compute.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "kernels/cpu/cpu.h"

enum { TILES = 3, HEADS = 2, QUERIES = HEADS * EM_TILE }; /* TILES of keys */

/* ---- memory that ends at a page which cannot be touched: AddressSanitizer does not see what tiles
 * load ---- */

/* Zeros. The page before them says how much is mapped. */
static void *guarded(size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), inner = (bytes + page - 1) / page * page,
           all = inner + 2 * page;
    char *map = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(map != MAP_FAILED);
    memcpy(map, &all, sizeof all);
    assert_int_equal(mprotect(map + page + inner, page, PROT_NONE), 0);
    return map + page + inner - bytes;
}

static void guarded_free(void *p) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), all;
    char *map = (char *)p - (uintptr_t)p % page - page;
    memcpy(&all, map, sizeof all);
    munmap(map, all);
}

/* ---- attention ---- */

typedef struct problem {
    int head_dim, depth, width;
    uint16_t *q, *keys, *values;
    int32_t lo[EM_TILE], hi[EM_TILE];
    float softcap;
} problem;

typedef struct answer {
    float max[QUERIES], sum[QUERIES], *out;
} answer;

typedef void attend_kernel(const em_attend_bf16 *a);

static uint64_t state;

static float random_float(float size) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return size * ((float)(state >> 40) * 0x1p-23f - 1);
}

/* Zeros beyond the head's own elements, as the backend leaves them. */
static problem problem_new(int head_dim, float size) {
    problem p = {
        .head_dim = head_dim, .depth = em_depth(head_dim), .width = em_value_width(head_dim)};
    p.q = guarded((size_t)QUERIES * (size_t)p.depth * 2);
    p.keys = guarded((size_t)TILES * EM_KEY_TILE * (size_t)p.depth * 2);
    p.values = guarded((size_t)TILES * EM_KEY_TILE * (size_t)p.width * 2);
    for (int i = 0; i < QUERIES; i++)
        for (int d = 0; d < head_dim; d++)
            p.q[i * p.depth + d] = em_f32_to_bf16(random_float(size));
    for (int k = 0; k < TILES * EM_KEY_TILE; k++)
        for (int d = 0; d < head_dim; d++) {
            int tile = k / EM_KEY_TILE, i = k % EM_KEY_TILE;
            p.keys[tile * EM_KEY_TILE * p.depth + (d / 2 * EM_KEY_TILE + i) * 2 + d % 2] =
                em_f32_to_bf16(random_float(size));
            p.values[tile * EM_KEY_TILE * p.width + (i / 2 * p.width + d) * 2 + i % 2] =
                em_f32_to_bf16(random_float(1));
        }
    return p;
}

static void problem_free(problem *p) {
    guarded_free(p->q);
    guarded_free(p->keys);
    guarded_free(p->values);
}

static answer solve(const problem *p, attend_kernel *kernel) {
    answer a = {.out = guarded((size_t)QUERIES * (size_t)p->width * sizeof(float))};
    for (int i = 0; i < QUERIES; i++) a.max[i] = -FLT_MAX, a.sum[i] = 0;
    for (int t = 0; t < TILES; t++) {
        em_attend_bf16 step = {.heads = HEADS,
                               .q = p->q,
                               .keys = p->keys + t * EM_KEY_TILE * p->depth,
                               .values = p->values + t * EM_KEY_TILE * p->width,
                               .depth = p->depth,
                               .value_width = p->width,
                               .lo = p->lo,
                               .hi = p->hi,
                               .first_key = t * EM_KEY_TILE,
                               .softcap = p->softcap,
                               .max = a.max,
                               .sum = a.sum,
                               .out = a.out};
        kernel(&step);
    }
    return a;
}

/* A probability near the middle of two bf16 numbers may be rounded to either: 2^-8 of its part. */
static void compare(const problem *p, attend_kernel *kernel) {
    answer a = solve(p, kernel), b = solve(p, em_bf16_kernels_portable.attend);
    for (int i = 0; i < QUERIES; i++) {
        bool blind = p->lo[i % EM_TILE] >= p->hi[i % EM_TILE];
        assert_int_equal(a.sum[i] > 0, !blind);
        if (blind) assert_true(a.max[i] == -FLT_MAX);
        if (!blind && fabsf(a.sum[i] - b.sum[i]) > 1e-4f * b.sum[i])
            fail_msg("query %d: sum %g, not %g", i, a.sum[i], b.sum[i]);
        for (int d = 0; d < p->width; d++) {
            float x = a.out[i * p->width + d], y = b.out[i * p->width + d],
                  near = 2e-3f * (b.sum[i] + 1e-30f);
            if (blind || d >= p->head_dim) assert_true(x == 0);
            else if (!(fabsf(x - y) <= near))
                fail_msg("query %d, value %d: %g, not %g", i, d, x, y);
        }
    }
    guarded_free(a.out);
    guarded_free(b.out);
}

static void causal(problem *p, int document) {
    for (int i = 0; i < EM_TILE; i++)
        p->hi[i] = 2 * EM_TILE + i + 1,
        p->lo[i] = p->hi[i] - 1 - (document ? (i + 37) % document : 300);
    for (int i = 0; i < EM_TILE; i++) p->lo[i] = p->lo[i] < 0 ? 0 : p->lo[i];
}

static void any(problem *p) {
    for (int i = 0; i < EM_TILE; i++) {
        p->lo[i] = (int32_t)(fabsf(random_float(1)) * TILES * EM_KEY_TILE);
        p->hi[i] =
            (int32_t)(fabsf(random_float(1)) * (TILES * EM_KEY_TILE + 1)); /* many see nothing */
    }
}

static attend_kernel *kernel(void) {
    const em_bf16_kernels *k = em_bf16_kernels_best();
    if (!k) skip();
    return k->attend;
}

static void test_masks(void **unused) {
    attend_kernel *k = kernel();
    const int dims[] = {64, 32, 80, 128, 16, 8, 200, 256};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        problem p = problem_new(dims[i], 0.5f);
        const int documents[] = {0, 5, 50, 100};
        for (int m = 0; m < 4; m++) causal(&p, documents[m]), compare(&p, k);
        for (int m = 0; m < 5; m++) any(&p), compare(&p, k);
        p.softcap = 2;
        compare(&p, k);
        problem_free(&p);
    }
}

static void test_large_scores(void **unused) {
    attend_kernel *k = kernel();
    problem p = problem_new(64, 8);
    causal(&p, 0);
    compare(&p, k);
    problem_free(&p);
}

/* What a query does not see changes no bit of it, nor does what its neighbours see. */
static void test_neighbours(void **unused) {
    attend_kernel *k = kernel();
    problem p = problem_new(64, 0.5f), other = p;
    causal(&p, 20);
    answer a = solve(&p, k);
    other.values = guarded((size_t)TILES * EM_KEY_TILE * (size_t)p.width * 2);
    memcpy(other.values, p.values, (size_t)TILES * EM_KEY_TILE * (size_t)p.width * 2);
    for (int query = 0; query < EM_TILE; query += 13) {
        for (int i = 0; i < EM_TILE; i++)
            other.lo[i] = i == query ? p.lo[i] : 0,
            other.hi[i] = i == query ? p.hi[i] : 7 * i % 380;
        for (int key = 0; key < p.lo[query]; key++)
            for (int d = 0; d < p.head_dim; d++)
                other.values[key / EM_KEY_TILE * EM_KEY_TILE * p.width +
                             (key % EM_KEY_TILE / 2 * p.width + d) * 2 + key % 2] =
                    em_f32_to_bf16(random_float(3));
        answer b = solve(&other, k);
        assert_true(a.sum[query] == b.sum[query]);
        assert_memory_equal(a.out + query * p.width, b.out + query * p.width,
                            (size_t)p.width * sizeof(float));
        guarded_free(b.out);
        memcpy(other.values, p.values, (size_t)TILES * EM_KEY_TILE * (size_t)p.width * 2);
    }
    guarded_free(other.values);
    guarded_free(a.out);
    problem_free(&p);
}

/* ---- products ---- */

static float *random_floats(int n, float size) {
    float *x = guarded((size_t)n * sizeof *x);
    for (int i = 0; i < n; i++) x[i] = random_float(size);
    return x;
}

/* What lies beyond a row's width stays as it is. */
static void check_product(const em_bf16_kernels *k, int depth, int width, int gap, bool bias) {
    int stride = width + gap, whole = (width + 31) / 32 * 32;
    float *rows = random_floats(width * depth, 1), *plus = random_floats(width, 1),
          *x = random_floats(EM_TILE * depth, 1);
    size_t c_bytes = (size_t)((EM_TILE - 1) * stride + width) * sizeof(float);
    float *c = random_floats((int)(c_bytes / sizeof *c), 9), *expected = guarded(c_bytes);
    uint16_t *a = guarded((size_t)(EM_TILE * depth) * 2), *b = guarded((size_t)(whole * depth) * 2),
             *packed = guarded((size_t)(whole * depth) * 2);
    memcpy(expected, c, c_bytes);
    for (int i = 0; i < EM_TILE * depth; i++) a[i] = em_f32_to_bf16(x[i]);
    em_bf16_kernels_portable.pack(b, rows, depth, width);
    k->pack(packed, rows, depth, width);
    assert_memory_equal(packed, b, (size_t)(whole * depth) * 2);
    em_product_bf16 p = {.a = a,
                         .b = packed,
                         .depth = depth,
                         .width = width,
                         .bias = bias ? plus : NULL,
                         .c = c,
                         .c_stride = stride,
                         .ahead = (const char *)packed,
                         .ahead_bytes = (size_t)(whole * depth) * 2};
    k->product(&p);
    p.c = expected;
    em_bf16_kernels_portable.product(&p);
    for (int i = 0; i < (EM_TILE - 1) * stride + width; i++) {
        float near = i % stride < width ? 1e-6f * (float)depth : 0;
        if (!(fabsf(c[i] - expected[i]) <= near))
            fail_msg("%d x %d, element %d: %g, not %g", depth, width, i, c[i], expected[i]);
    }
    guarded_free(rows);
    guarded_free(plus);
    guarded_free(x);
    guarded_free(c);
    guarded_free(expected);
    guarded_free(a);
    guarded_free(b);
    guarded_free(packed);
}

static void test_products(void **unused) {
    const em_bf16_kernels *k = em_bf16_kernels_best();
    if (!k) skip();
    const int depths[] = {32, 64, 288, 576},
              widths[] = {1, 15, 16, 17, 31, 32, 33, 40, 64, 100, 192};
    for (int d = 0; d < 4; d++)
        for (int w = 0; w < 11; w++) check_product(k, depths[d], widths[w], w % 3 * 7, (d + w) % 2);
    check_product(k, 28672, 33, 3, true);
}

/* A token's product keeps its bits whatever the others are, numbers or not. */
static void test_product_neighbours(void **unused) {
    const em_bf16_kernels *k = em_bf16_kernels_best();
    if (!k) skip();
    enum { DEPTH = 96, WIDTH = 50 };
    float *rows = random_floats(WIDTH * DEPTH, 1), *c = guarded(EM_TILE * WIDTH * sizeof *c),
          *alone = guarded(WIDTH * sizeof *c);
    uint16_t *a = guarded(EM_TILE * DEPTH * sizeof *a),
             *packed = guarded(64 * DEPTH * sizeof *packed);
    em_product_bf16 p = {
        .a = a, .b = packed, .depth = DEPTH, .width = WIDTH, .c = c, .c_stride = WIDTH};
    k->pack(packed, rows, DEPTH, WIDTH);
    for (int token = 0; token < EM_TILE; token += 21) {
        for (int i = 0; i < DEPTH; i++) a[token * DEPTH + i] = em_f32_to_bf16(random_float(1));
        for (int others = 0; others < 3; others++) {
            const float odd[] = {0, NAN, INFINITY};
            for (int i = 0; i < EM_TILE * DEPTH; i++)
                if (i / DEPTH != token)
                    a[i] = em_f32_to_bf16(i % 3 ? random_float(2) : odd[others]);
            k->product(&p);
            if (others == 0) memcpy(alone, c + token * WIDTH, WIDTH * sizeof *c);
            assert_memory_equal(c + token * WIDTH, alone, WIDTH * sizeof *c);
            assert_true(others == 0 || !isfinite(c[(token ? 0 : 1) * WIDTH]));
        }
    }
    guarded_free(rows);
    guarded_free(c);
    guarded_free(alone);
    guarded_free(a);
    guarded_free(packed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masks), cmocka_unit_test(test_large_scores),
        cmocka_unit_test(test_neighbours), cmocka_unit_test(test_products),
        cmocka_unit_test(test_product_neighbours)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
