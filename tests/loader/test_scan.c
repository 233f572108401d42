/* Every version of the byte scans against the portable one, and that one against a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "loader/scan.h"

static uint64_t seed = 7;
static uint32_t draw(uint32_t n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

/* In memory of its exact size, so that AddressSanitizer sees reads beyond it. */
static void compare(const char *data, size_t n) {
    size_t count;
    const em_scan *const *scans = em_scans(&count);
    char *exact = malloc(n ? n : 1);
    memcpy(exact, data, n);
    size_t string = (size_t)(scans[0]->string(exact, exact + n) - exact),
           utf8 = scans[0]->utf8(exact, n);
    for (size_t i = 1; i < count; i++) {
        size_t s = (size_t)(scans[i]->string(exact, exact + n) - exact),
               u = scans[i]->utf8(exact, n);
        if (s != string)
            fail_msg("%s: the string ends at %zu, not %zu, of %zu", scans[i]->name, s, string, n);
        if (u != utf8) fail_msg("%s: UTF-8 up to %zu, not %zu, of %zu", scans[i]->name, u, utf8, n);
    }
    free(exact);
}

/* Every byte value at every place of a block or two. */
static void single_bytes(void **state) {
    char data[100];
    for (size_t at = 0; at < sizeof data; at++)
        for (int c = 0; c < 256; c++) {
            memset(data, 'a', sizeof data);
            data[at] = (char)c;
            for (size_t n = at + 1; n <= sizeof data; n += 13) compare(data, n);
        }
}

static size_t encode(uint32_t x, int length, char *out) {
    static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (int i = length - 1; i > 0; i--, x >>= 6) out[i] = (char)(0x80 | (x & 0x3f));
    out[0] = (char)(length == 1 ? x : first[length] | x);
    return (size_t)length;
}

/* Every code number up to 0x13ffff in every length that can hold it: only the shortest form of a
 * scalar value is UTF-8. */
static void code_points(void **state) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000},
                          beyond[] = {0, 0x80, 0x800, 0x10000, 0x140000};
    size_t count;
    const em_scan *const *scans = em_scans(&count);
    for (int length = 1; length <= 4; length++)
        for (uint32_t x = 0; x < beyond[length]; x += length == 4 ? 7 : 1) {
            char data[40];
            memset(data, 'x', sizeof data);
            size_t at = x % 33, n = at + encode(x, length, data + at);
            bool good = x >= least[length] && x <= 0x10ffff && (x < 0xd800 || x > 0xdfff);
            for (size_t i = 0; i < count; i++)
                if (scans[i]->utf8(data, n) != (good ? n : at))
                    fail_msg("%s: %x in %d bytes at %zu", scans[i]->name, x, length, at);
        }
}

/* Text of mixed lengths, then a few bytes changed. */
static void random_text(void **state) {
    char data[400];
    for (int i = 0; i < 200000; i++) {
        size_t n = 0, wanted = draw(sizeof data - 4);
        uint32_t kinds = 1 + draw(4);
        while (n < wanted) {
            int length = 1 + (int)draw(kinds);
            static const uint32_t first[] = {0, 0x20, 0x80, 0xe000, 0x10000},
                                  many[] = {0, 0x60, 0x780, 0x2000, 0x100000};
            n += encode(first[length] + draw(many[length]), length, data + n);
        }
        for (uint32_t changes = draw(3); n && changes--;) data[draw((uint32_t)n)] = (char)draw(256);
        compare(data, n - (n ? draw((uint32_t)(n < 4 ? n : 4)) : 0));
    }
}

static void string_stops(void **state) {
    const char *s = "abc\xff\x7f\"";
    assert_ptr_equal(em_scan_best()->string(s, s + 6), s + 5);
    assert_ptr_equal(em_scan_best()->string(s, s + 5), s + 5);
    assert_ptr_equal(em_scan_best()->string(s, s), s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_bytes),
        cmocka_unit_test(code_points),
        cmocka_unit_test(random_text),
        cmocka_unit_test(string_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
