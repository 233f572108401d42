/* Student's t against its tables, intervals against their definition, and where there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "common/grouped.h"

static void close_to(double a, double b, double relative) {
    if (!(fabs(a - b) <= relative * fabs(b))) fail_msg("%.12g is not %.12g", a, b);
}

/* Whole degrees of freedom from printed tables; 2 has a closed form. */
static void students_point(void **state) {
    close_to(em_student_point(2), 4.302652729911275, 1e-6);
    close_to(em_student_point(3), 3.182446305284263, 1e-6);
    close_to(em_student_point(4), 2.776445105197799, 1e-6);
    close_to(em_student_point(9), 2.262157162740992, 1e-6);
    close_to(em_student_point(30), 2.042272456301238, 1e-6);
    close_to(em_student_point(99), 1.984216951564210, 1e-6);
    close_to(em_student_point(120), 1.979930405052777, 1e-6);
    close_to(em_student_point(1e12), 1.959963984540054, 1e-9);
    for (double df = 2; df < 300; df *= 1.01)
        assert_true(em_student_point(df) > em_student_point(df * 1.01));
}

static em_grouped groups(const double *sums, const int64_t *sizes, int n, double *mean,
                         int64_t *predictions) {
    em_grouped g = {0};
    double sum = 0;
    *predictions = 0;
    for (int i = 0; i < n; i++) {
        em_grouped_add(&g, sums[i], sizes[i]);
        sum += sums[i];
        *predictions += sizes[i];
    }
    *mean = *predictions ? sum / (double)*predictions : NAN;
    return g;
}

static void interval_by_definition(void **state) {
    static const double sums[] = {3, -1, 8, 2.5, 11};
    static const int64_t sizes[] = {10, 4, 20, 7, 25};
    double mean, low, high, squares = 0, pairs = 0;
    int64_t n;
    em_grouped g = groups(sums, sizes, 5, &mean, &n);
    for (int i = 0; i < 5; i++) {
        double u = sums[i] - mean * (double)sizes[i];
        squares += u * u * (1 + 2 * (double)sizes[i] / (double)n);
        pairs += (double)(sizes[i] * sizes[i]);
    }
    double effective = (double)(n * n) / pairs;
    close_to(em_grouped_effective(&g, n), effective, 1e-14);
    em_grouped_interval(&g, mean, n, &low, &high);
    close_to((high - low) / 2, em_student_point(effective - 1) * sqrt(squares) / (double)n, 1e-12);
    close_to((high + low) / 2, mean, 1e-12);
}

static void none_from_few_groups(void **state) {
    static const double sums[] = {1, 2, 4, 7};
    static const int64_t equal[] = {5, 5, 5, 5}, one_long[] = {5, 5, 5, 500};
    for (int n = 0; n <= 4; n++) {
        double mean, low, high;
        int64_t predictions;
        em_grouped g = groups(sums, equal, n, &mean, &predictions);
        em_grouped_interval(&g, mean, predictions, &low, &high);
        assert_int_equal(isfinite(low) && isfinite(high), n >= EM_LEAST_GROUPS);
        g = groups(sums, one_long, n, &mean, &predictions);
        em_grouped_interval(&g, mean, predictions, &low, &high);
        assert_int_equal(isfinite(low), n == 3); /* the fourth outweighs all others */
    }
}

/* Groups that count twice in one mean: the excess of the mean over itself is 0, sure. */
static void excess(void **state) {
    static em_bootstrap a, b;
    em_grouped g = {0};
    double low, high, mean = 0, more = 0;
    for (int i = 0; i < 40; i++) {
        double value = i % 7, other = value + (i % 3) - 1;
        em_bootstrap_add(&a, 5, i, value, 1);
        em_bootstrap_add(&b, 5, i, other, 1);
        em_grouped_add(&g, other, 1);
        mean += value / 40;
        more += other / 40;
    }
    em_bootstrap_interval(&a, &a, &g, 40, 0, &low, &high);
    assert_true(low == 0 && high == 0);
    em_bootstrap_interval(&b, &a, &g, 40, more - mean, &low, &high);
    /* the excess of a group is -1, 0 or 1: its standard error is about sqrt(2/3) / sqrt(40) */
    close_to((high - low) / 2, 2.0227 * 0.82 / sqrt(40), 0.15);
    close_to((high + low) / 2, more - mean, 1e-9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(students_point),
        cmocka_unit_test(interval_by_definition),
        cmocka_unit_test(none_from_few_groups),
        cmocka_unit_test(excess),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
