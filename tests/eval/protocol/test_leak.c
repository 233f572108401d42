/* Leak classes against a brute-force composition of T x T boolean matrices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "eval/protocol/leak.h"
#include "tests/eval/protocol/masks.h"

enum { MOST = 64, DEPTH = 5 };

static uint64_t state = 20240607;

static int32_t below(int32_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int32_t)((state >> 33) % (uint64_t)n);
}

typedef struct matrix {
    uint8_t at[MOST][MOST];
} matrix;

/* visible[i][k]: position i reads k in this layer, by the words of the design and not by
 * em_mask_clip. */
static void layer_matrix(const int32_t *lo, const int32_t *hi, int32_t n, int32_t window,
                         matrix *out) {
    for (int32_t i = 0; i < n; i++)
        for (int32_t k = 0; k < n; k++) {
            bool near = window == 0 || abs(i - k) < window;
            out->at[i][k] = i == k || (k >= lo[i] && k < hi[i] && near);
        }
}

static void multiply(const matrix *a, const matrix *b, int32_t n, matrix *out) {
    for (int32_t i = 0; i < n; i++)
        for (int32_t k = 0; k < n; k++) {
            uint8_t any = 0;
            for (int32_t j = 0; j < n; j++) any |= a->at[i][j] & b->at[j][k];
            out->at[i][k] = any;
        }
}

/* one: in some single layer; all: through the whole stack, the last layer on the left. */
static void brute_force(const int32_t *lo, const int32_t *hi, int32_t n, const int32_t *windows,
                        int32_t layers, matrix *one, matrix *all) {
    static matrix layer, product;
    memset(one, 0, sizeof *one);
    memset(all, 0, sizeof *all);
    for (int32_t i = 0; i < n; i++) all->at[i][i] = 1;
    for (int32_t l = 0; l < layers; l++) {
        layer_matrix(lo, hi, n, windows[l], &layer);
        for (int32_t i = 0; i < n; i++)
            for (int32_t k = 0; k < n; k++) one->at[i][k] |= layer.at[i][k];
        multiply(&layer, all, n, &product);
        *all = product;
    }
}

static void check(const int32_t *lo, const int32_t *hi, int32_t n, const int32_t *windows,
                  int32_t layers) {
    static matrix one, all;
    static uint8_t after[(DEPTH + 1) * MOST];
    em_error err = EM_ERROR_INIT;
    brute_force(lo, hi, n, windows, layers, &one, &all);
    for (int32_t i = 0; i < n; i++) {
        assert_true(em_leak_spread(lo, hi, n, windows, layers, i, after, &err));
        for (int32_t q = 0; q < n; q++) assert_int_equal(after[layers * n + q], all.at[q][i]);
    }
    for (int offset = -2; offset <= 2; offset++) {
        uint8_t out[MOST];
        assert_true(em_leak_row(lo, hi, n, windows, layers, offset, 0, n, out, &err));
        for (int32_t i = 0; i < n; i++) {
            int32_t k = i + offset;
            int want = k < 0 || k >= n ? EM_CLEAN
                       : one.at[i][k]  ? EM_LEAK_DIRECT
                       : all.at[i][k]  ? EM_LEAK_INDIRECT
                                       : EM_CLEAN;
            assert_int_equal(out[i], want);
        }
    }
}

static int32_t random_windows(int32_t n, int32_t *windows) {
    int32_t layers = 1 + below(DEPTH);
    bool any = below(2);
    for (int32_t l = 0; l < layers; l++) windows[l] = any && below(2) ? 1 + below(n) : 0;
    return layers;
}

static void random_intervals(void **unused) {
    for (int round = 0; round < 600; round++) {
        int32_t lo[MOST], hi[MOST], windows[DEPTH], n = 1 + below(24), widest = 1 + below(n);
        for (int32_t i = 0; i < n; i++) {
            lo[i] = below(n);
            hi[i] = lo[i] + below(widest + 1); /* empty ones too */
            if (hi[i] > n) hi[i] = n;
            if (below(8) == 0) hi[i] = 0; /* lo > hi is empty as well */
        }
        check(lo, hi, n, windows, random_windows(n, windows));
    }
}

