/* Paired differences against their definitions, intervals, KL quantiles, alphas. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/interval.h"
#include "eval/settings/alphas.h"
#include "eval/statistics/compare.h"
#include "figures.h"

enum { ROWS = 150, ROW = 50, N = ROWS * ROW };

static em_paired items[N];
static uint64_t seed = 7;

static double uniform(void) { return random_uniform(&seed); }

static void make_items(double shift) {
    int64_t document = 0, place = 0, length = 20;
    for (int i = 0; i < N; i++) {
        double before = 8 * uniform();
        items[i] = (em_paired){.before = before,
                               .after = before + shift + 0.5 * (uniform() - 0.5),
                               .same_top1 = uniform() < 0.75,
                               .has_kl = true,
                               .kl = exp(10 * uniform() - 9),
                               .boundary = place == 0,
                               .group = (int32_t)(document % 2),
                               .document = document,
                               .place = place};
        if (++place == length) document++, place = 0, length = 1 + (int64_t)(60 * uniform());
    }
}

static bool row_state(void *row, em_state *io) { return em_row_paired_state(row, io); }
static bool comparator_state(void *c, em_state *io) { return em_comparator_state(c, io); }

/* Adds n predictions as a row, as another process would have counted them. */
static void add_row(em_comparator *c, const em_paired *list, int n) {
    em_error err = EM_ERROR_INIT;
    em_row_paired made = {0}, row = {0};
    em_row_paired_clear(&made);
    em_row_paired_clear(&row);
    for (int i = 0; i < n; i++) assert_true(em_row_paired_add(&made, &list[i], &err));
    pass_on(&made, &row, row_state);
    assert_true(em_comparator_row(c, &row, &err));
    em_row_paired_free(&made);
    em_row_paired_free(&row);
}

static const char *group_name(const void *data, int32_t g) { return g ? "b" : "a"; }

/* Saves c and goes on with another that is restored from the bytes. */
static em_comparator *moved(em_comparator *c, const em_comparator_options *o) {
    em_error err = EM_ERROR_INIT;
    em_comparator *other = em_comparator_new(o, &err);
    pass_on(c, other, comparator_state);
    em_comparator_free(c);
    return other;
}

/* move: before which row, -1: never. */
static em_comparison figures_moved(const em_comparator_options *o, int move) {
    em_error err = EM_ERROR_INIT;
    em_comparison out = {0};
    em_comparator *c = em_comparator_new(o, &err);
    for (int r = 0; r < ROWS; r++) {
        if (r == move) c = moved(c, o);
        add_row(c, items + r * ROW, ROW);
    }
    assert_true(em_comparator_finish(c, NULL, &out, group_name, NULL, &err));
    em_comparator_free(c);
    return out;
}

/* The first so many rows, all of whose predictions are scored at every length. */
static em_comparator *with_common_rows(int rows) {
    em_error err = EM_ERROR_INIT;
    em_comparator *c = em_comparator_new(&(em_comparator_options){.has_common = true}, &err);
    for (int i = 0; i < N; i++) items[i].common = true, items[i].stretch = i / ROW;
    for (int r = 0; r < rows; r++) add_row(c, items + r * ROW, ROW);
    return c;
}

static em_comparison figures(bool rows) {
    return figures_moved(&(em_comparator_options){.groups_are_rows = rows}, -1);
}

static void free_figures(em_comparison *x) {
    free_slices(x->subsets, x->n_subsets);
    free(x->by_position);
}

static void close_to(double a, double b) { close_within(a, b, 1e-10); }

/* Of all differences, over documents or rows. */
static double stderr_of_all(bool rows) {
    static grouped_value list[N];
    int64_t groups;
    for (int i = 0; i < N; i++)
        list[i] = (grouped_value){items[i].after - items[i].before,
                                  rows ? i / ROW : items[i].document};
    return naive_stderr(list, N, ROWS + N, &groups);
}

/* Growth is between the same predictions, or not told: an interrupted run has fewer of its last
 * length. */
static void growth(void **state) {
    make_items(0.02);
    for (int rows = ROWS - 1; rows <= ROWS; rows++) {
        em_error err = EM_ERROR_INIT;
        em_comparison a = {0}, b = {0};
        em_comparator *shortest = with_common_rows(ROWS), *c = with_common_rows(rows);
        assert_true(em_comparator_finish(shortest, NULL, &a, group_name, NULL, &err));
        assert_true(em_comparator_finish(c, shortest, &b, group_name, NULL, &err));
        assert_true(isnan(a.growth));
        if (rows == ROWS) assert_true(b.growth == 0 && b.growth_low == 0 && b.growth_high == 0);
        else assert_true(isnan(b.growth) && isnan(b.growth_low) && isnan(b.growth_high));
        free_figures(&a);
        free_figures(&b);
        em_comparator_free(shortest);
        em_comparator_free(c);
    }
}

