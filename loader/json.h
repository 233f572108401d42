/* A strict scanner of one JSON text (RFC 8259) in memory: small steps that a record's own reader is
 * made of. A step that fails has set err with the offset within the text. */
#ifndef EM_LOADER_JSON_H
#define EM_LOADER_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include "common/buffer.h"
#include "common/error.h"
#include "loader/scan.h"

#define EM_JSON_DEPTH 512 /* objects and arrays inside one another, the text itself counted */

typedef struct em_json {
    const char *begin, *p, *end; /* p: the next byte */
    const em_scan *scan;
    em_error *err;
    bool loose; /* in a value that nobody reads: what Python's json writes beyond RFC 8259 passes */
} em_json;

/* At the first byte of text, n bytes, which must outlive s; errors go to err. */
void em_json_begin(em_json *s, const char *text, size_t n, em_error *err);

/* Fails at a place of the text, with a printf format. */
#define EM_JSON_FAIL(s, at, ...) \
    em_fail_at((s)->err, EM_INPUT, NULL, 0, (at) - (s)->begin, __VA_ARGS__)
/* Fails with "expected a value, found 'x'" at p (EM_INPUT, offset within the text). */
bool em_json_expected(em_json *s, const char *what);

/* One of JSON's four characters of white space. */
static inline bool em_json_is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
/* '0' to '9'. */
static inline bool em_json_is_digit(char c) { return c >= '0' && c <= '9'; }

/* Past white space, to the next byte that is none or the end. */
static inline void em_json_space(em_json *s) {
    while (s->p < s->end && em_json_is_space(*s->p)) s->p++;
}

/* Past c and true where p stands on it; false, without an error, elsewhere. */
static inline bool em_json_take(em_json *s, char c) {
    if (s->p == s->end || *s->p != c) return false;
    s->p++;
    return true;
}

/* Whether the whole text is UTF-8; fails at the first byte that is not (EM_INPUT). */
bool em_json_utf8(em_json *s);
/* The string whose opening quote has been taken, unescaped into out (the caller's), which is
 * emptied first. EM_INPUT, EM_MACHINE. */
bool em_json_string(em_json *s, em_buffer *out);
/* A key whose opening quote has been taken, and its colon. *key, [*n] bytes, lies in the text or in
 * scratch (where it holds escapes, half a surrogate pair among them: such a key is no wanted one).
 * EM_INPUT, EM_MACHINE. */
bool em_json_key(em_json *s, em_buffer *scratch, const char **key, size_t *n);
/* Past any value that lies depth levels deep, whose form is that of RFC 8259. EM_INPUT. */
bool em_json_skip(em_json *s, int depth);
/* The same for a value that nobody reads: NaN, Infinity, -Infinity and escapes of half a surrogate
 * pair, which Python's json writes, pass too. EM_INPUT. */
bool em_json_skip_unread(em_json *s, int depth);
/* "a string", "an object" … by a value's first byte (I for both infinities). Static text. */
const char *em_json_kind(char first);

#endif
