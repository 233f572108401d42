#include "loader/json.h"

#include <string.h>

void em_json_begin(em_json *s, const char *text, size_t n, em_error *err) {
    *s = (em_json){.begin = text, .p = text, .end = text + n, .scan = em_scan_best(), .err = err};
}

bool em_json_utf8(em_json *s) {
    size_t n = (size_t)(s->end - s->begin), good = s->scan->utf8(s->begin, n);
    if (good == n) return true;
    return EM_JSON_FAIL(s, s->begin + good, "bytes that are not UTF-8, from 0x%02x on",
                        (unsigned char)s->begin[good]);
}

const char *em_json_kind(char first) {
    switch (first) {
    case '"': return "a string";
    case '{': return "an object";
    case '[': return "an array";
    case 'n': return "null";
    case 't':
    case 'f': return "a boolean";
    case 'N': return "NaN";
    case 'I': return "an infinity";
    }
    return "a number";
}

bool em_json_expected(em_json *s, const char *what) {
    if (s->p == s->end) return EM_JSON_FAIL(s, s->p, "expected %s, but the record ends", what);
    unsigned char c = (unsigned char)*s->p;
    if (c > 0x20 && c < 0x7f) return EM_JSON_FAIL(s, s->p, "expected %s, found '%c'", what, c);
    return EM_JSON_FAIL(s, s->p, "expected %s, found byte 0x%02x", what, c);
}

static inline int hex_digit(char c) {
    char lower = (char)(c | 0x20);
    return em_json_is_digit(c) ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Four hex digits at p, or a negative number. */
static inline int hex4(const char *p, const char *end) {
    if (end - p < 4) return -1;
    int a = hex_digit(p[0]), b = hex_digit(p[1]), c = hex_digit(p[2]), d = hex_digit(p[3]);
    return (a | b | c | d) < 0 ? -1 : a << 12 | b << 8 | c << 4 | d;
}

static size_t encode_utf8(unsigned x, char *out) {
    if (x < 0x80) {
        out[0] = (char)x;
        return 1;
    }
    size_t n = x < 0x800 ? 2 : x < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, x >>= 6) out[i] = (char)(0x80 | (x & 0x3f));
    out[0] = (char)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | x);
    return n;
}

/* The \u escape whose backslash is at s->p, with its second half where it has one. Returns the
 * bytes written to out (4 at most), 0 on failure. */
static size_t unicode_escape(em_json *s, char *out) {
    const char *at = s->p;
    int x = hex4(at + 2, s->end);
    if (x < 0) return EM_JSON_FAIL(s, at, "\\u needs four hex digits");
    s->p += 6;
    if (x < 0xd800 || x > 0xdfff) return encode_utf8((unsigned)x, out);
    if (x > 0xdbff)
        return s->loose ? encode_utf8((unsigned)x, out)
                        : EM_JSON_FAIL(s, at, "a low surrogate without a high one before it");
    int low = s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u' ? hex4(s->p + 2, s->end) : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return s->loose ? encode_utf8((unsigned)x, out)
                        : EM_JSON_FAIL(s, at, "a high surrogate without a low one after it");
    s->p += 6;
    return encode_utf8(0x10000u + ((unsigned)(x - 0xd800) << 10) + (unsigned)(low - 0xdc00), out);
}

/* The escape whose backslash is at s->p. Returns the bytes written to out, 0 on failure. */
static inline size_t escape(em_json *s, char *out) {
    static const char plain[128] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    unsigned char c = s->p + 1 < s->end ? (unsigned char)s->p[1] : 0;
    if (c < 128 && plain[c]) {
        *out = plain[c];
        s->p += 2;
        return 1;
    }
    if (c == 'u') return unicode_escape(s, out);
    return EM_JSON_FAIL(s, s->p, "a backslash that begins no escape");
}

/* The end of a string's plain run: true at an escape or the closing quote. */
static inline bool next_stop(em_json *s) {
    if (s->p < s->end && *s->p == '\\') return true; /* escapes often come in a row */
    s->p = s->scan->string(s->p, s->end);
    if (s->p == s->end) return EM_JSON_FAIL(s, s->p, "the record ends inside a string");
    if ((unsigned char)*s->p >= 0x20) return true;
    return EM_JSON_FAIL(s, s->p, "a control character inside a string, where an escape is due");
}

/* Past the string whose opening quote has been taken. */
static bool skip_string(em_json *s) {
    char dropped[4];
    for (;;) {
        if (!next_stop(s)) return false;
        if (em_json_take(s, '"')) return true;
        if (!escape(s, dropped)) return false;
    }
}

