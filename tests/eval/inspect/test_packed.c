/* Rows that somebody else packed: what tells their documents, what is padding, and the name of
 * their mask, which must be that of the mask that made them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "eval/inspect/packed_count.h"
#include "tests/eval/protocol/masks.h"

enum { EOS = 2, BOS = 1, PAD = 0 };
static const em_packed_ids plain = {EOS, -1, -1};

typedef struct case_row {
    em_packed_row row;
    em_packed_view view;
} case_row;

static void read_row(case_row *c, const char *line, em_packed_ids ids) {
    em_error err = EM_ERROR_INIT;
    if (!em_packed_row_parse(line, strlen(line), 0, &c->row, &err))
        fail_msg("%s: %s", line, err.text);
    assert_true(em_packed_view_make(&c->view, &c->row, &ids, &err));
}

static void free_row(case_row *c) {
    em_packed_row_free(&c->row);
    em_packed_view_free(&c->view);
}

/* "0-3 3-5 p5-8": segments, p where one is padding. */
static void expect(const char *line, em_packed_ids ids, em_packed_told told, const char *segments) {
    case_row c = {0};
    char text[256] = "";
    read_row(&c, line, ids);
    for (int32_t g = 0; g < c.view.shape.n_segments; g++) {
        const em_segment *s = &c.view.shape.segments[g];
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s%d-%d", g ? " " : "",
                 em_packed_is_padding(s) ? "p" : "", s->start, s->end);
    }
    if (strcmp(text, segments)) fail_msg("%s: %s, not %s", line, text, segments);
    assert_int_equal(c.view.told, told);
    free_row(&c);
}

static void documents(void **state) {
    expect("{\"input_ids\":[5,6,2,7,2,8]}", plain, EM_TOLD_BY_TOKENS, "0-3 3-5 5-6");
    expect("{\"input_ids\":[1,6,2,1,7,1,8]}", (em_packed_ids){EOS, BOS, -1}, EM_TOLD_BY_TOKENS,
           "0-3 3-5 5-7");
    expect("{\"input_ids\":[2,6,2,7]}", (em_packed_ids){EOS, EOS, -1}, EM_TOLD_BY_TOKENS,
           "0-1 1-3 3-4");
    expect("{\"input_ids\":[5,6,7,8],\"position_ids\":[0,1,0,1]}", plain, EM_TOLD_BY_POSITIONS,
           "0-2 2-4");
    expect("{\"input_ids\":[5,2,7,8],\"position_ids\":[0,1,2,3]}", plain, EM_TOLD_BY_TOKENS,
           "0-2 2-4");
    expect("{\"input_ids\":[5,6,7,8],\"position_ids\":[0,1,0,1],\"cu_seqlens\":[0,3,3,4]}", plain,
           EM_TOLD_BY_CU, "0-3 3-4");
    expect("{\"input_ids\":[5,6,7,8,9],\"attention_mask\":[1,1,2,3,0]}", plain, EM_TOLD_BY_NUMBERS,
           "0-2 2-3 3-4 p4-5");
    expect("{\"input_ids\":[5,6,7],\"attention_mask\":[[1,0,0],[1,1,0],[0,0,1]]}", plain,
           EM_TOLD_BY_BLOCKS, "0-2 2-3");
    expect("{\"input_ids\":[5,2,7],\"attention_mask\":[[1,0,0],[1,1,0],[1,1,1]]}", plain,
           EM_TOLD_BY_TOKENS, "0-2 2-3");
}

