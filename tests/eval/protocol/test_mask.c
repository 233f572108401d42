/* Masks and positions against their rules restated pair by pair: does query i see key k? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/eval/protocol/masks.h"

enum { MOST = 40 };
static const int32_t parameters[] = {1, 5, 6, 7, 20, 64, 1000, INT32_MAX, 0};

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

static void check_row(const em_mask *m, const em_row *row, int32_t inputs) {
    const mask_rule *rule = mask_rule_of(m);
    int32_t lo[MOST], hi[MOST];
    em_mask_intervals(m, row, inputs, lo, hi);
    for (int32_t i = 0; i < inputs; i++) {
        assert_true(hi[i] <= lo[i] || (lo[i] >= 0 && hi[i] <= inputs));
        for (int32_t k = 0; k < inputs; k++) {
            int32_t own = document_of(row, i);
            place q = {.i = i,
                       .k = k,
                       .n = inputs,
                       .p = m->parameter,
                       .start = row->segments[own].start,
                       .same_document = own == document_of(row, k)};
            if ((k >= lo[i] && k < hi[i]) != rule->sees(q))
                fail_msg("%s, %d inputs: query %d, key %d", m->name, inputs, i, k);
        }
    }
}

static void check_mask(const em_mask *m) {
    static const int32_t cuts[][5] = {
        {31}, {10, 1, 12, 8}, {1, 1, 1, 28}, {30, 1}, {5, 5, 5, 5, 11}};
    for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++)
        for (int32_t inputs = 1; inputs <= 31; inputs += inputs < 29 ? 7 : 1) {
            em_segment segments[5];
            em_row row = make_row(cuts[c], 5, 31, segments);
            check_row(m, &row, inputs);
        }
}

static void every_mask_is_its_rule(void **unused) { every_mask(parameters, check_mask); }

static void every_rule_is_of_a_mask(void **unused) {
    int rules, kinds;
    mask_rules(&rules);
    em_mask_kinds(&kinds);
    assert_int_equal(rules, kinds);
}

/* Under a mask by document each sees what it would see in a row of its own, and only then. */
static void check_alone(const em_mask *m) {
    static const int32_t lengths[] = {9, 1, 12, 9};
    em_segment segments[4], whole;
    em_row row = make_row(lengths, 4, 31, segments);
    int32_t lo[MOST], hi[MOST], own_lo[MOST], own_hi[MOST];
    bool same = true;
    em_mask_intervals(m, &row, 31, lo, hi);
    for (int32_t g = 0; g < row.n_segments; g++) {
        int32_t s = segments[g].start, n = segments[g].end - s;
        em_row alone = make_row(&n, 1, n, &whole);
        em_mask_intervals(m, &alone, n, own_lo, own_hi);
        for (int32_t i = 0; i < n; i++)
            same &= lo[s + i] - s == own_lo[i] && hi[s + i] - s == own_hi[i];
    }
    if (em_mask_by_document(m) != same)
        fail_msg("%s: packed and alone are %s", m->name, same ? "the same" : "not the same");
}

static void packed_is_alone_by_document(void **unused) {
    every_mask((const int32_t[]){3, 5, 10, 0}, check_alone);
}

static void check_name(const em_mask *m) {
    em_error err = EM_ERROR_INIT;
    em_mask again;
    assert_true(em_mask_parse(m->name, &again, &err));
    assert_ptr_equal(again.kind, m->kind);
    assert_int_equal(again.parameter, m->parameter);
    assert_string_equal(again.name, m->name);
    assert_int_equal(em_mask_by_document(m), mask_rule_of(m)->by_document);
}

static void names_are_read_back(void **unused) { every_mask(parameters, check_name); }

/* docs/protocol.md has the table, a line each, in its order. */
static void the_documentation_has_the_table(void **unused) {
    static char text[1 << 16];
    int n;
    const em_mask_kind *kinds = em_mask_kinds(&n);
    em_buffer table = {0};
    FILE *f = fopen(EM_TEST_DATA "/../docs/protocol.md", "r");
    assert_non_null(f);
    size_t bytes = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    assert_in_range(bytes, 1, sizeof text - 2);
    em_buffer_puts(&table, "\n| mask | query i sees | positions | |\n|---|---|---|---|\n");
    for (const em_mask_kind *k = kinds; k < kinds + n; k++) {
        em_buffer_printf(&table, k->parameter ? "| `%s:%c` " : "| `%s` ", k->name, k->parameter);
        em_buffer_printf(&table, "| `%s` | %s | %s |\n", k->formula,
                         k->by_document ? "reset" : "continuous", k->words);
    }
    em_buffer_puts(&table, "\n");
    if (!strstr(text, table.data)) {
        fprintf(stderr, "%s", table.data);
        fail_msg("docs/protocol.md lacks that table of masks");
    }
    em_buffer_free(&table);
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

static void check_positions(const em_mask *m) {
    em_positions own = mask_rule_of(m)->by_document ? EM_POSITIONS_RESET : EM_POSITIONS_CONTINUOUS;
    assert_int_equal(em_positions_resolve(EM_POSITIONS_AUTO, m), own);
    assert_int_equal(em_positions_resolve(EM_POSITIONS_RESET, m), EM_POSITIONS_RESET);
    assert_int_equal(em_positions_resolve(EM_POSITIONS_CONTINUOUS, m), EM_POSITIONS_CONTINUOUS);
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
    every_mask(parameters, check_positions);
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
                                       cmocka_unit_test(every_rule_is_of_a_mask),
                                       cmocka_unit_test(packed_is_alone_by_document),
                                       cmocka_unit_test(names_are_read_back),
                                       cmocka_unit_test(the_documentation_has_the_table),
                                       cmocka_unit_test(layer_window_bounds_both_sides),
                                       cmocka_unit_test(positions_restart_or_run_on),
                                       cmocka_unit_test(a_continued_document_starts_at_zero),
                                       cmocka_unit_test(bad_masks_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