bool em_json_string(em_json *s, em_buffer *out) {
    em_buffer_clear(out);
    for (;;) {
        const char *run = s->p;
        if (!next_stop(s)) return false;
        size_t n = (size_t)(s->p - run);
        /* room for the run, one escape's bytes and the NUL */
        bool room = out->capacity - out->length >= n + 5;
        if (!room && !em_buffer_reserve(out, out->length + n + 4, s->err)) return false;
        memcpy(out->data + out->length, run, n);
        out->length += n;
        if (em_json_take(s, '"')) break;
        size_t unescaped = escape(s, out->data + out->length);
        if (!unescaped) return false;
        out->length += unescaped;
    }
    out->data[out->length] = 0;
    return true;
}

static bool digits(em_json *s, const char *where) {
    if (s->p == s->end || !em_json_is_digit(*s->p)) return em_json_expected(s, where);
    while (s->p < s->end && em_json_is_digit(*s->p)) s->p++;
    return true;
}

static bool skip_word(em_json *s, const char *word) {
    size_t n = strlen(word);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n)) return em_json_expected(s, "a value");
    s->p += n;
    return true;
}

static bool skip_number(em_json *s) {
    em_json_take(s, '-');
    if (s->loose && s->p < s->end && *s->p == 'I') return skip_word(s, "Infinity");
    if (!em_json_take(s, '0') && !digits(s, "a digit")) return false;
    if (em_json_take(s, '.') && !digits(s, "a digit after the point")) return false;
    if (em_json_take(s, 'e') || em_json_take(s, 'E')) {
        if (!em_json_take(s, '+')) em_json_take(s, '-');
        return digits(s, "a digit in the exponent");
    }
    return true;
}

/* Past a string, number or word. */
static bool skip_scalar(em_json *s) {
    if (s->p == s->end) return em_json_expected(s, "a value");
    switch (*s->p) {
    case '"': s->p++; return skip_string(s);
    case 't': return skip_word(s, "true");
    case 'f': return skip_word(s, "false");
    case 'n': return skip_word(s, "null");
    case 'N':
        if (s->loose) return skip_word(s, "NaN");
        break;
    case 'I':
        if (s->loose) return skip_word(s, "Infinity");
        break;
    }
    return *s->p == '-' || em_json_is_digit(*s->p) ? skip_number(s)
                                                   : em_json_expected(s, "a value");
}

/* A key's string and colon, up to its value. */
static bool colon(em_json *s) {
    em_json_space(s);
    if (!em_json_take(s, ':')) return em_json_expected(s, "':' after a key");
    em_json_space(s);
    return true;
}

bool em_json_key(em_json *s, em_buffer *scratch, const char **key, size_t *n) {
    *key = s->p;
    s->p = s->scan->string(s->p, s->end);
    *n = (size_t)(s->p - *key);
    if (!em_json_take(s, '"')) {
        s->p = *key;
        s->loose = true;
        bool good = em_json_string(s, scratch);
        s->loose = false;
        if (!good) return false;
        *key = scratch->data;
        *n = scratch->length;
    }
    return colon(s);
}

static bool skip_key(em_json *s) {
    em_json_space(s);
    if (!em_json_take(s, '"')) return em_json_expected(s, "a key in quotes");
    return skip_string(s) && colon(s);
}

/* The stack says which bracket closes each open level. */
bool em_json_skip(em_json *s, int depth) {
    char closes[EM_JSON_DEPTH];
    int open = 0;
    for (;;) {
        char close = s->p == s->end ? 0 : *s->p == '{' ? '}' : *s->p == '[' ? ']' : 0;
        if (close) {
            if (depth + open == EM_JSON_DEPTH)
                return EM_JSON_FAIL(s, s->p, "more than %d objects and arrays inside one another",
                                    EM_JSON_DEPTH);
            closes[open++] = close;
            s->p++;
            em_json_space(s);
            if (s->p == s->end || *s->p != close) {
                if (close == '}' && !skip_key(s)) return false;
                continue;
            }
        } else if (!skip_scalar(s)) {
            return false;
        }
        for (;; open--) {
            if (!open) return true;
            em_json_space(s);
            if (!em_json_take(s, closes[open - 1])) break;
        }
        if (!em_json_take(s, ','))
            return em_json_expected(s, closes[open - 1] == '}' ? "',' or '}'" : "',' or ']'");
        em_json_space(s);
        if (closes[open - 1] == '}' && !skip_key(s)) return false;
    }
}

bool em_json_skip_unread(em_json *s, int depth) {
    s->loose = true;
    bool good = em_json_skip(s, depth);
    s->loose = false;
    return good;
}