static void padding(void **state) {
    em_packed_ids with_pad = {EOS, -1, PAD}, pad_is_eos = {EOS, -1, EOS};
    expect("{\"input_ids\":[5,2,0,6,0,0]}", with_pad, EM_TOLD_BY_TOKENS, "0-2 2-4 p4-6");
    expect("{\"input_ids\":[0,0,5,2,0]}", with_pad, EM_TOLD_BY_TOKENS, "p0-2 2-4 p4-5");
    expect("{\"input_ids\":[0,0]}", with_pad, EM_TOLD_BY_TOKENS, "p0-2");
    /* PAD = EOS: behind the document's own EOS; two alone may be an empty document where PAD is not
     * known */
    expect("{\"input_ids\":[5,2,2]}", pad_is_eos, EM_TOLD_BY_TOKENS, "0-2 p2-3");
    expect("{\"input_ids\":[5,2,2]}", plain, EM_TOLD_BY_TOKENS, "0-2 2-3");
    expect("{\"input_ids\":[5,2,2,2]}", plain, EM_TOLD_BY_TOKENS, "0-2 p2-4");
    expect("{\"input_ids\":[5,2,2,2,6]}", pad_is_eos, EM_TOLD_BY_TOKENS, "0-2 p2-4 4-5");
    expect("{\"input_ids\":[5,2,2,6]}", pad_is_eos, EM_TOLD_BY_TOKENS, "0-2 2-3 3-4");
    expect("{\"input_ids\":[5,2,7,7],\"attention_mask\":[1,1,0,0]}", plain, EM_TOLD_BY_TOKENS,
           "0-2 p2-4");
    expect("{\"input_ids\":[5,2,7,7],\"cu_seqlens\":[0,2]}", plain, EM_TOLD_BY_CU, "0-2 p2-4");
    /* positions of padding that are all 0 begin no documents */
    expect("{\"input_ids\":[5,2,6,2,2,2],\"position_ids\":[0,1,0,1,0,0]}", plain,
           EM_TOLD_BY_POSITIONS, "0-2 2-4 p4-6");
}

/* ---- masks ---- */

static uint64_t seed = 5;
static int32_t draw(int32_t n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (int32_t)((seed >> 33) % (uint64_t)n);
}

/* A row of documents of 4 to 10 tokens whose T x T mask is m's, and behind them n_padding tokens.
 */
static void mask_row(const em_mask *m, int32_t tokens, int32_t n_padding, char *out) {
    enum { MOST = 64 };
    em_segment segments[MOST];
    em_row shape = {.tokens = tokens, .window = tokens, .segments = segments};
    int32_t lo[MOST], hi[MOST];
    for (int32_t at = 0; at < tokens; shape.n_segments++) {
        int32_t end = at + 4 + draw(7);
        if (end > tokens) end = tokens;
        segments[shape.n_segments] = (em_segment){.start = at, .end = end};
        at = end;
    }
    em_mask_intervals(m, &shape, tokens, lo, hi);
    char *p = out + sprintf(out, "{\"input_ids\":[5");
    for (int32_t i = 1; i < tokens + n_padding; i++) p += sprintf(p, ",%d", i < tokens ? 5 : PAD);
    p += sprintf(p, "],\"position_ids\":[0");
    for (int32_t i = 1; i < tokens + n_padding; i++)
        p += sprintf(p, ",%d", i < tokens ? i - segments[em_row_segment(&shape, i)].start : 0);
    p += sprintf(p, "],\"attention_mask\":[");
    for (int32_t i = 0; i < tokens + n_padding; i++)
        for (int32_t k = 0; k < tokens + n_padding; k++)
            p += sprintf(p, "%s%d%s",
                         k   ? ","
                         : i ? ",["
                             : "[",
                         i < tokens && k < tokens && lo[i] <= k && k < hi[i],
                         k == tokens + n_padding - 1 ? "]" : "");
    sprintf(p, "]}");
}

static bool search(const char *const *names, int n, int32_t n_padding, em_mask *found,
                   em_mask_search *s) {
    static char line[1 << 16];
    case_row c = {0};
    em_error err = EM_ERROR_INIT;
    bool sees_padding = true;
    *s = (em_mask_search){.odd_row = -1};
    for (int i = 0; i < n; i++) {
        em_mask m;
        assert_true(em_mask_parse(names[i], &m, &err));
        mask_row(&m, 24 + 2 * i, n_padding, line);
        read_row(&c, line, (em_packed_ids){EOS, -1, PAD});
        assert_true(em_mask_search_add(s, &c.view, i, &err));
    }
    bool any = em_mask_search_found(s, found, &sees_padding);
    if (any) assert_false(sees_padding);
    em_mask_search_free(s);
    free_row(&c);
    return any;
}

