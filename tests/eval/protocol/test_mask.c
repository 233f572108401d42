/* Masks and positions against their rules restated pair by pair: does query i see key k? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "eval/protocol/mask.h"

enum { MOST = 40 };

typedef struct place {
    int32_t i, k, n, p;
    bool same_document;
} place;

static bool causal(place q) { return q.k <= q.i; }
static bool regular(place q) { return causal(q); }
static bool doc(place q) { return causal(q) && q.same_document; }
static bool window(place q) { return causal(q) && q.i - q.k < q.p; }
static bool doc_window(place q) { return window(q) && q.same_document; }
static bool prefix(place q) { return causal(q) || q.k < q.p; }
static bool full(place q) { return true; }
static bool doc_full(place q) { return q.same_document; }
static bool backward(place q) { return q.k >= q.i; }
static bool doc_backward(place q) { return backward(q) && q.same_document; }

/* torch: tril(ones(M, M)).flip(0)[:n, :n]; row i of the flipped matrix is row M-1-i of the
 * triangle. */
static bool flip0(place q) {
    int32_t m = q.p ? q.p : q.n;
    return q.i < m && q.k < m && q.k <= m - 1 - q.i;
}

static const struct {
    const char *name;
    int32_t parameter;
    bool (*sees)(place);
    bool by_document;
} table[] = {
    {"regular", 0, regular, false},
    {"doc", 0, doc, true},
    {"window:1", 1, window, false},
    {"window:7", 7, window, false},
    {"window:1000", 1000, window, false},
    {"doc-window:1", 1, doc_window, true},
    {"doc-window:5", 5, doc_window, true},
    {"prefix:1", 1, prefix, false},
    {"prefix:6", 6, prefix, false},
    {"prefix:1000", 1000, prefix, false},
    {"full", 0, full, false},
    {"doc-full", 0, doc_full, true},
    {"backward", 0, backward, false},
    {"doc-backward", 0, doc_backward, true},
    {"flip0", 0, flip0, false},
    {"flip0:20", 20, flip0, false},
    {"flip0:64", 64, flip0, false},
    {"flip0:5", 5, flip0, false},
};

/* Documents of these lengths, the last one cut at the row's end. */
static em_row make_row(const int32_t *lengths, int32_t n_lengths, int32_t window_tokens,
                       em_segment *segments) {
    em_row row = {.tokens = window_tokens, .window = window_tokens, .segments = segments};
    for (int32_t at = 0; row.n_segments < n_lengths && at < window_tokens; row.n_segments++) {
        int32_t end = at + lengths[row.n_segments];
        if (end > window_tokens) end = window_tokens;
        segments[row.n_segments] =
            (em_segment){.start = at, .end = end, .document = row.n_segments};
        at = end;
    }
    return row;
}

static int32_t document_of(const em_row *row, int32_t i) {
    int32_t g = 0;
    while (row->segments[g].end <= i) g++;
    return g;
}

static void check_row(size_t m, const em_row *row, int32_t inputs) {
    em_error err = EM_ERROR_INIT;
    em_mask mask;
    int32_t lo[MOST], hi[MOST];
    assert_true(em_mask_parse(table[m].name, &mask, &err));
    assert_string_equal(mask.name, table[m].name);
    assert_int_equal(em_mask_by_document(&mask), table[m].by_document);
    em_mask_intervals(&mask, row, inputs, lo, hi);
    for (int32_t i = 0; i < inputs; i++) {
        assert_true(hi[i] <= lo[i] || (lo[i] >= 0 && hi[i] <= inputs));
        for (int32_t k = 0; k < inputs; k++) {
            place q = {i, k, inputs, table[m].parameter,
                       document_of(row, i) == document_of(row, k)};
            if ((k >= lo[i] && k < hi[i]) != table[m].sees(q))
                fail_msg("%s, %d inputs: query %d, key %d", table[m].name, inputs, i, k);
        }
    }
}

