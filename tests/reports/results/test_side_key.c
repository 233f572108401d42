/* Keys of sides: what is put in comes out, part by part, whatever characters it holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "reports/results/side_key.h"

static void key_is(const char *model, const char *expected) {
    em_buffer key = {0};
    em_side_key_put(&key, model);
    em_buffer_puts(&key, "|doc|unshifted||");
    assert_string_equal(key.data, expected);
    em_buffer_free(&key);
}

static void test_keys(void **state) {
    key_is("base", "base|doc|unshifted||");
    key_is("a/b:c (1) \"x\" é %7C", "a/b:c (1) \"x\" é %7C|doc|unshifted||");
    key_is("a|b", "a\\|b|doc|unshifted||");
    key_is("a\\", "a\\\\|doc|unshifted||");
    key_is("a\\|b", "a\\\\\\|b|doc|unshifted||");
}

/* All names of up to five characters that keys care about, two a key. */
static void test_every_name_survives(void **state) {
    static const char letters[] = "a|\\ ";
    for (int code = 0; code < 4 * 4 * 4 * 4 * 4; code++) {
        char name[6] = "";
        for (int i = 0, rest = code; i < 5; i++, rest /= 4) name[i] = letters[rest % 4];
        name[code % 6] = 0;
        em_buffer key = {0}, part = {0};
        em_side_key_put(&key, name);
        em_buffer_puts(&key, "|");
        em_side_key_put(&key, name);
        const char *rest = em_side_key_take(key.data, &part);
        assert_string_equal(part.data, name);
        em_buffer_clear(&part);
        assert_string_equal(em_side_key_take(rest, &part), "");
        assert_string_equal(part.data, name);
        em_buffer_free(&key);
        em_buffer_free(&part);
    }
}

static void test_keys_of_old_files(void **state) {
    em_buffer part = {0};
    assert_string_equal(em_side_key_take("a\\b|doc", &part), "doc");
    assert_string_equal(part.data, "a\\b");
    em_buffer_clear(&part);
    assert_string_equal(em_side_key_take("", &part), "");
    assert_string_equal(part.data, "");
    em_buffer_clear(&part);
    assert_string_equal(em_side_key_take("a\\", &part), "");
    assert_string_equal(part.data, "a\\");
    em_buffer_free(&part);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_every_name_survives),
        cmocka_unit_test(test_keys_of_old_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