/* Whether rows such as mask_row makes do not tell which of the two it is. */
static bool alike(const em_mask *a, const em_mask *b) {
    enum { N = 28 }; /* the longest row of find_mask */
    em_segment segments[N];
    int32_t lo[2][N], hi[2][N];
    em_row row = {.tokens = N, .window = N, .segments = segments};
    for (int32_t at = 0; at < N; at = segments[row.n_segments++].end)
        segments[row.n_segments] = (em_segment){.start = at, .end = at + 4 + row.n_segments % 7};
    segments[row.n_segments - 1].end = N;
    em_mask_intervals(a, &row, N, lo[0], hi[0]);
    em_mask_intervals(b, &row, N, lo[1], hi[1]);
    return !memcmp(lo[0], lo[1], sizeof lo[0]) && !memcmp(hi[0], hi[1], sizeof hi[0]);
}

/* Its own name, or that of the first mask without a parameter that is the same on such rows. */
static const char *expected_name(const em_mask *m) {
    static em_mask other;
    int n;
    const em_mask_kind *kinds = em_mask_kinds(&n);
    for (int k = 0; k < n; k++) {
        other = em_mask_make(&kinds[k], 0);
        if (!kinds[k].parameter && alike(&other, m)) return other.name;
    }
    return m->name;
}

static void find_mask(const em_mask *m) {
    em_mask found;
    em_mask_search s;
    const char *const rows[] = {m->name, m->name, m->name};
    for (int32_t n_padding = 0; n_padding < 6; n_padding += 5) {
        if (n_padding && !strcmp(m->name, "flip0"))
            continue; /* its M is the row's own length, with padding */
        if (!search(rows, 3, n_padding, &found, &s)) fail_msg("%s: none is found", m->name);
        if (strcmp(found.name, expected_name(m)))
            fail_msg("%s is found as %s, not %s", m->name, found.name, expected_name(m));
    }
}

static void every_mask_is_found(void **state) {
    every_mask((const int32_t[]){2, 3, 5, 12, 30, 100, 0}, find_mask);
}

static void different_masks_are_none(void **state) {
    em_mask found;
    em_mask_search s;
    assert_false(search((const char *const[]){"doc", "doc", "regular"}, 3, 0, &found, &s));
    assert_int_equal(s.odd_row, 2);
    assert_true(s.odd_query > 0 && s.odd_lo == 0 && s.odd_hi == s.odd_query + 1);
    assert_false(search((const char *const[]){"window:3", "window:4"}, 2, 0, &found, &s));
    assert_false(search((const char *const[]){"full", "backward"}, 2, 3, &found, &s));
}

/* Rows that are all seen whole, and of one length, are `full`, not prefix:24. */
static void the_simplest_mask_is_named(void **state) {
    em_mask found;
    em_mask_search s;
    assert_true(search((const char *const[]){"full"}, 1, 0, &found, &s));
    assert_string_equal(found.name, "full");
}

/* A parameter that one row settles and another contradicts is none. */
static void settled_parameters_bind(void **state) {
    em_mask found;
    em_mask_search s;
    assert_false(search((const char *const[]){"window:3", "regular"}, 2, 0, &found, &s));
    assert_int_equal(s.odd_row, 1);
    assert_false(search((const char *const[]){"regular", "window:3"}, 2, 0, &found, &s));
    assert_int_equal(s.odd_row, 1);
}

/* A window that no row is long enough to show is the whole; one row that shows it settles it. */
static void windows_are_settled_by_any_row(void **state) {
    em_mask found;
    em_mask_search s;
    assert_true(search((const char *const[]){"doc-window:50", "doc-window:50"}, 2, 0, &found, &s));
    assert_string_equal(found.name, "doc");
    assert_true(
        search((const char *const[]){"window:25", "window:25", "window:25"}, 3, 0, &found, &s));
    assert_string_equal(found.name, "window:25");
}

