#include "loader/record.h"

#include <string.h>

#include "loader/scan.h"

/* What a value is kept for. */
enum { KEEP_TEXT = 1, KEEP_GROUP = 2, GROUP_PARENT = 4 };

/* The last value seen under a wanted key: its kind decides at the end, since a later duplicate wins. */
typedef struct found {
    char kind;              /* first byte of the value, 0: the key is missing */
    const char *at;
} found;

typedef struct parser {
    const char *begin, *p, *end;
    const em_scan *scan;
    const char *text_key, *parent_key, *group_key;  /* not NUL-terminated; NULL: none */
    size_t text_length, parent_length, group_length;
    em_record *out;
    em_buffer key;          /* a key that holds escapes */
    found text, group;
    em_error *err;
} parser;

void em_record_free(em_record *r) {
    em_buffer_free(&r->text);
    em_buffer_free(&r->group);
}

static inline bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
static inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool em_record_blank(const char *line, size_t n) {
    size_t i = 0;
    while (i < n && is_space(line[i])) i++;
    return i == n;
}

/* ---- errors ---- */

/* Fails at a place of the line, with a printf format. */
#define FAIL_AT(s, at, ...) em_fail_at((s)->err, EM_INPUT, NULL, 0, (at) - (s)->begin, __VA_ARGS__)

/* "expected a value, found 'x'" at p. */
static bool expected(parser *s, const char *what) {
    if (s->p == s->end) return FAIL_AT(s, s->p, "expected %s, but the record ends", what);
    unsigned char c = (unsigned char)*s->p;
    if (c > 0x20 && c < 0x7f) return FAIL_AT(s, s->p, "expected %s, found '%c'", what, c);
    return FAIL_AT(s, s->p, "expected %s, found byte 0x%02x", what, c);
}

/* ---- the scanner's small steps ---- */

static inline void skip_space(parser *s) {
    while (s->p < s->end && is_space(*s->p)) s->p++;
}

static inline bool take(parser *s, char c) {
    if (s->p == s->end || *s->p != c) return false;
    s->p++;
    return true;
}

static inline int hex_digit(char c) {
    char lower = (char)(c | 0x20);
    return is_digit(c) ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
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
static size_t unicode_escape(parser *s, char *out) {
    const char *at = s->p;
    int x = hex4(at + 2, s->end);
    if (x < 0) return FAIL_AT(s, at, "\\u needs four hex digits");
    s->p += 6;
    if (x < 0xd800 || x > 0xdfff) return encode_utf8((unsigned)x, out);
    if (x > 0xdbff) return FAIL_AT(s, at, "a low surrogate without a high one before it");
    int low = s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u' ? hex4(s->p + 2, s->end) : -1;
    if (low < 0xdc00 || low > 0xdfff) return FAIL_AT(s, at, "a high surrogate without a low one after it");
    s->p += 6;
    return encode_utf8(0x10000u + ((unsigned)(x - 0xd800) << 10) + (unsigned)(low - 0xdc00), out);
}

/* The escape whose backslash is at s->p. Returns the bytes written to out, 0 on failure. */
static inline size_t escape(parser *s, char *out) {
    static const char plain[128] = {['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f',
                                    ['n'] = '\n', ['r'] = '\r', ['t'] = '\t'};
    unsigned char c = s->p + 1 < s->end ? (unsigned char)s->p[1] : 0;
    if (c < 128 && plain[c]) {
        *out = plain[c];
        s->p += 2;
        return 1;
    }
    if (c == 'u') return unicode_escape(s, out);
    return FAIL_AT(s, s->p, "a backslash that begins no escape");
}

/* The end of a string's plain run: true at an escape or the closing quote. */
static inline bool next_stop(parser *s) {
    if (s->p < s->end && *s->p == '\\') return true;     /* escapes often come in a row */
    s->p = s->scan->string(s->p, s->end);
    if (s->p == s->end) return FAIL_AT(s, s->p, "the record ends inside a string");
    if ((unsigned char)*s->p >= 0x20) return true;
    return FAIL_AT(s, s->p, "a control character inside a string, where an escape is due");
}

/* Past the string whose opening quote has been taken. */
static bool skip_string(parser *s) {
    char dropped[4];
    for (;;) {
        if (!next_stop(s)) return false;
        if (take(s, '"')) return true;
        if (!escape(s, dropped)) return false;
    }
}

/* The same, unescaped into out, which is emptied first. */
static bool read_string(parser *s, em_buffer *out) {
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
        if (take(s, '"')) break;
        size_t unescaped = escape(s, out->data + out->length);
        if (!unescaped) return false;
        out->length += unescaped;
    }
    out->data[out->length] = 0;
    return true;
}

static bool digits(parser *s, const char *where) {
    if (s->p == s->end || !is_digit(*s->p)) return expected(s, where);
    while (s->p < s->end && is_digit(*s->p)) s->p++;
    return true;
}

static bool skip_number(parser *s) {
    take(s, '-');
    if (!take(s, '0') && !digits(s, "a digit")) return false;
    if (take(s, '.') && !digits(s, "a digit after the point")) return false;
    if (take(s, 'e') || take(s, 'E')) {
        if (!take(s, '+')) take(s, '-');
        return digits(s, "a digit in the exponent");
    }
    return true;
}

static bool skip_word(parser *s, const char *word) {
    size_t n = strlen(word);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n)) return expected(s, "a value");
    s->p += n;
    return true;
}

