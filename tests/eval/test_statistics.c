/* The figures of design §4 against their definitions, worked out the long way from a list of
 * random predictions. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "eval/statistics/statistics.h"
#include "figures.h"

enum { ROWS = 57, ROW = 31, BATCH = 4, N = ROWS * ROW };

typedef struct item {
    em_prediction p;
    int row;
} item;

static item items[N];
static int n_items;

static uint64_t seed = 1;

/* Documents of random lengths in rows; some predictions are missing, as under --boundary drop. */
static void make_items(void) {
    int64_t document = 0, place = 0, length = 1 + random_below(&seed, 90);
    n_items = 0;
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < ROW; i++) {
            em_prediction p = {.nll = random_below(&seed, 1000000) / 1e5,
                               .correct = random_below(&seed, 4) == 0,
                               .boundary = place == 0,
                               .added = place == length - 1,
                               .leak = (em_leak)random_below(&seed, 3),
                               .bytes = place == length - 1 ? 0 : 1 + random_below(&seed, 6),
                               .group = (int32_t)(document % 3),
                               .document = document,
                               .place = place};
            if (random_below(&seed, 5)) items[n_items++] = (item){p, r};
            if (++place == length) document++, place = 0, length = 1 + random_below(&seed, 90);
        }
}

static bool row_state(void *row, em_state *io) { return em_row_sums_state(row, io); }
static bool statistics_state(void *s, em_state *io) { return em_statistics_state(s, io); }

/* Adds the items of row r from *k on, as another process would have counted them. */
static void add_row(em_statistics *s, int r, int *k) {
    em_error err = EM_ERROR_INIT;
    em_row_sums made = {0}, row = {0};
    for (; *k < n_items && items[*k].row == r; (*k)++)
        assert_true(em_row_sums_add(&made, &items[*k].p, &err));
    pass_on(&made, &row, row_state);
    assert_true(em_statistics_row(s, &row, &err));
    em_row_sums_free(&made);
    em_row_sums_free(&row);
}

static const char *group_name(const void *data, int32_t g) {
    return ((const char *const *)data)[g];
}
static const char *const names[] = {"c", "a", "b"};

/* Saves s and goes on with another that is restored from the bytes. */
static em_statistics *moved(em_statistics *s, bool rows) {
    em_error err = EM_ERROR_INIT;
    em_statistics *other = em_statistics_new(rows, &err);
    size_t n;
    assert_non_null(em_statistics_documents(s, 0, &n, &err));
    em_statistics_documents_taken(s);
    pass_on(s, other, statistics_state);
    em_statistics_free(s);
    return other;
}

/* move: before which row, -1: never. */
static em_result figures_moved(bool rows, int move) {
    em_error err = EM_ERROR_INIT;
    em_statistics *s = em_statistics_new(rows, &err);
    em_result out = {0};
    int k = 0;
    for (int r = 0; r < ROWS; r++) {
        if (r == move) s = moved(s, rows);
        add_row(s, r, &k);
        if (r % BATCH == BATCH - 1) em_statistics_end_batch(s);
    }
    assert_true(em_statistics_finish(s, &out, group_name, names, &err));
    em_statistics_free(s);
    return out;
}

static em_result figures(bool rows) { return figures_moved(rows, -1); }

static void free_result(em_result *r) {
    free_slices(r->subsets, r->n_subsets);
    free(r->by_position);
}

static void close_to(double a, double b) { close_within(a, b, 1e-11); }

static void means(void **state) {
    make_items();
    em_result r = figures(false);
    double all = 0, inside = 0, text = 0, batch_means = 0, document_means = 0;
    int64_t n_inside = 0, bytes = 0, correct = 0, documents = 0, batches = 0;
    for (int i = 0; i < n_items; i++) {
        const em_prediction *p = &items[i].p;
        all += p->nll;
        correct += p->correct;
        if (!p->boundary) inside += p->nll, n_inside++;
        if (!p->added) text += p->nll, bytes += p->bytes;
    }
    for (int b = 0; b * BATCH < ROWS; b++) {
        double sum = 0;
        int n = 0;
        for (int i = 0; i < n_items; i++)
            if (items[i].row / BATCH == b) sum += items[i].p.nll, n++;
        if (n) batch_means += sum / n, batches++;
    }
    for (int64_t d = 0; d <= items[n_items - 1].p.document; d++) {
        double sum = 0;
        int n = 0;
        for (int i = 0; i < n_items; i++)
            if (items[i].p.document == d) sum += items[i].p.nll, n++;
        if (n) document_means += sum / n, documents++;
    }
    assert_int_equal(r.predictions, n_items);
    assert_int_equal(r.boundary_predictions, n_items - n_inside);
    assert_int_equal(r.documents, documents);
    assert_int_equal(r.batches, batches);
    close_to(r.loss, all / n_items);
    close_to(r.loss_batch_mean, batch_means / (double)batches);
    close_to(r.loss_doc_mean, document_means / (double)documents);
    close_to(r.loss_no_boundary, inside / (double)n_inside);
    close_to(r.perplexity, exp(all / n_items));
    close_to(r.bits_per_byte, text / (M_LN2 * (double)bytes));
    close_to(r.bits_per_byte_all, all / (M_LN2 * (double)bytes));
    close_to(r.top1, (double)correct / n_items);
    free_result(&r);
}