static void every_mask_is_its_rule(void **unused) {
    static const int32_t cuts[][5] = {
        {31}, {10, 1, 12, 8}, {1, 1, 1, 28}, {30, 1}, {5, 5, 5, 5, 11}};
    for (size_t m = 0; m < sizeof table / sizeof *table; m++)
        for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++)
            for (int32_t inputs = 1; inputs <= 31; inputs += inputs < 29 ? 7 : 1) {
                em_segment segments[5];
                em_row row = make_row(cuts[c], 5, 31, segments);
                check_row(m, &row, inputs);
            }
}

static void layer_window_bounds_both_sides(void **unused) {
    for (int32_t i = 0; i < 20; i++)
        for (int32_t w = 0; w < 6; w++) {
            int32_t lo = 0, hi = 20;
            em_mask_clip(i, w, &lo, &hi);
            for (int32_t k = 0; k < 20; k++) {
                int32_t distance = i < k ? k - i : i - k;
                assert_int_equal(k >= lo && k < hi, w == 0 || distance < w);
            }
        }
}

static void positions_restart_or_run_on(void **unused) {
    static const int32_t lengths[] = {3, 1, 4};
    static const int32_t want[2][7] = {{0, 1, 2, 3, 4, 5, 6}, {0, 1, 2, 0, 0, 1, 2}};
    em_segment segments[3];
    em_row row = make_row(lengths, 3, 8, segments);
    int32_t got[7];
    em_positions_fill(EM_POSITIONS_CONTINUOUS, &row, 7, got);
    assert_memory_equal(got, want[0], sizeof got);
    em_positions_fill(EM_POSITIONS_RESET, &row, 7, got);
    assert_memory_equal(got, want[1], sizeof got);
    for (size_t m = 0; m < sizeof table / sizeof *table; m++) {
        em_error err = EM_ERROR_INIT;
        em_mask mask;
        assert_true(em_mask_parse(table[m].name, &mask, &err));
        em_positions want_auto = table[m].by_document ? EM_POSITIONS_RESET
                                                      : EM_POSITIONS_CONTINUOUS;
        assert_int_equal(em_positions_resolve(EM_POSITIONS_AUTO, &mask), want_auto);
        assert_int_equal(em_positions_resolve(EM_POSITIONS_RESET, &mask), EM_POSITIONS_RESET);
        assert_int_equal(em_positions_resolve(EM_POSITIONS_CONTINUOUS, &mask),
                         EM_POSITIONS_CONTINUOUS);
    }
}

/* A document that goes on from the row before starts again at 0: place plays no part. */
static void a_continued_document_starts_at_zero(void **unused) {
    em_segment segments[] = {{.start = 0, .end = 2, .place = 500}, {.start = 2, .end = 4}};
    em_row row = {.tokens = 4, .window = 4, .segments = segments, .n_segments = 2};
    int32_t got[4];
    static const int32_t want[] = {0, 1, 0, 1};
    em_positions_fill(EM_POSITIONS_RESET, &row, 4, got);
    assert_memory_equal(got, want, sizeof got);
}

static void bad_masks_are_refused(void **unused) {
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"window", "window:W"},         {"prefix", "prefix:N"},
        {"doc-window", "doc-window:W"}, {"window:", "at least 1"},
        {"window:0", "at least 1"},     {"window:-3", "at least 1"},
        {"window:3x", "at least 1"},    {"window: 3", "at least 1"},
        {"flip0:0", "at least 1"},      {"prefix:99999999999", "at least 1"},
        {"doc:3", "takes no number"},   {"full:1", "takes no number"},
        {"causal", "no such mask"},     {"", "no such mask"},
        {"Doc", "no such mask"},        {"docs", "no such mask"},
        {"do", "no such mask"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        em_error err = EM_ERROR_INIT;
        em_mask mask;
        assert_false(em_mask_parse(bad[i].text, &mask, &err));
        assert_int_equal(err.status, EM_USAGE);
        if (!strstr(err.text, bad[i].says))
            fail_msg("--mask %s: \"%s\" does not say \"%s\"", bad[i].text, err.text, bad[i].says);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_mask_is_its_rule),
                                       cmocka_unit_test(layer_window_bounds_both_sides),
                                       cmocka_unit_test(positions_restart_or_run_on),
                                       cmocka_unit_test(a_continued_document_starts_at_zero),
                                       cmocka_unit_test(bad_masks_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
