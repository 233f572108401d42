/* Packed rows: what is read of them, and what broken ones are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "loader/packed_row.h"
#include "packed_oracle.h"

static bool parse(const char *line, em_packed_row *out, em_error *err) {
    em_error_init(err);
    return em_packed_row_parse(line, strlen(line), 0, out, err);
}

static void assert_ints(const em_ints *x, const char *numbers) {
    char text[256] = "";
    for (size_t i = 0; i < x->n; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d", i ? " " : "", x->v[i]);
    assert_true(x->given);
    assert_string_equal(text, numbers);
}

static void values(void **state) {
    em_packed_row r = {0};
    em_error err;
    assert_true(parse("{\"attention_mask\": [[1,0,0,0],[0,0,0,0],[1,0,1,0],[true,true,true,true]], "
                      "\"input_ids\": [5,2,6,7],"
                      " \"labels\": [-100,2,6,7], \"position_ids\": [0,1,0,1], \"cu_seqlens\": "
                      "[0,2,4], \"x\": {\"labels\": 1}}",
                      &r, &err));
    assert_int_equal(r.tokens, 4);
    assert_ints(&r.ids, "5 2 6 7");
    assert_ints(&r.labels, "-100 2 6 7");
    assert_ints(&r.positions, "0 1 0 1");
    assert_ints(&r.cu, "0 2 4");
    assert_ints(&r.lo, "0 0 -1 0");
    assert_ints(&r.hi, "1 0 -1 4");
    assert_false(r.mask.given);
    /* the next row has nothing of the one before */
    assert_true(parse("{\"input_ids\": [9], \"attention_mask\": [true]}", &r, &err));
    assert_int_equal(r.tokens, 1);
    assert_ints(&r.mask, "1");
    assert_false(r.lo.given || r.hi.given || r.labels.given || r.positions.given || r.cu.given);
    em_packed_row_free(&r);
}

/* What a collator writes: fields of B rows. A mask is B x T there, and before input_ids too. */
static void batches(void **state) {
    static const char line[] =
        "{\"attention_mask\": [[1,1],[1,0]], \"loss\": NaN, \"a\\ud800\": [Infinity, -Infinity], "
        "\"input_ids\": [[5,2],[6,7]], \"labels\": [[-100,2],[6,-100]], \"position_ids\": null}";
    em_packed_row r = {0};
    em_error err = EM_ERROR_INIT;
    assert_true(em_packed_row_parse(line, strlen(line), 1, &r, &err));
    assert_int_equal(r.batch, 2);
    assert_ints(&r.ids, "6 7");
    assert_ints(&r.mask, "1 0");
    assert_ints(&r.labels, "6 -100");
    assert_false(r.positions.given || r.lo.given);
    assert_true(em_packed_row_parse(line, strlen(line), 0, &r, &err));
    assert_ints(&r.ids, "5 2");
    assert_ints(&r.labels, "-100 2");
    /* DataCollatorWithFlattening: a batch of one, whose cu_seq_lens_q is flat */
    assert_true(
        parse("{\"input_ids\": [[5,2,6]], \"position_ids\": [[0,1,0]], "
              "\"cu_seq_lens_q\": [0,2,3], \"attention_mask\": [[[1,0,0],[1,1,0],[0,0,1]]]}",
              &r, &err));
    assert_int_equal(r.batch, 1);
    assert_ints(&r.cu, "0 2 3");
    assert_ints(&r.lo, "0 0 2");
    em_packed_row_free(&r);
}

