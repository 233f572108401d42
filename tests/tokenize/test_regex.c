/* The matchers by hand against PCRE2 on random text, and the translation of patterns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tokenize/regex.h"
#include "tokenize/unicode.h"
#include "tokenize/words.h"

static uint64_t state_of_random = 88172645463325252u;

static uint32_t random_below(uint32_t n) {
    state_of_random ^= state_of_random << 13;
    state_of_random ^= state_of_random >> 7;
    state_of_random ^= state_of_random << 17;
    return (uint32_t)((state_of_random >> 32) % n);
}

static int32_t random_character(void) {
    static const int32_t odd[] = {'\'',   ' ',    ' ',     '\n',    '\r',   '\t',    0x17f,
                                  0x212a, 0xa0,   0x85,    0x180e,  0x200b, 0x3000,  's',
                                  'T',    'l',    'L',     'v',     'e',    'R',     0x661,
                                  0xbd,   0x1c89, 0x2ebf0, 0x10d40, 0x301,  0x1f600, 0};
    uint32_t kind = random_below(8);
    if (kind < 4) return odd[random_below(sizeof odd / sizeof *odd)];
    if (kind < 6) return (int32_t)random_below(128);
    int32_t c = (int32_t)random_below(kind == 6 ? 0x3000 : 0x110000);
    return c >= 0xd800 && c < 0xe000 ? 'x' : c;
}

static void compare(const em_regex *r, em_regex_scratch *s, int digits, const char *text,
                    size_t n) {
    em_error err = EM_ERROR_INIT;
    for (size_t i = 0, start, end; i < n; i = end) {
        assert_int_equal(em_regex_next(r, s, text, n, i, &start, &end, &err), 1);
        size_t ours = digits ? em_llama3_word(text, n, i, digits) : em_gpt2_word(text, n, i);
        assert_int_equal(start, i);
        if (ours != end)
            fail_msg("digits %d, byte %zu of \"%.*s\": %zu, not %zu", digits, i, (int)n, text, ours,
                     end);
    }
}

static void test_words(void **state) {
    const struct {
        const char *pattern;
        int digits;
    } known[] = {{EM_GPT2_PATTERN, 0}, {EM_LLAMA3_PATTERN, 3}, {EM_QWEN2_PATTERN, 1}};
    em_error err = EM_ERROR_INIT;
    em_regex_scratch *s = em_regex_scratch_new(&err);
    for (int k = 0; k < 3; k++) {
        em_regex *r = em_regex_new(known[k].pattern, strlen(known[k].pattern), &err);
        if (!r) fail_msg("%s", err.text);
        for (int round = 0; round < 20000; round++) {
            char text[160];
            size_t n = 0;
            for (uint32_t left = 1 + random_below(32); left; left--)
                n += em_utf8_put(random_character(), text + n);
            compare(r, s, known[k].digits, text, n);
        }
        em_regex_free(r);
    }
    em_regex_scratch_free(s);
}

static void check_translation(const char *from, const char *to) {
    em_error err = EM_ERROR_INIT;
    em_buffer out = {0};
    if (!em_regex_translate(from, strlen(from), &out, &err)) fail_msg("%s: %s", from, err.text);
    assert_string_equal(out.data, to);
    em_buffer_free(&out);
}

/* Ruby's meaning in PCRE2's words. */
static void test_translation(void **state) {
    check_translation("a{1,3}+b", "(?:a{1,3})+b");
    check_translation("x(ab){2}+", "x(?:(ab){2})+");
    check_translation("a{,3}", "a{0,3}");
    check_translation("a{x}", "a\\{x\\}");
    check_translation("^a$", "(?m:^)a(?m:$)");
    check_translation("a++b*?c?+", "a++b*?c?+");
    check_translation("\\u00e9\\x{1F600}\\v", "\\x{e9}\\x{1f600}\\x0b");
    check_translation("[\\n\\]x-]", "[\\n\\]x-]");
}

static size_t first_match(const char *pattern, const char *text) {
    em_error err = EM_ERROR_INIT;
    size_t start = 0, end = 0;
    em_regex_scratch *s = em_regex_scratch_new(&err);
    em_regex *r = em_regex_new(pattern, strlen(pattern), &err);
    if (!r) fail_msg("%s", err.text);
    int found = em_regex_next(r, s, text, strlen(text), 0, &start, &end, &err);
    assert_true(found >= 0);
    em_regex_free(r);
    em_regex_scratch_free(s);
    return found ? end - start : 0;
}

/* Where PCRE2's own classes would answer otherwise. */
static void test_classes(void **state) {
    assert_int_equal(first_match("\\s", "\xe1\xa0\x8e"), 0); /* U+180E is no white space */
    assert_int_equal(first_match("\\s", "\xc2\x85"), 2);     /* U+0085 is */
    assert_int_equal(first_match("[^\\s]+", "\xe1\xa0\x8e"
                                            "a "),
                     4);
    assert_int_equal(first_match("[\\S]+", "\xe1\xa0\x8e"
                                           "a "),
                     4);
    assert_int_equal(first_match("\\w+", "a\xcc\x81_\xe2\x80\xbf"),
                     7); /* marks and connectors are word characters */
    assert_int_equal(first_match("\\p{L}+", "\xe1\xb2\x89"), 3); /* U+1C89: Unicode 16 */
    assert_int_equal(first_match("\\P{L}+", "\xe1\xb2\x89."), 1);
    assert_int_equal(first_match("\\p{^L}+", "\xe1\xb2\x89."), 1);
    assert_int_equal(first_match("a\\b", "a\xcc\x81"
                                         "a"),
                     1);
}

/* A pattern that needs exponential time ends in an error, not in a wrong answer or a hang. */
static void test_limits(void **state) {
    em_error err = EM_ERROR_INIT;
    size_t start, end;
    const char *pattern = "(a|aa)+[bd]";
    em_regex_scratch *s = em_regex_scratch_new(&err);
    em_regex *r = em_regex_new(pattern, strlen(pattern), &err);
    char text[61];
    memset(text, 'a', 60);
    text[60] = 'c';
    assert_int_equal(em_regex_next(r, s, text, 61, 0, &start, &end, &err), -1);
    assert_non_null(strstr(err.text, "regular expression fails at byte 0"));
    em_regex_free(r);
    em_regex_scratch_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words), cmocka_unit_test(test_translation),
        cmocka_unit_test(test_classes), cmocka_unit_test(test_limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
