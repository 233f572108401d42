/* How every label scheme reads a row: inputs, scored positions, which token is the label. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "eval/protocol/labels.h"

enum { NEXT = EM_WINDOW_NEXT, INSIDE = EM_WINDOW_INSIDE, T = 512 };

/* tokens, window: of the row; then what is expected of the scheme. */
typedef struct expectation {
    const char *scheme;
    int window_mode;
    int32_t tokens, window, inputs, from, to;
    bool complete;
} expectation;

static const expectation table[] = {
    /* a row in the middle of the stream: the token after it is there */
    {"unshifted", NEXT, T, T + 1, T, 0, T - 1, true},
    {"unshifted", INSIDE, T, T + 1, T, 0, T - 1, true},
    {"shifted", NEXT, T, T + 1, T, 0, T - 1, true},
    {"shifted", INSIDE, T, T + 1, T - 1, 0, T - 2, true},
    {"raw-shifted", NEXT, T, T + 1, T, 0, T, true},
    {"raw-shifted", INSIDE, T, T + 1, T - 1, 0, T - 1, true},
    {"raw-unshifted", NEXT, T, T + 1, T, 0, T, true},
    {"raw-unshifted", INSIDE, T, T + 1, T, 0, T, true},
    {"backward", NEXT, T, T + 1, T, 1, T, true},
    {"backward", INSIDE, T, T + 1, T, 1, T, true},
    /* the stream ends with the row: where the caller shifts, its window is short by one */
    {"unshifted", NEXT, T, T, T, 0, T - 1, true},
    {"shifted", NEXT, T, T, T - 1, 0, T - 2, false},
    {"shifted", INSIDE, T, T, T - 1, 0, T - 2, true},
    {"raw-shifted", NEXT, T, T, T - 1, 0, T - 1, false},
    {"raw-shifted", INSIDE, T, T, T - 1, 0, T - 1, true},
    {"raw-unshifted", NEXT, T, T, T, 0, T, true},
    {"backward", NEXT, T, T, T, 1, T, true},
    /* a short last row of 100 tokens */
    {"unshifted", NEXT, 100, 100, 100, 0, 99, false},
    {"shifted", NEXT, 100, 100, 99, 0, 98, false},
    {"shifted", INSIDE, 100, 100, 99, 0, 98, false},
    {"raw-shifted", NEXT, 100, 100, 99, 0, 99, false},
    {"raw-shifted", INSIDE, 100, 100, 99, 0, 99, false},
    {"raw-unshifted", NEXT, 100, 100, 100, 0, 100, false},
    {"backward", NEXT, 100, 100, 100, 1, 100, false},
    /* two tokens, one token */
    {"unshifted", NEXT, 2, 2, 2, 0, 1, false},
    {"shifted", NEXT, 2, 2, 1, 0, 0, false},
    {"raw-shifted", NEXT, 2, 2, 1, 0, 1, false},
    {"backward", NEXT, 2, 2, 2, 1, 2, false},
    {"unshifted", NEXT, 1, 1, 1, 0, 0, false},
    {"shifted", NEXT, 1, 1, 0, 0, 0, false},
    {"raw-shifted", INSIDE, 1, 1, 0, 0, 0, false},
    {"raw-unshifted", NEXT, 1, 1, 1, 0, 1, false},
    {"backward", NEXT, 1, 1, 1, 1, 1, false},
};

static em_reading read_row(const expectation *e, em_pack_mode pack,
                           const em_label_scheme **scheme) {
    em_error err = EM_ERROR_INIT;
    em_row row = {.tokens = e->tokens, .window = e->window, .scored_to = T};
    *scheme = em_labels_parse(e->scheme, &err);
    assert_non_null(*scheme);
    return em_labels_read(
        *scheme,
        &(em_row_rules){.window = (em_window_mode)e->window_mode, .pack = pack, .row_tokens = T},
        &row);
}

static void rows_are_read_as_the_design_says(void **unused) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const expectation *e = &table[i];
        const em_label_scheme *s;
        em_reading r = read_row(e, EM_PACK_STREAM, &s);
        if (r.inputs != e->inputs || r.from != e->from || r.to != e->to ||
            r.complete != e->complete)
            fail_msg("case %zu (%s): %d inputs, [%d, %d), complete %d", i, e->scheme, r.inputs,
                     r.from, r.to, r.complete);
    }
}

static void every_label_lies_in_the_window(void **unused) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const em_label_scheme *s;
        em_reading r = read_row(&table[i], EM_PACK_STREAM, &s);
        int32_t last = table[i].window_mode == INSIDE && s->caller_shifts ? table[i].tokens
                                                                          : table[i].window;
        for (int32_t p = r.from; p < r.to; p++) {
            assert_in_range(p, 0, r.inputs - 1);
            assert_true(p + s->offset >= 0 && p + s->offset < last);
        }
    }
}

static void a_document_by_itself_is_complete(void **unused) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const em_label_scheme *s;
        assert_true(read_row(&table[i], EM_PACK_NONE, &s).complete);
    }
}

static void scored_range_bounds_the_predictions(void **unused) {
    em_error err = EM_ERROR_INIT;
    em_row row = {.tokens = 64, .window = 65, .scored_from = 48, .scored_to = 64};
    em_row_rules rules = {.row_tokens = 64};
    em_reading r = em_labels_read(em_labels_parse("unshifted", &err), &rules, &row);
    assert_int_equal(r.inputs, 64);
    assert_int_equal(r.from, 48);
    assert_int_equal(r.to, 63);
    row.scored_from = 10;
    row.scored_to = 20;
    r = em_labels_read(em_labels_parse("backward", &err), &rules, &row);
    assert_int_equal(r.from, 10);
    assert_int_equal(r.to, 20);
}