/* Past a string, number or word. */
static bool skip_scalar(parser *s) {
    if (s->p == s->end) return expected(s, "a value");
    switch (*s->p) {
    case '"': s->p++; return skip_string(s);
    case 't': return skip_word(s, "true");
    case 'f': return skip_word(s, "false");
    case 'n': return skip_word(s, "null");
    }
    return *s->p == '-' || is_digit(*s->p) ? skip_number(s) : expected(s, "a value");
}

/* A key's string and colon, up to its value. */
static bool key_done(parser *s) {
    skip_space(s);
    if (!take(s, ':')) return expected(s, "':' after a key");
    skip_space(s);
    return true;
}

static bool skip_key(parser *s) {
    skip_space(s);
    if (!take(s, '"')) return expected(s, "a key in quotes");
    return skip_string(s) && key_done(s);
}

/* Past any value, depth levels deep already. The stack says which bracket closes each open level. */
static bool skip_value(parser *s, int depth) {
    char closes[EM_RECORD_DEPTH];
    int open = 0;
    for (;;) {
        char close = s->p == s->end ? 0 : *s->p == '{' ? '}' : *s->p == '[' ? ']' : 0;
        if (close) {
            if (depth + open == EM_RECORD_DEPTH)
                return FAIL_AT(s, s->p, "more than %d objects and arrays inside one another", EM_RECORD_DEPTH);
            closes[open++] = close;
            s->p++;
            skip_space(s);
            if (s->p == s->end || *s->p != close) {
                if (close == '}' && !skip_key(s)) return false;
                continue;
            }
        } else if (!skip_scalar(s)) {
            return false;
        }
        for (;; open--) {
            if (!open) return true;
            skip_space(s);
            if (!take(s, closes[open - 1])) break;
        }
        if (!take(s, ',')) return expected(s, closes[open - 1] == '}' ? "',' or '}'" : "',' or ']'");
        skip_space(s);
        if (closes[open - 1] == '}' && !skip_key(s)) return false;
    }
}

/* ---- the record ---- */

static bool same(const char *a, size_t n, const char *wanted, size_t length) {
    return wanted && n == length && !memcmp(a, wanted, n);
}

/* Takes a key (opening quote taken) and its colon; *keep says what its value is wanted for. */
static bool read_key(parser *s, bool inside_parent, int *keep) {
    const char *key = s->p;
    s->p = s->scan->string(s->p, s->end);
    size_t n = (size_t)(s->p - key);
    if (!take(s, '"')) {
        s->p = key;
        if (!read_string(s, &s->key)) return false;
        key = s->key.data;
        n = s->key.length;
    }
    *keep = 0;
    if (inside_parent || !s->parent_key) *keep |= same(key, n, s->group_key, s->group_length) ? KEEP_GROUP : 0;
    if (!inside_parent && same(key, n, s->text_key, s->text_length)) *keep |= KEEP_TEXT;
    if (!inside_parent && same(key, n, s->parent_key, s->parent_length)) *keep |= GROUP_PARENT;
    return key_done(s);
}

static bool read_members(parser *s, bool inside_parent);