static void differences(void **state) {
    make_items(0.02);
    for (int rows = 0; rows < 2; rows++) {
        em_comparison x = figures(rows);
        double sum = 0, change = 0, squares = 0, better = 0, same = 0, subsets = 0, positions = 0;
        for (int i = 0; i < N; i++) {
            double p = exp(-items[i].after) - exp(-items[i].before);
            sum += items[i].after - items[i].before;
            change += p;
            squares += p * p;
            better += items[i].after < items[i].before;
            same += items[i].same_top1;
        }
        close_to(x.all.difference, sum / N);
        close_to(x.all.stderr_, stderr_of_all(rows));
        close_to(x.perplexity_ratio, exp(sum / N));
        close_to(x.better, better / N);
        close_to(x.same_top1, same / N);
        close_to(x.probability_change, change / N);
        close_to(x.probability_change_rms, sqrt(squares / N));
        for (int i = 0; i < x.n_subsets; i++) subsets += x.subsets[i].nll;
        for (int i = 0; i < x.n_by_position; i++) positions += x.by_position[i].nll;
        close_to(subsets, sum);
        close_to(positions, sum);
        close_to(x.boundary.nll + x.inside.nll, sum);
        double z = 1.959963984540054 * x.all.stderr_ / x.all.difference;
        close_to(x.all.documents_to_resolve, ceil((double)(items[N - 1].document + 1) * z * z));
        free_figures(&x);
    }
}

/* The interval is near the normal one where there is enough, and none where there is not. */
static void intervals(void **state) {
    make_items(0.02);
    for (int rows = 0; rows < 2; rows++) {
        em_comparison x = figures(rows);
        assert_true(x.all.groups >= EM_INTERVAL_GROUPS);
        assert_true(fabs(x.all.low - x.all.difference + 1.96 * x.all.stderr_) <
                    0.3 * x.all.stderr_);
        assert_true(fabs(x.all.high - x.all.difference - 1.96 * x.all.stderr_) <
                    0.3 * x.all.stderr_);
        free_figures(&x);
    }
    em_error err = EM_ERROR_INIT;
    em_comparison few = {0};
    em_comparator *c = em_comparator_new(&(em_comparator_options){.groups_are_rows = true}, &err);
    for (int r = 0; r < EM_INTERVAL_GROUPS - 1; r++) add_row(c, items + r * ROW, ROW);
    assert_true(em_comparator_finish(c, NULL, &few, group_name, NULL, &err));
    assert_true(isfinite(few.all.stderr_) && isnan(few.all.low) && isnan(few.all.high));
    em_comparator_free(c);
    free_figures(&few);
}

/* The replicates' interval of growth is near that of the groups' own differences. */
static void growth_has_an_interval(void **state) {
    em_error err = EM_ERROR_INIT;
    em_comparison a = {0}, b = {0};
    em_grouped own = {0};
    make_items(0.02);
    em_comparator *shortest = with_common_rows(ROWS);
    double before[ROWS];
    for (int r = 0; r < ROWS; r++) {
        before[r] = 0;
        for (int i = 0; i < ROW; i++)
            before[r] += items[r * ROW + i].after - items[r * ROW + i].before;
    }
    for (int i = 0; i < N; i++) items[i].after += 0.01 + 0.2 * (uniform() - 0.5) * (i / ROW % 7);
    em_comparator *c = with_common_rows(ROWS);
    for (int r = 0; r < ROWS; r++) {
        double sum = -before[r];
        for (int i = 0; i < ROW; i++) sum += items[r * ROW + i].after - items[r * ROW + i].before;
        em_grouped_add(&own, sum, ROW);
    }
    assert_true(em_comparator_finish(shortest, NULL, &a, group_name, NULL, &err));
    assert_true(em_comparator_finish(c, shortest, &b, group_name, NULL, &err));
    em_interval i = em_grouped_interval(&own);
    assert_true(fabs(b.growth_low - i.low) < 0.15 * (i.high - i.low));
    assert_true(fabs(b.growth_high - i.high) < 0.15 * (i.high - i.low));
    assert_true(b.growth_low < b.growth && b.growth < b.growth_high);
    em_comparator_free(shortest);
    em_comparator_free(c);
    free_figures(&a);
    free_figures(&b);
}