static void standard_errors(void **state) {
    static grouped_value list[N];
    make_items();
    for (int rows = 0; rows < 2; rows++) {
        int64_t groups;
        em_result r = figures(rows);
        for (int i = 0; i < n_items; i++)
            list[i] = (grouped_value){items[i].p.nll, rows ? items[i].row : items[i].p.document};
        close_to(r.stderr_, naive_stderr(list, n_items, ROWS + N, &groups));
        assert_int_equal(r.groups, groups);
        free_result(&r);
    }
}

static void one_group_has_no_standard_error(void **state) {
    em_error err = EM_ERROR_INIT;
    em_statistics *s = em_statistics_new(false, &err);
    em_row_sums row = {0};
    em_result r = {0};
    assert_true(em_row_sums_add(&row, &(em_prediction){.nll = 2, .bytes = 0}, &err) &&
                em_statistics_row(s, &row, &err));
    em_row_sums_free(&row);
    assert_true(em_statistics_finish(s, &r, group_name, names, &err));
    assert_true(isnan(r.stderr_) && isnan(r.bits_per_byte));
    assert_int_equal(r.groups, 1);
    em_statistics_free(s);
    free_result(&r);
}

static void slices_sum_to_the_whole(void **state) {
    make_items();
    em_result r = figures(false);
    double subsets = 0, positions = 0;
    int64_t n = 0, m = 0, documents = 0;
    assert_int_equal(r.n_subsets, 3);
    assert_string_equal(r.subsets[0].name, "a");
    for (int i = 0; i < r.n_subsets; i++) {
        subsets += r.subsets[i].nll;
        n += r.subsets[i].predictions;
        documents += r.subsets[i].documents;
    }
    for (int i = 0; i < r.n_by_position; i++) {
        positions += r.by_position[i].nll;
        m += r.by_position[i].predictions;
    }
    assert_int_equal(n, r.predictions);
    assert_int_equal(m, r.predictions);
    assert_int_equal(documents, r.documents);
    close_to(subsets, r.loss * (double)r.predictions);
    close_to(positions, r.loss * (double)r.predictions);
    close_to(r.clean.nll + r.direct.nll + r.indirect.nll, r.loss * (double)r.predictions);
    assert_true(r.leak);
    assert_true(r.by_position[0].from == 0 && r.by_position[0].to == 1 &&
                r.by_position[2].from == 2 && r.by_position[2].to == 4);
    free_result(&r);
}

static void document_sums_come_once(void **state) {
    em_error err = EM_ERROR_INIT;
    make_items();
    em_statistics *s = em_statistics_new(false, &err);
    int64_t next = 0, n_seen = 0;
    double total = 0;
    for (int r = 0, k = 0; r <= ROWS; r++) {
        size_t n;
        add_row(s, r, &k);
        const em_document_sum *sums = em_statistics_documents(s,
                                                              r == ROWS     ? INT64_MAX
                                                              : k < n_items ? items[k].p.document
                                                                            : 0,
                                                              &n, &err);
        for (size_t i = 0; i < n; i++) {
            assert_true(sums[i].document >= next);
            next = sums[i].document + 1;
            n_seen += sums[i].predictions;
            total += sums[i].nll;
        }
        em_statistics_documents_taken(s);
    }
    em_result x = {0};
    assert_true(em_statistics_finish(s, &x, group_name, names, &err));
    assert_int_equal(n_seen, n_items);
    close_to(total, x.loss * n_items);
    em_statistics_free(s);
    free_result(&x);
}

static void saved_and_restored_anywhere_gives_the_same_bits(void **state) {
    make_items();
    for (int rows = 0; rows < 2; rows++) {
        em_result whole = figures(rows);
        for (int move = 0; move < ROWS; move++) {
            em_result x = figures_moved(rows, move), bare = whole;
            same_slices(whole.subsets, whole.n_subsets, x.subsets, x.n_subsets);
            same_slices(whole.by_position, whole.n_by_position, x.by_position, x.n_by_position);
            free_result(&x);
            x.subsets = x.by_position = bare.subsets = bare.by_position = NULL;
            assert_memory_equal(&x, &bare, sizeof x);
        }
        free_result(&whole);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means),
        cmocka_unit_test(standard_errors),
        cmocka_unit_test(one_group_has_no_standard_error),
        cmocka_unit_test(slices_sum_to_the_whole),
        cmocka_unit_test(document_sums_come_once),
        cmocka_unit_test(saved_and_restored_anywhere_gives_the_same_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