static int32_t random_segments(int32_t n, em_segment *s) {
    int32_t count = 0;
    for (int32_t at = 0; at < n;) {
        int32_t length = 1 + below(n - at);
        s[count++] = (em_segment){.start = at, .end = at + length};
        at += length;
    }
    return count;
}

static void check_mask(const em_mask *m) {
    for (int round = 0; round < 25; round++) {
        em_segment segments[MOST];
        int32_t lo[MOST], hi[MOST], windows[DEPTH], n = 1 + below(33);
        em_row row = {.tokens = n, .window = n, .segments = segments};
        row.n_segments = random_segments(n, segments);
        em_mask_intervals(m, &row, n, lo, hi);
        check(lo, hi, n, windows, random_windows(n, windows));
    }
}

static void masks_of_the_table(void **unused) {
    every_mask((const int32_t[]){3, 5, 9, 40, 0}, check_mask);
}

/* What the published backward-mask experiment saw: half directly, all from two layers on. */
static void flip0_leaks(void **unused) {
    enum { T = 1024 };
    static int32_t lo[T], hi[T];
    static uint8_t out[T];
    const int32_t windows[2] = {0, 0};
    em_error err = EM_ERROR_INIT;
    int direct[3] = {0}, indirect[3] = {0};
    for (int32_t i = 0; i < T; i++) hi[i] = T - i;
    for (int32_t layers = 1; layers <= 2; layers++) {
        assert_true(em_leak_row(lo, hi, T, windows, layers, 1, 0, T - 1, out, &err));
        for (int32_t i = 0; i < T - 1; i++) {
            direct[layers] += out[i] == EM_LEAK_DIRECT;
            indirect[layers] += out[i] == EM_LEAK_INDIRECT;
        }
    }
    assert_int_equal(direct[1], 512);
    assert_int_equal(indirect[1], 0);
    assert_int_equal(direct[2], 512);
    assert_int_equal(indirect[2], 511);
}

/* Only [from, to) is written. */
static void writes_its_range_only(void **unused) {
    int32_t lo[8] = {0}, hi[8] = {8, 8, 8, 8, 8, 8, 8, 8}, windows[1] = {0};
    uint8_t out[8];
    em_error err = EM_ERROR_INIT;
    memset(out, 9, sizeof out);
    assert_true(em_leak_row(lo, hi, 8, windows, 1, 1, 2, 5, out, &err));
    static const uint8_t want[8] = {9, 9, EM_LEAK_DIRECT, EM_LEAK_DIRECT, EM_LEAK_DIRECT, 9, 9, 9};
    assert_memory_equal(out, want, sizeof want);
}

/* T = 8192 and 32 layers, alternating windows: a row must not cost what a T x T matrix does. */
static void time_mask(const em_mask *m) {
    enum { T = 8192, L = 32 };
    static int32_t lo[T], hi[T], windows[L];
    static uint8_t out[T];
    em_segment segments[T / 128];
    for (int32_t g = 0; g < T / 128; g++)
        segments[g] = (em_segment){.start = g * 128, .end = g * 128 + 128};
    em_row row = {.tokens = T, .window = T, .segments = segments, .n_segments = T / 128};
    em_mask_intervals(m, &row, T, lo, hi);
    for (int alternating = 0; alternating < 2; alternating++) {
        for (int32_t l = 0; l < L; l++) windows[l] = alternating && l % 2 ? 64 : 0;
        for (int offset = -1; offset <= 2; offset++) {
            em_error err = EM_ERROR_INIT;
            clock_t start = clock();
            assert_true(em_leak_row(lo, hi, T, windows, L, offset, 0, T, out, &err));
            double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
            if (seconds > 5) fail_msg("%s, offset %d: %.2f s", m->name, offset, seconds);
        }
    }
}

static void long_rows_are_fast(void **unused) {
    every_mask((const int32_t[]){300, 12000, 0}, time_mask);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_intervals), cmocka_unit_test(masks_of_the_table),
        cmocka_unit_test(flip0_leaks), cmocka_unit_test(writes_its_range_only),
        cmocka_unit_test(long_rows_are_fast)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
