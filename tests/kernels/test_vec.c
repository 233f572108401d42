/* exp, tanh and erfc on vectors, for one instruction set, over their ranges in double precision. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "kernels/cpu/vec.h"

static bool have(void) {
#ifdef __AVX512F__
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
#else
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
}

/* Error in units of the last place of the exact value's float. */
static double ulps(float got, double exact) {
    float x = fabsf((float)exact);
    return fabs((double)got - exact) / ((double)nextafterf(x, INFINITY) - (double)x);
}

typedef vf (*function)(vf);

static vf erfc_of(vf x) { return v_erfc_positive(x); }
static vf exp_of(vf x) { return v_exp(x); }
static vf exp_term_of(vf x) { return v_exp_term(x); }
static vf tanh_of(vf x) { return v_tanh(x); }

static void sweep(function f, double (*exact)(double), double low, double high, double limit) {
    float x[VW], y[VW];
    int steps = 2000000;
    if (!have()) skip();
    for (int i = 0; i < steps; i += VW) {
        for (int j = 0; j < VW; j++) x[j] = (float)(low + (high - low) * (i + j) / steps);
        v_store(y, f(v_load(x)));
        for (int j = 0; j < VW; j++)
            if (!(ulps(y[j], exact((double)x[j])) <= limit))
                fail_msg("at %.9g: %.9g, should be %.9g", (double)x[j], (double)y[j],
                         exact((double)x[j]));
    }
}

static void test_exp(void **state) { sweep(exp_of, exp, -87.3, 88.7, 2); }
static void test_exp_near_0(void **state) { sweep(exp_of, exp, -1, 1, 2); }
static void test_tanh(void **state) { sweep(tanh_of, tanh, -10, 10, 4); }
static void test_tanh_near_0(void **state) { sweep(tanh_of, tanh, -0.7, 0.7, 4); }
/* A term may be 3e-7 of the largest, which is 1, off; one that counts also 5e-6 of itself. */
static void test_exp_term(void **state) {
    float x[VW], y[VW];
    int steps = 2000000;
    if (!have()) skip();
    for (int i = 0; i < steps; i += VW) {
        for (int j = 0; j < VW; j++) x[j] = -87.0f * (float)(i + j) / (float)steps;
        v_store(y, v_exp_term(v_load(x)));
        for (int j = 0; j < VW; j++) {
            double exact = exp((double)x[j]), off = fabs((double)y[j] - exact);
            if (!(off <= 3e-7 && off <= 5e-6 * exact && y[j] <= 1))
                fail_msg("at %.9g: %.9g, should be %.9g", (double)x[j], (double)y[j], exact);
        }
    }
}

/* The rounding of z^2 shows: 5e-6 of the value, where it has fallen to 1e-29. */
static void test_erfc(void **state) { sweep(erfc_of, erfc, 0, 8.5, 80); }
static void test_erfc_near_0(void **state) { sweep(erfc_of, erfc, 0, 1, 12); }

static float one(function f, float x) {
    float y[VW];
    v_store(y, f(v_set(x)));
    return y[VW - 1];
}

/* What the kernels rely on to the bit: nothing is changed by a maximum that stays, and masked or
 * far terms are nothing. */
static void test_exact_values(void **state) {
    if (!have()) skip();
    assert_true(one(exp_of, 0) == 1);
    assert_true(one(exp_of, -87.34f) == 0);
    assert_true(one(exp_of, -3e38f) == 0);
    assert_true(one(exp_of, -INFINITY) == 0);
    assert_true(one(exp_of, 88.73f) == INFINITY);
    assert_true(one(exp_of, INFINITY) == INFINITY);
    assert_true(isnan(one(exp_of, NAN)));
    assert_true(one(exp_term_of, 0) == 1 && one(exp_term_of, -0.0f) == 1);
    assert_true(one(exp_term_of, -87.34f) == 0); /* a subnormal float */
    assert_true(one(exp_term_of, -104) == 0);
    assert_true(one(exp_term_of, -3.4e38f) == 0);
    assert_true(one(exp_term_of, -INFINITY) == 0);
    assert_true(isnan(one(exp_term_of, NAN)));
    assert_true(one(tanh_of, 0) == 0);
    assert_true(one(tanh_of, 200) == 1 && one(tanh_of, -200) == -1);
    assert_true(isnan(one(tanh_of, NAN)));
    assert_true(one(erfc_of, 20) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp),         cmocka_unit_test(test_exp_near_0),
        cmocka_unit_test(test_exp_term),    cmocka_unit_test(test_tanh),
        cmocka_unit_test(test_tanh_near_0), cmocka_unit_test(test_erfc),
        cmocka_unit_test(test_erfc_near_0), cmocka_unit_test(test_exact_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
