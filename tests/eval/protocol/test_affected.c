/* Affected predictions against a propagation over T x T matrices, by the words of the design. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "eval/protocol/affected.h"

enum { MOST = 40, DEPTH = 4 };

static uint64_t state = 7;

static int32_t below(int32_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int32_t)((state >> 33) % (uint64_t)n);
}

typedef struct row {
    int32_t lo[MOST], hi[MOST], positions[MOST];
} row;

static bool reads(const row *r, int32_t i, int32_t k, int32_t window) {
    return k >= r->lo[i] && k < r->hi[i] && (window == 0 || abs(i - k) < window);
}

/* changed[i]: what position i carries may differ. */
static void naive(const row *a, const row *b, int32_t n, const int32_t *windows, int32_t layers,
                  bool learned, em_reach *out) {
    bool changed[MOST], next[MOST];
    for (int32_t i = 0; i < n; i++) {
        changed[i] = learned && a->positions[i] != b->positions[i];
        out[i] = changed[i] ? (em_reach){0, 0} : (em_reach){INT32_MAX, INT32_MAX};
    }
    for (int32_t l = 0; l < layers; l++) {
        for (int32_t i = 0; i < n; i++) {
            bool own = a->positions[i] != b->positions[i], any = changed[i];
            for (int32_t k = 0; k < n; k++) {
                bool x = reads(a, i, k, windows[l]), y = reads(b, i, k, windows[l]);
                own |= x != y;
                any |= (x || y) && (changed[k] || a->positions[k] != b->positions[k]);
            }
            if (own && out[i].own > l + 1) out[i].own = l + 1;
            if ((own || any) && out[i].any > l + 1) out[i].any = l + 1;
            next[i] = own || any;
        }
        memcpy(changed, next, sizeof changed);
    }
}

static void check(const row *a, const row *b, int32_t n, const int32_t *windows, int32_t layers,
                  bool learned) {
    em_error err = EM_ERROR_INIT;
    em_reach got[MOST], want[MOST];
    em_view x = {a->lo, a->hi, a->positions}, y = {b->lo, b->hi, b->positions};
    assert_true(em_affected_row(&x, &y, n, windows, layers, learned, got, &err));
    naive(a, b, n, windows, layers, learned, want);
    for (int32_t i = 0; i < n; i++)
        if (got[i].own != want[i].own || got[i].any != want[i].any)
            fail_msg("position %d of %d: %d, %d; expected %d, %d", i, n, got[i].own, got[i].any,
                     want[i].own, want[i].any);
}

/* A few intervals and positions of b differ from a's. */
static void random_rows(void **unused) {
    for (int round = 0; round < 3000; round++) {
        row a, b;
        int32_t n = 1 + below(MOST), windows[DEPTH], layers = 1 + below(DEPTH), changes = below(4);
        for (int32_t i = 0; i < n; i++) {
            a.lo[i] = below(n + 1);
            a.hi[i] = below(3) ? a.lo[i] + below(n + 1 - a.lo[i])
                               : below(n + 1); /* some are empty */
            a.positions[i] = i;
        }
        b = a;
        for (int c = 0; c < changes; c++) {
            int32_t i = below(n);
            if (below(2)) b.lo[i] = below(n + 1);
            else b.positions[i] = below(n);
        }
        for (int l = 0; l < DEPTH; l++) windows[l] = below(2) ? 0 : 1 + below(n);
        check(&a, &b, n, windows, layers, below(2));
    }
}

/* Two documents of three tokens: under regular the second sees the first, positions alike. */
static void documents(void **unused) {
    em_error err = EM_ERROR_INIT;
    int32_t window[2] = {0, 0}, near[2] = {1, 1}, zero[6] = {0}, start[6] = {0, 0, 0, 3, 3, 3},
            hi[6] = {1, 2, 3, 4, 5, 6};
    int32_t positions[6] = {0, 1, 2, 3, 4, 5};
    em_view regular = {zero, hi, positions}, doc = {start, hi, positions};
    em_reach out[6];
    assert_true(em_affected_row(&regular, &doc, 6, window, 2, false, out, &err));
    for (int i = 0; i < 6; i++)
        assert_int_equal(em_effect_at(&out[i], 2), i < 3 ? EM_UNAFFECTED : EM_AFFECTED_DIRECTLY);
    assert_true(em_affected_row(&regular, &doc, 6, near, 2, false, out,
                                &err)); /* a window of one: nothing is left to differ */
    for (int i = 0; i < 6; i++) assert_int_equal(em_effect_at(&out[i], 2), EM_UNAFFECTED);
}

/* Only token 3's interval differs; 4 and 5 read it, so they feel it from the second layer on. */
static void through_layers(void **unused) {
    em_error err = EM_ERROR_INIT;
    int32_t window[2] = {0, 0}, lo[6] = {0}, other[6] = {0, 0, 0, 2, 0, 0},
            hi[6] = {1, 2, 3, 4, 5, 6}, positions[6] = {0, 1, 2, 3, 4, 5};
    em_view a = {lo, hi, positions}, b = {other, hi, positions};
    em_reach out[6];
    assert_true(em_affected_row(&a, &b, 6, window, 2, false, out, &err));
    assert_int_equal(em_effect_at(&out[3], 1), EM_AFFECTED_DIRECTLY);
    assert_int_equal(em_effect_at(&out[4], 1), EM_UNAFFECTED);
    assert_int_equal(em_effect_at(&out[4], 2), EM_AFFECTED_INDIRECTLY);
    assert_int_equal(em_effect_at(&out[2], 2), EM_UNAFFECTED);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_rows), cmocka_unit_test(documents),
                                       cmocka_unit_test(through_layers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
