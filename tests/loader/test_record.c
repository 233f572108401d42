/* The record scanner: suites of files, keys, and jansson as the reference on mutated records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "loader/record.h"
#include "oracle.h"
#include "suite.h"

static const em_record_keys pile = {"text", "meta.pile_set_name"};

static void assert_bytes(const char *name, const em_buffer *got, const em_buffer *wanted) {
    if (got->length != wanted->length ||
        (got->length && memcmp(got->data, wanted->data, got->length)))
        fail_msg("%s: got \"%.*s\", not \"%.*s\"", name, (int)got->length, got->data,
                 (int)wanted->length, wanted->data);
}

static void check_valid(const char *name, const em_buffer *line) {
    em_record record = {0};
    em_error err = EM_ERROR_INIT;
    em_buffer text = suite_file("valid", name, "text"), group = suite_file("valid", name, "group");
    if (!em_record_parse(line->data, line->length, &pile, &record, &err))
        fail_msg("%s: %s", name, err.text);
    assert_bytes(name, &record.text, &text);
    assert_bytes(name, &record.group, &group);
    const char *difference = oracle_compare(line->data, line->length, &pile);
    if (difference) fail_msg("%s: %s", name, difference);
    em_record_free(&record);
    em_buffer_free(&text);
    em_buffer_free(&group);
}

static void check_invalid(const char *name, const em_buffer *line) {
    em_record record = {0};
    em_error err = EM_ERROR_INIT;
    char got[1280];
    em_buffer wanted = suite_file("invalid", name, "error");
    assert_true(wanted.length > 0);
    wanted.data[--wanted.length] = 0;
    if (em_record_parse(line->data, line->length, &pile, &record, &err))
        fail_msg("%s was accepted", name);
    assert_int_equal(err.status, EM_INPUT);
    em_error_line(&err, got, sizeof got);
    if (strcmp(got, wanted.data)) fail_msg("%s:\n  %s, not\n  %s", name, got, wanted.data);
    const char *difference = oracle_compare(line->data, line->length, &pile);
    if (difference) fail_msg("%s: %s", name, difference);
    em_record_free(&record);
    em_buffer_free(&wanted);
}

static void valid_records(void **state) { assert_true(suite_each("valid", check_valid) >= 40); }
static void invalid_records(void **state) {
    assert_true(suite_each("invalid", check_invalid) >= 75);
}

static void parse(const char *line, em_record_keys keys, const char *text, const char *group) {
    em_record record = {0};
    em_error err = EM_ERROR_INIT;
    if (!em_record_parse(line, strlen(line), &keys, &record, &err))
        fail_msg("%s: %s", line, err.text);
    assert_string_equal(record.text.data, text);
    assert_string_equal(record.group.length ? record.group.data : "", group);
    assert_null(oracle_compare(line, strlen(line), &keys));
    em_record_free(&record);
}

static void keys_are_the_callers(void **state) {
    const char *line = "{\"text\":\"a\",\"content\":\"b\",\"lang\":\"c\",\"a.b\":\"d\","
                       "\"a\":{\"b\":\"e\",\"b.c\":\"f\"}}";
    parse(line, (em_record_keys){"content", "lang"}, "b", "c");
    parse(line, (em_record_keys){"text", NULL}, "a", "");
    parse(line, (em_record_keys){"text", ""}, "a", "");
    parse(line, (em_record_keys){"a.b", "a.b"}, "d", "e");
    parse(line, (em_record_keys){"text", "a.b.c"}, "a", "f");
    parse(line, (em_record_keys){"text", "text"}, "a", "a");
    parse(line, (em_record_keys){"text", "text.x"}, "a", "");
}

static void buffers_are_reused(void **state) {
    em_record record = {0};
    em_error err = EM_ERROR_INIT;
    const char *first = "{\"text\":\"a long one\",\"meta\":{\"pile_set_name\":\"x\"}}",
               *second = "{\"text\":\"b\"}";
    assert_true(em_record_parse(first, strlen(first), &pile, &record, &err));
    assert_true(em_record_parse(second, strlen(second), &pile, &record, &err));
    assert_string_equal(record.text.data, "b");
    assert_int_equal(record.group.length, 0);
    em_record_free(&record);
}

static uint64_t seed = 20240917;
static uint32_t draw(uint32_t n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

/* Replaces, inserts, removes and doubles a few bytes. n + 16 bytes of room. */
static size_t mutate(char *s, size_t n) {
    static const char interesting[] =
        "{}[]\",:\\u0d8ce+-. tfn\n\x01\x80\xc3\xa9\xed\xa0\xf4\x90\xff";
    for (uint32_t changes = 1 + draw(4); changes--;) {
        size_t at = draw((uint32_t)n + 1);
        char c = interesting[draw(sizeof interesting)];
        uint32_t action = draw(3);
        if (action == 0 && at < n) s[at] = c;
        if (action == 1 && at < n) memmove(s + at, s + at + 1, --n - at);
        if (action == 2) {
            memmove(s + at + 1, s + at, n++ - at);
            s[at] = c;
        }
    }
    return n;
}

static void check_mutations(const char *name, const em_buffer *line) {
    if (line->length > 4096) return;
    for (int i = 0; i < 4000; i++) {
        char work[4096 + 16];
        memcpy(work, line->data, line->length);
        uint64_t before = seed;
        size_t n = mutate(work, line->length);
        char *exact = malloc(n ? n : 1); /* so that AddressSanitizer sees the true end */
        memcpy(exact, work, n);
        const char *difference = oracle_compare(exact, n, &pile);
        if (difference)
            fail_msg("%s, seed %llu: %s: %.*s", name, (unsigned long long)before, difference,
                     (int)n, exact);
        free(exact);
    }
}

static void mutations_agree_with_jansson(void **state) {
    suite_each("valid", check_mutations);
    suite_each("invalid", check_mutations);
}

static void blank_lines(void **state) {
    assert_true(em_record_blank("", 0));
    assert_true(em_record_blank(" \t\r\n", 4));
    assert_false(em_record_blank(" \f", 2));
    assert_false(em_record_blank("  {", 3));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_records),
        cmocka_unit_test(invalid_records),
        cmocka_unit_test(keys_are_the_callers),
        cmocka_unit_test(buffers_are_reused),
        cmocka_unit_test(mutations_agree_with_jansson),
        cmocka_unit_test(blank_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
