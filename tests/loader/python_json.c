#include "python_json.h"

#include <stdlib.h>
#include <string.h>

static void put(em_buffer *b, const char *s, size_t n) {
    if (!em_buffer_append(b, s, n, NULL)) abort();
}

/* The escape's number, or -1. */
static long escaped(const char *p, const char *end) {
    char digits[5] = "";
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u') return -1;
    memcpy(digits, p + 2, 4);
    return strspn(digits, "0123456789abcdefABCDEF") == 4 ? strtol(digits, NULL, 16) : -1;
}

/* Bytes of the escape at p, where it is half a surrogate pair 6 and *half. */
static size_t escape(const char *p, const char *end, bool *half) {
    long x = escaped(p, end), low = end - p >= 12 ? escaped(p + 6, end) : -1;
    *half = false;
    if (x >= 0xd800 && x < 0xdc00 && low >= 0xdc00 && low < 0xe000) return 12;
    *half = x >= 0xd800 && x < 0xe000;
    if (x >= 0) return 6;
    return end - p < 2 ? 1 : 2;
}

static size_t word(const char *p, const char *end) {
    static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(end - p) >= n && !memcmp(p, words[i], n)) return n;
    }
    return 0;
}

em_buffer python_json(const char *line, size_t n, bool *halves) {
    em_buffer out = {0};
    const char *end = line + n;
    bool inside = false, half;
    *halves = false;
    put(&out, "", 0);
    for (const char *p = line; p < end;) {
        size_t m = !inside ? word(p, end) : 0;
        if (m) {
            put(&out, "{}", 2);
        } else if (inside && *p == '\\') {
            m = escape(p, end, &half);
            put(&out, half ? "\\ufffd" : p, half ? 6 : m);
            *halves |= half;
        } else {
            inside ^= *p == '"';
            put(&out, p, m = 1);
        }
        p += m;
    }
    return out;
}