/* Every stream position that some row can score is scored once, by the first row that can. */
static void overlapping_rows_score_each_once(void **unused) {
    enum { N = 40 };
    int n_schemes;
    const em_label_scheme *schemes = em_label_schemes(&n_schemes);
    for (int32_t t = 2; t < 14; t++)
        for (int32_t stride = 1; stride <= t; stride++)
            for (int k = 0; k < 2 * n_schemes; k++) {
                em_row_rules rules = {.window = (em_window_mode)(k % 2), .row_tokens = t};
                bool scored[N] = {false};
                for (int32_t at = 0; at == 0 || at - stride + t < N; at += stride) {
                    int32_t left = N - at, tokens = left < t ? left : t;
                    em_row row = {.tokens = tokens,
                                  .window = left > tokens ? tokens + 1 : tokens,
                                  .scored_to = t};
                    em_reading whole = em_labels_read(&schemes[k / 2], &rules, &row);
                    row.overlap = at ? t - stride : 0;
                    em_reading r = em_labels_read(&schemes[k / 2], &rules, &row);
                    for (int32_t i = whole.from; i < whole.to; i++) {
                        bool counts = i >= r.from && i < r.to;
                        assert_int_equal(counts, !scored[at + i]);
                        scored[at + i] = true;
                    }
                }
            }
}

static void score_rules_bound_the_predictions(void **unused) {
    em_error err = EM_ERROR_INIT;
    const em_label_scheme *s = em_labels_parse("unshifted", &err);
    em_row row = {.tokens = 64, .window = 65, .scored_to = 64};
    em_row_rules rules = {.row_tokens = 64, .score = {.kind = EM_SCORE_HALF}};
    em_reading r = em_labels_read(s, &rules, &row);
    assert_true(r.from == 32 && r.to == 63);
    rules.score = (em_score_rule){.kind = EM_SCORE_LAST, .last = 10};
    r = em_labels_read(s, &rules, &row);
    assert_true(r.from == 53 && r.to == 63);
    rules.score.last = 100;
    r = em_labels_read(s, &rules, &row);
    assert_true(r.from == 0 && r.to == 63);
    row.tokens = row.window = 20;
    rules.score.kind = EM_SCORE_HALF;
    r = em_labels_read(s, &rules, &row);
    assert_true(r.from == r.to); /* a row that ends before T/2 */
}

static void schemes_are_what_they_say(void **unused) {
    static const struct {
        const char *name;
        bool caller, library;
        int offset;
    } want[] = {{"unshifted", false, true, 1},
                {"shifted", true, true, 2},
                {"raw-shifted", true, false, 1},
                {"raw-unshifted", false, false, 0},
                {"backward", false, true, -1}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        em_error err = EM_ERROR_INIT;
        const em_label_scheme *s = em_labels_parse(want[i].name, &err);
        assert_non_null(s);
        assert_int_equal(s->caller_shifts, want[i].caller);
        assert_int_equal(s->offset, want[i].offset);
        if (s->offset >= 0) {
            assert_int_equal(s->library_shifts, want[i].library);
            assert_int_equal(s->offset,
                             want[i].caller +
                                 want[i].library); /* each shift moves the label by one */
        }
    }
    int n;
    em_label_schemes(&n);
    assert_int_equal(n, sizeof want / sizeof *want);
}

/* docs/protocol.md has a line for each, in the table's order. */
static void the_documentation_has_the_table(void **unused) {
    static char text[1 << 16];
    int n;
    const em_label_scheme *schemes = em_label_schemes(&n);
    FILE *f = fopen(EM_TEST_DATA "/../docs/protocol.md", "r");
    assert_non_null(f);
    size_t bytes = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    assert_in_range(bytes, 1, sizeof text - 2);
    const char *at = strstr(text, "## Labels");
    for (int i = 0; i < n; i++) {
        char line[128], offset[16];
        const em_label_scheme *s = &schemes[i];
        snprintf(offset, sizeof offset, s->offset ? "%+d" : "%d", s->offset);
        if (s->offset < 0)
            snprintf(line, sizeof line, "| `%s` | | | %s | T-1 |\n", s->name, offset);
        else
            snprintf(line, sizeof line, "| `%s` | %s | %s | %s | %s |\n", s->name,
                     s->caller_shifts ? "yes" : "no", s->library_shifts ? "yes" : "no", offset,
                     s->library_shifts ? "T-1" : "T");
        if (!at || !(at = strstr(at, line))) fail_msg("docs/protocol.md lacks: %s", line);
    }
}

static void an_unknown_scheme_is_refused_with_the_list(void **unused) {
    em_error err = EM_ERROR_INIT;
    assert_null(em_labels_parse("double", &err));
    assert_int_equal(err.status, EM_USAGE);
    int n;
    const em_label_scheme *schemes = em_label_schemes(&n);
    for (int i = 0; i < n; i++) assert_non_null(strstr(err.text, schemes[i].name));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_read_as_the_design_says),
        cmocka_unit_test(every_label_lies_in_the_window),
        cmocka_unit_test(a_document_by_itself_is_complete),
        cmocka_unit_test(scored_range_bounds_the_predictions),
        cmocka_unit_test(overlapping_rows_score_each_once),
        cmocka_unit_test(score_rules_bound_the_predictions),
        cmocka_unit_test(schemes_are_what_they_say),
        cmocka_unit_test(the_documentation_has_the_table),
        cmocka_unit_test(an_unknown_scheme_is_refused_with_the_list)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