/* The value of a wanted key. */
static bool read_value(parser *s, bool inside_parent, int keep) {
    const char *at = s->p;
    found value = {at < s->end ? *at : 0, at};
    if (keep & KEEP_TEXT) s->text = value;
    if (keep & KEEP_GROUP) s->group = value;
    if (keep & GROUP_PARENT) {
        s->group = (found){0};       /* of an earlier duplicate of the parent */
        if (value.kind == '{' && !(keep & KEEP_TEXT)) {
            s->p++;
            return read_members(s, true);
        }
    }
    if (value.kind != '"' || !(keep & (KEEP_TEXT | KEEP_GROUP))) {
        if (!skip_value(s, inside_parent ? 2 : 1)) return false;
        if (!(keep & KEEP_GROUP) || value.kind == '"') return true;
        em_buffer_clear(&s->out->group);
        bool is_text = value.kind != '{' && value.kind != '[' && value.kind != 'n';
        return !is_text || em_buffer_append(&s->out->group, at, (size_t)(s->p - at), s->err);
    }
    s->p++;
    if (!read_string(s, keep & KEEP_TEXT ? &s->out->text : &s->out->group)) return false;
    if (keep != (KEEP_TEXT | KEEP_GROUP)) return true;
    em_buffer_clear(&s->out->group);
    return em_buffer_append(&s->out->group, s->out->text.data, s->out->text.length, s->err);
}

/* Past the members and the closing brace of an object whose opening one has been taken. */
static bool read_members(parser *s, bool inside_parent) {
    skip_space(s);
    if (take(s, '}')) return true;
    for (;;) {
        int keep;
        skip_space(s);
        if (!take(s, '"')) return expected(s, "a key in quotes");
        if (!read_key(s, inside_parent, &keep)) return false;
        if (!(keep ? read_value(s, inside_parent, keep) : skip_value(s, inside_parent ? 2 : 1))) return false;
        skip_space(s);
        if (take(s, '}')) return true;
        if (!take(s, ',')) return expected(s, "',' or '}'");
    }
}

static const char *kind_name(char first) {
    switch (first) {
    case '"': return "a string";
    case '{': return "an object";
    case '[': return "an array";
    case 'n': return "null";
    case 't': case 'f': return "a boolean";
    }
    return "a number";
}

/* Whether the values that won are of a kind that can be used. */
static bool check_found(parser *s, const em_record_keys *keys) {
    if (!s->text.kind) return em_fail(s->err, EM_INPUT, "no \"%s\" key (--text-key names another)", keys->text);
    if (s->text.kind != '"')
        return FAIL_AT(s, s->text.at, "\"%s\" is %s, not a string", keys->text, kind_name(s->text.kind));
    if (s->group.kind == '{' || s->group.kind == '[')
        return FAIL_AT(s, s->group.at, "\"%s\" is %s, where --group-by needs a string, a number, true or false",
                       keys->group, kind_name(s->group.kind));
    if (s->group.kind == '"' && memchr(s->out->group.data, 0, s->out->group.length))
        return FAIL_AT(s, s->group.at, "\"%s\" holds U+0000, which no group name can", keys->group);
    if (!s->group.kind || s->group.kind == 'n') em_buffer_clear(&s->out->group);
    return true;
}

static void set_keys(parser *s, const em_record_keys *keys) {
    s->text_key = keys->text;
    s->text_length = strlen(keys->text);
    if (!keys->group || !*keys->group) return;
    const char *dot = strchr(keys->group, '.');
    if (dot) {
        s->parent_key = keys->group;
        s->parent_length = (size_t)(dot - keys->group);
    }
    s->group_key = dot ? dot + 1 : keys->group;
    s->group_length = strlen(s->group_key);
}

static bool check_utf8(parser *s) {
    size_t n = (size_t)(s->end - s->begin), good = s->scan->utf8(s->begin, n);
    if (good == n) return true;
    return FAIL_AT(s, s->begin + good, "bytes that are not UTF-8, from 0x%02x on", (unsigned char)s->begin[good]);
}

static bool read_record(parser *s) {
    skip_space(s);
    if (!take(s, '{')) return expected(s, "'{', since a record is a JSON object");
    if (!read_members(s, false)) return false;
    skip_space(s);
    return s->p == s->end || expected(s, "nothing more after the record's '}'");
}

bool em_record_parse(const char *line, size_t n, const em_record_keys *keys, em_record *out, em_error *err) {
    parser s = {.begin = line, .p = line, .end = line + n, .scan = em_scan_best(), .out = out, .err = err};
    set_keys(&s, keys);
    em_buffer_clear(&out->text);
    em_buffer_clear(&out->group);
    bool good = check_utf8(&s) && read_record(&s) && check_found(&s, keys);
    em_buffer_free(&s.key);
    return good;
}