/* ---- forms of a mask ---- */

static void expect_mask(const char *line, em_packed_form form, const char *name,
                        bool sees_padding) {
    case_row c = {0};
    em_error err = EM_ERROR_INIT;
    em_mask_search s = {.odd_row = -1};
    em_mask found = {.name = "none"};
    bool sees = false;
    read_row(&c, line, (em_packed_ids){EOS, -1, PAD});
    assert_int_equal(c.view.form, form);
    assert_true(em_mask_search_add(&s, &c.view, 0, &err));
    em_mask_search_found(&s, &found, &sees);
    if (strcmp(found.name, name) || sees != sees_padding)
        fail_msg("%s: %s, not %s; padding seen: %d", line, found.name, name, sees);
    em_mask_search_free(&s);
    free_row(&c);
}

static void forms(void **state) {
    expect_mask("{\"input_ids\":[5,2,6,0],\"attention_mask\":[1,1,1,0]}", EM_FORM_BINARY, "regular",
                false);
    expect_mask("{\"input_ids\":[0,5,2,6],\"attention_mask\":[0,1,1,1]}", EM_FORM_BINARY, "regular",
                false);
    expect_mask("{\"input_ids\":[0,5,2,6],\"attention_mask\":[1,1,1,1]}", EM_FORM_BINARY, "regular",
                true);
    expect_mask("{\"input_ids\":[5,2,6,0],\"attention_mask\":[1,1,2,0]}", EM_FORM_NUMBERS, "doc",
                false);
    expect_mask("{\"input_ids\":[5,2,6,7],\"attention_mask\":[1,1,2,1]}", EM_FORM_NUMBERS, "none",
                false);
    expect_mask("{\"input_ids\":[5,2,6,0],\"cu_seqlens\":[0,2,3]}", EM_FORM_CU, "doc", false);
    expect_mask("{\"input_ids\":[5,2,6],\"cu_seqlens\":[0,3]}", EM_FORM_CU, "regular", false);
    /* blocks that are not the documents that positions tell */
    expect_mask("{\"input_ids\":[5,2,6],\"position_ids\":[0,1,0],\"attention_mask\":[[1,0,0],[0,1,"
                "0],[0,1,1]]}",
                EM_FORM_MATRIX, "none", false);
    expect_mask("{\"input_ids\":[5,2,6],\"position_ids\":[0,1,0],\"attention_mask\":[[1,0,0],[1,1,"
                "0],[1,0,1]]}",
                EM_FORM_MATRIX, "none", false);
}

/* ---- counts ---- */

static void count_line(em_packed_counts *c, const char *line, em_packed_ids ids) {
    case_row r = {0};
    em_error err = EM_ERROR_INIT;
    read_row(&r, line, ids);
    assert_true(em_packed_counts_add(c, &r.row, &r.view, &ids, &err));
    free_row(&r);
}

static void places_of_eos(void **state) {
    em_packed_counts c;
    em_packed_counts_start(&c);
    count_line(&c, "{\"input_ids\":[5,2,6,2,7],\"position_ids\":[0,1,0,1,0]}", plain); /* ends */
    count_line(&c, "{\"input_ids\":[5,6,2,7,2],\"position_ids\":[0,1,0,0,0]}",
               plain);                                                             /* own, twice */
    count_line(&c, "{\"input_ids\":[2,6,2,7],\"position_ids\":[0,1,0,1]}", plain); /* begins */
    count_line(&c, "{\"input_ids\":[5,6,7,2,8,2],\"position_ids\":[0,1,0,1,2,3]}",
               plain); /* missing, and inside */
    assert_int_equal(c.documents, 3 + 2 + 2 + 2);
    assert_int_equal(c.boundaries, 5);
    assert_int_equal(c.eos_ends, 2);
    assert_int_equal(c.eos_own, 1);
    assert_int_equal(c.eos_begins, 1);
    assert_int_equal(c.eos_missing, 1);
    assert_int_equal(c.first_missing.row, 3);
    assert_int_equal(c.first_missing.index, 2);
    assert_int_equal(c.eos_inside, 1);
    assert_int_equal(c.first_inside.index, 3);
    em_packed_counts_free(&c);
}