static void errors(void **state) {
    static const struct {
        const char *line, *text;
        int64_t byte;
    } cases[] = {
        {"{\"input_ids\":[1,2.0]}", "input_ids: a number that is not written as a whole one", 16},
        {"{\"input_ids\":[1,-1]}", "input_ids[1] is -1: it cannot be negative", 16},
        {"{\"input_ids\":[2147483648]}", "input_ids[0] is 2147483648, beyond 2^31 - 1", 14},
        {"{\"input_ids\":[\"1\"]}", "input_ids[0] is a string, not a whole number", 14},
        {"{\"input_ids\":[[[1]]]}", "input_ids has three dimensions", 14},
        {"{\"input_ids\":[1],\"labels\":[[1]]}", "labels is an array of arrays, input_ids is not",
         26},
        {"{\"labels\":[1],\"input_ids\":[[1],[2]]}", "labels is one row, input_ids is a batch of 2",
         10},
        {"{\"labels\":[[1]],\"input_ids\":[[1],[2]]}", "labels has 1 rows, input_ids has 2", 10},
        {"{\"input_ids\":[NaN]}", "input_ids[0] is NaN, not a whole number", 14},
        {"{\"input_ids\":[[1,2],[3]],\"labels\":[[1],[3]]}",
         "labels has 1 entries, input_ids has 2", -1},
        {"{\"input_ids\":{}}", "input_ids is an object, not an array", 13},
        {"{\"input_ids\":[1],\"labels\":[-1]}", "labels[0] is -1: no label is negative but -100",
         27},
        {"{\"input_ids\":[1,2],\"labels\":[1]}", "labels has 1 entries, input_ids has 2", -1},
        {"{\"input_ids\":[1,2],\"position_ids\":[0,1,2]}",
         "position_ids has 3 entries, input_ids has 2", -1},
        {"{\"input_ids\":[1,2],\"attention_mask\":[1]}",
         "attention_mask has 1 entries, input_ids has 2", -1},
        {"{\"input_ids\":[1,2],\"attention_mask\":[[1,0]]}",
         "attention_mask is 1 x 2: give T entries, or T x T", 43},
        {"{\"input_ids\":[1],\"attention_mask\":[[1,0],[1,1]]}",
         "attention_mask is 2 x 2, input_ids has 1 entries", -1},
        {"{\"input_ids\":[1],\"attention_mask\":[[1,0],[1]]}",
         "attention_mask[1] has 1 entries, attention_mask[0] has 2", 41},
        {"{\"input_ids\":[1],\"attention_mask\":[[2]]}",
         "attention_mask[0][0] is 2: a mask of two dimensions holds 0 and 1", 36},
        {"{\"input_ids\":[1,2],\"cu_seqlens\":[0,2,1]}",
         "cu_seqlens[2] is 1 after 2: it must not descend", -1},
        {"{\"input_ids\":[1,2],\"cu_seqlens\":[0,3]}",
         "cu_seqlens[1] is 3, input_ids has 2 entries", -1},
        {"{\"input_ids\":[1,2],\"cu_seqlens\":[1,2]}",
         "cu_seqlens holds 2 numbers, the first of them not 0", -1},
        {"{\"labels\":[1]}", "no \"input_ids\"", -1},
        {"{\"input_ids\":[]}", "input_ids is empty", -1},
        {"{\"input_ids\":[1,]}", "expected a whole number, found ']'", 16},
        {"{\"input_ids\":[1", "expected ',' or ']', but the record ends", 15},
    };
    em_packed_row r = {0};
    em_error err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_false(parse(cases[i].line, &r, &err));
        assert_int_equal(err.status, EM_INPUT);
        if (!strstr(err.text, cases[i].text) || err.byte != cases[i].byte)
            fail_msg("%s: \"%s\" at %lld", cases[i].line, err.text, (long long)err.byte);
    }
    em_packed_row_free(&r);
}

/* Rows of random fields, whole and with one byte changed or cut off, as jansson reads them. */
static uint64_t seed = 11;
static uint32_t draw(uint32_t n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

static size_t random_list(char *out, size_t n, uint32_t most, bool ascending) {
    size_t at = (size_t)sprintf(out, "[");
    uint32_t x = 0;
    for (size_t i = 0; i < n; i++) {
        x = ascending ? x + (i ? draw(3) : 0) : draw(most);
        at += (size_t)sprintf(out + at, "%s%u", i ? "," : "", x);
    }
    return at + (size_t)sprintf(out + at, "]");
}

/* The same in rows. */
static size_t random_batch(char *out) {
    static const char *const keys[] = {"input_ids", "labels", "attention_mask"};
    size_t rows = 1 + draw(3), n = 1 + draw(4), at = (size_t)sprintf(out, "{");
    for (int k = 0; k < 3; k++) {
        at += (size_t)sprintf(out + at, "%s\"%s\": [", k ? ", " : "", keys[k]);
        for (size_t i = 0; i < rows; i++) {
            if (i) out[at++] = ',';
            at += random_list(out + at, n, k == 2 ? 2 : 300, false);
        }
        at += (size_t)sprintf(out + at, "]");
    }
    return at + (size_t)sprintf(out + at, ", \"x\": NaN}");
}

static size_t random_row(char *out) {
    if (!draw(4)) return random_batch(out);
    size_t n = 1 + draw(6), at = (size_t)sprintf(out, "{\"input_ids\": ");
    at += random_list(out + at, n, 300, false);
    static const char *const keys[] = {"labels", "position_ids", "attention_mask"};
    for (int k = 0; k < 3; k++) {
        if (draw(2)) continue;
        at += (size_t)sprintf(out + at, ", \"%s\": ", keys[k]);
        at += random_list(out + at, n, 3, false);
    }
    if (draw(2))
        at += (size_t)sprintf(out + at, ", \"cu_seqlens\":"),
            at += random_list(out + at, 2 + draw(3), 0, true);
    if (draw(2)) {
        at += (size_t)sprintf(out + at, ", \"attention_mask\": [");
        for (size_t i = 0; i < n; i++) {
            if (i) out[at++] = ',';
            at += random_list(out + at, n, 2, false);
        }
        at += (size_t)sprintf(out + at, "]");
    }
    return at + (size_t)sprintf(out + at, "}");
}

static void against_jansson(void **state) {
    static const char bytes[] = "0123456789-.eE,:[]{}\" tfn\\";
    char row[2048];
    for (int i = 0; i < 40000; i++) {
        size_t n = random_row(row);
        if (i % 3 == 1) row[draw((uint32_t)n)] = bytes[draw(sizeof bytes - 1)];
        if (i % 3 == 2) n = draw((uint32_t)n);
        char *exact = malloc(n ? n : 1); /* so that AddressSanitizer sees the true end */
        memcpy(exact, row, n);
        const char *difference = packed_oracle_compare(exact, n);
        if (difference) fail_msg("%s: %.*s", difference, (int)n, row);
        free(exact);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(batches),
                                       cmocka_unit_test(errors), cmocka_unit_test(against_jansson)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