/* Equal sides: no difference, no width, and no number of documents would resolve it. */
static void equal_sides(void **state) {
    make_items(0);
    for (int i = 0; i < N; i++) items[i].after = items[i].before;
    em_comparison x = figures(true);
    assert_true(x.all.difference == 0 && x.all.stderr_ == 0 && x.all.low == 0 && x.all.high == 0 &&
                x.better == 0);
    assert_false(isfinite(x.all.documents_to_resolve));
    free_figures(&x);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A quantile is at most one bin (2^(48/4096) = 0.8 %) above the exact one; the largest is exact. */
static void kl_quantiles(void **state) {
    static const double q[EM_KL_QUANTILES] = {0.5, 0.9, 0.99, 0.999};
    double sorted[N], sum = 0;
    make_items(0);
    for (int i = 0; i < N; i++) sum += sorted[i] = items[i].kl;
    qsort(sorted, N, sizeof *sorted, ascending);
    em_comparison x = figures(false);
    close_to(x.kl_mean, sum / N);
    assert_true(x.kl_max == sorted[N - 1]);
    for (int i = 0; i < EM_KL_QUANTILES; i++) {
        double exact = sorted[(int)ceil(q[i] * N) - 1];
        assert_true(x.kl_quantiles[i] >= exact &&
                    x.kl_quantiles[i] <= exact * exp2(48.0 / 4096) * (1 + 1e-12));
    }
    free_figures(&x);
}

static void alphas_parse(void **state) {
    static const struct {
        const char *text;
        int n;
        double values[16];
    } good[] = {
        {"-2:2:0.5,3", 10, {-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3}},
        {"0:1:0.1", 11, {0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1}},
        {"1,1.0,+1,-0,0", 2, {1, 0}},
        {"2:-1:-1", 4, {2, 1, 0, -1}},
        {"0.5:0.5:1", 1, {0.5}},
        {"0:1:0.3", 4, {0, 0.3, 0.6, 0.9}},
        {".5", 1, {0.5}},
        {"1e3,1E+3,1000", 1, {1000}},
        {"-25e-2,5.0000000000e-1", 2, {-0.25, 0.5}},
        {"1e-9,123456789e-9,0e400,1e6", 4, {1e-9, 0.123456789, 0, 1e6}},
        {"-1e0:1e0:5e-1", 5, {-1, -0.5, 0, 0.5, 1}},
    };
    static const char *const bad[] = {"",
                                      "1,",
                                      "a",
                                      "1e7",
                                      "1:2",
                                      "1:2:0",
                                      "1:2:-1",
                                      "1:2:3:4",
                                      "0:1:0.001",
                                      "1.0000000001",
                                      "99999999999",
                                      "--1",
                                      "-",
                                      "1e",
                                      "1e+",
                                      "e3",
                                      "1e-10",
                                      "1e3.5",
                                      "1e99999999999",
                                      "1ee3"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        em_error err = EM_ERROR_INIT;
        em_alphas a = {0};
        if (!em_alphas_parse(good[i].text, &a, &err)) fail_msg("%s: %s", good[i].text, err.text);
        assert_int_equal(a.n, good[i].n);
        assert_memory_equal(a.values, good[i].values, (size_t)a.n * sizeof *a.values);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        em_error err = EM_ERROR_INIT;
        em_alphas a = {0};
        if (em_alphas_parse(bad[i], &a, &err)) fail_msg("%s was accepted", bad[i]);
        assert_int_equal(err.status, EM_USAGE);
    }
}

static void saved_and_restored_anywhere_gives_the_same_bits(void **state) {
    make_items(0.02);
    for (int i = 0; i < N; i++) {
        items[i].effect = (em_effect)(i % 3);
        items[i].common = i % 4 != 0;
        items[i].stretch = i / 128;
    }
    for (int rows = 0; rows < 2; rows++) {
        em_comparator_options o = {
            .kind = EM_COMPARE_MASKS, .groups_are_rows = rows, .seed = 5, .has_common = true};
        em_comparison whole = figures_moved(&o, -1);
        for (int move = 0; move < ROWS; move++) {
            em_comparison x = figures_moved(&o, move), bare = whole;
            same_slices(whole.subsets, whole.n_subsets, x.subsets, x.n_subsets);
            same_slices(whole.by_position, whole.n_by_position, x.by_position, x.n_by_position);
            free_figures(&x);
            x.subsets = x.by_position = bare.subsets = bare.by_position = NULL;
            assert_memory_equal(&x, &bare, sizeof x);
        }
        free_figures(&whole);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(differences),
        cmocka_unit_test(growth),
        cmocka_unit_test(intervals),
        cmocka_unit_test(growth_has_an_interval),
        cmocka_unit_test(equal_sides),
        cmocka_unit_test(kl_quantiles),
        cmocka_unit_test(alphas_parse),
        cmocka_unit_test(saved_and_restored_anywhere_gives_the_same_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