static void labels_and_padding(void **state) {
    em_packed_counts c;
    em_packed_ids ids = {EOS, -1, EOS};
    em_packed_counts_start(&c);
    count_line(&c, "{\"input_ids\":[5,2,6,2,2,2],\"labels\":[-100,2,6,2,2,2]}", ids);
    count_line(&c, "{\"input_ids\":[5,2,6,2,2,2],\"labels\":[5,2,6,-100,-100,-100]}", ids);
    assert_int_equal(c.labels, 12);
    assert_int_equal(c.ignored, 4);
    assert_int_equal(c.scheme[EM_PACKED_UNSHIFTED].others, 0);
    assert_int_equal(c.scheme[EM_PACKED_UNSHIFTED].eos, 3);
    assert_int_equal(c.scheme[EM_PACKED_UNSHIFTED].padding, 2);
    assert_int_equal(c.scheme[EM_PACKED_UNSHIFTED].padding_rows, 1);
    assert_int_equal(c.scheme[EM_PACKED_UNSHIFTED].first_padding.index, 4);
    assert_true(c.scheme[EM_PACKED_SHIFTED].others > 0);
    em_packed_counts_start(&c);
    count_line(&c, "{\"input_ids\":[5,2,6,2,2,2],\"labels\":[2,6,2,2,2,-100]}", ids);
    assert_int_equal(c.scheme[EM_PACKED_SHIFTED].others, 0);
    assert_int_equal(c.scheme[EM_PACKED_SHIFTED].eos, 2);
    assert_int_equal(c.scheme[EM_PACKED_SHIFTED].padding, 2);
    assert_int_equal(c.scheme[EM_PACKED_UNSHIFTED].first_other.index, 0);
    em_packed_counts_free(&c);
}

static void kinds_of_positions(void **state) {
    em_packed_counts c;
    em_packed_counts_start(&c);
    count_line(&c, "{\"input_ids\":[5,2,6],\"position_ids\":[0,1,0]}", plain); /* restart */
    count_line(&c, "{\"input_ids\":[5,6,7],\"position_ids\":[0,1,2]}", plain); /* one document */
    count_line(&c, "{\"input_ids\":[5,2,6],\"position_ids\":[0,1,2]}", plain); /* over EOS */
    count_line(&c, "{\"input_ids\":[5,2,6],\"position_ids\":[0,1,2],\"cu_seqlens\":[0,2,3]}",
               plain); /* run on */
    count_line(&c, "{\"input_ids\":[5,2,6],\"position_ids\":[0,1,5],\"cu_seqlens\":[0,2,3]}",
               plain); /* neither */
    assert_int_equal(c.positions, 5);
    assert_int_equal(c.restart, 1);
    assert_int_equal(c.over_eos, 1);
    assert_int_equal(c.run_on, 1);
    assert_int_equal(c.neither, 1);
    assert_int_equal(c.wrong.at.row, 3);
    assert_int_equal(c.wrong.at.index, 2);
    assert_int_equal(c.wrong.found, 2);
    assert_int_equal(c.wrong.due, 0);
    assert_int_equal(c.wrong_over_eos.at.row, 2);
    em_packed_counts_free(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(documents),
                                       cmocka_unit_test(padding),
                                       cmocka_unit_test(every_mask_is_found),
                                       cmocka_unit_test(different_masks_are_none),
                                       cmocka_unit_test(the_simplest_mask_is_named),
                                       cmocka_unit_test(settled_parameters_bind),
                                       cmocka_unit_test(windows_are_settled_by_any_row),
                                       cmocka_unit_test(forms),
                                       cmocka_unit_test(places_of_eos),
                                       cmocka_unit_test(labels_and_padding),
                                       cmocka_unit_test(kinds_of_positions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
