/* Intervals against the tests that they invert, worked out group by group, and their coverage over
 * documents of real runs (tests/reference/coverage.py makes documents/NAME.txt: a line a document
 * with its predictions and NLL sums on each side). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/interval.h"

enum { MOST = 600 };

typedef struct group {
    double sum, predictions;
} group;

static uint64_t seed = 11;

static int below(int n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (int)((seed >> 33) % (uint64_t)n);
}

static em_grouped gather(const group *list, int n) {
    em_grouped g = {0};
    for (int i = 0; i < n; i++) em_grouped_add(&g, list[i].sum, (int64_t)list[i].predictions);
    return g;
}

/* Points of Student's t from printed tables. */
static void student_points(void **state) {
    static const struct {
        double n, point;
    } known[] = {{9, 2.262157},  {10, 2.228139},  {12, 2.178813},   {20, 2.085963},
                 {30, 2.042272}, {100, 1.983972}, {1000, 1.962339}, {1e9, 1.959964}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_true(fabs(em_student_point(known[i].n) - known[i].point) < 1.5e-5);
}

/* Whether Student's t or Hall's transform of it takes `mean` for the mean of the groups. */
static bool accepted(const group *list, int n, double mean) {
    double x[MOST], sum = 0, squares = 0, cubes = 0, all = 0, all_squares = 0;
    for (int i = 0; i < n; i++) {
        x[i] = list[i].sum - mean * list[i].predictions;
        sum += x[i];
        all += list[i].predictions;
        all_squares += list[i].predictions * list[i].predictions;
    }
    for (int i = 0; i < n; i++) {
        squares += pow(x[i] - sum / n, 2);
        cubes += pow(x[i] - sum / n, 3);
    }
    double s = sqrt(squares / (n - 1)), t = sum / n / (s / sqrt(n)), skew = cubes / n / pow(s, 3),
           k = skew / sqrt(n), h = t + k * t * t / 3 + k * k * pow(t, 3) / 27 + k / 6,
           point = em_student_point(all * all / all_squares - 1);
    return fabs(t) <= point || fabs(h) <= point;
}

static void ends_are_where_the_tests_begin_to_reject(void **state) {
    static group list[MOST];
    for (int skewed = 0; skewed < 40; skewed++) {
        int n = 100 + below(MOST - 100);
        double sum = 0, predictions = 0;
        for (int i = 0; i < n; i++) {
            list[i].predictions = 1 + below(1000);
            list[i].sum = list[i].predictions * (3 + below(1000) * 1e-3) +
                          (i % 20 == 0 ? 400.0 * (skewed % 5 - 2) : 0);
            sum += list[i].sum;
            predictions += list[i].predictions;
        }
        em_grouped g = gather(list, n);
        em_interval i = em_grouped_interval(&g);
        double margin = 1e-6 * (i.high - i.low);
        assert_true(i.low < sum / predictions && sum / predictions < i.high);
        assert_true(accepted(list, n, i.low + margin) && !accepted(list, n, i.low - margin));
        assert_true(accepted(list, n, i.high - margin) && !accepted(list, n, i.high + margin));
    }
}

static void none_where_there_is_too_little(void **state) {
    group list[EM_INTERVAL_GROUPS];
    for (int i = 0; i < EM_INTERVAL_GROUPS; i++) list[i] = (group){i % 7, 10};
    em_grouped g = gather(list, EM_INTERVAL_GROUPS), few = gather(list, EM_INTERVAL_GROUPS - 1);
    assert_true(isfinite(em_grouped_interval(&g).low) && isfinite(em_grouped_interval(&g).high));
    assert_true(isnan(em_grouped_interval(&few).low) && isnan(em_grouped_interval(&few).high));
    list[3].predictions = 1e6; /* one document is all of it */
    g = gather(list, EM_INTERVAL_GROUPS);
    assert_true(isnan(em_grouped_interval(&g).low));
    list[3] = (group){NAN, 10};
    g = gather(list, EM_INTERVAL_GROUPS);
    assert_true(isnan(em_grouped_interval(&g).low));
    g = (em_grouped){0};
    assert_true(isnan(em_grouped_interval(&g).low));
}

static void equal_groups_have_no_width(void **state) {
    group list[200];
    for (int i = 0; i < 200; i++) list[i] = (group){0, 5 + i};
    em_grouped g = gather(list, 200);
    assert_true(em_grouped_interval(&g).low == 0 && em_grouped_interval(&g).high == 0);
}

/* ---- coverage ---- */

static int read_documents(const char *name, int columns, double (*out)[4]) {
    char path[512];
    int n = 0;
    snprintf(path, sizeof path, EM_TEST_DATA "/common/documents/%s.txt", name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fscanf(f, "%lf", &out[n][0]) == 1) {
        for (int c = 1; c <= columns; c++) assert_int_equal(fscanf(f, "%lf", &out[n][c]), 1);
        assert_true(++n < MOST);
    }
    fclose(f);
    return n;
}

/* The share of draws of n documents, with replacement, whose interval holds the mean of all. */
static double coverage(const group *pool, int size, int n, int draws) {
    double sum = 0, predictions = 0;
    int held = 0;
    for (int i = 0; i < size; i++) sum += pool[i].sum, predictions += pool[i].predictions;
    for (int k = 0; k < draws; k++) {
        em_grouped g = {0};
        for (int i = 0; i < n; i++) {
            const group *x = &pool[below(size)];
            em_grouped_add(&g, x->sum, (int64_t)x->predictions);
        }
        em_interval i = em_grouped_interval(&g);
        if (isnan(i.low)) k--; /* none is printed */
        else held += i.low <= sum / predictions && sum / predictions <= i.high;
    }
    return (double)held / draws;
}

/* minus: the side that a difference is to; 0: a loss. */
static void coverage_of(const char *name, int columns, int side, int minus) {
    static double documents[MOST][4];
    static group pool[MOST];
    int size = read_documents(name, columns, documents);
    for (int i = 0; i < size; i++)
        pool[i] = (group){documents[i][side] - (minus ? documents[i][minus] : 0), documents[i][0]};
    for (int n = EM_INTERVAL_GROUPS; n <= 4 * EM_INTERVAL_GROUPS; n *= 2) {
        double share = coverage(pool, size, n, 6000);
        printf("%s %d-%d, %d documents: %.1f %%\n", name, side, minus, n, 100 * share);
        assert_true(share >= 0.93 && share <= 0.97);
    }
}

static void holds_what_it_says(void **state) {
    coverage_of("tinystories", 2, 1, 0);
    coverage_of("tinystories", 2, 2, 1);
    coverage_of("sample", 3, 1, 0);
    coverage_of("sample", 3, 2, 1);
    coverage_of("sample", 3, 3, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(student_points),
                                       cmocka_unit_test(ends_are_where_the_tests_begin_to_reject),
                                       cmocka_unit_test(none_where_there_is_too_little),
                                       cmocka_unit_test(equal_groups_have_no_width),
                                       cmocka_unit_test(holds_what_it_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
