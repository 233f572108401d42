#include "common/shown.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/utf8.h"

/* Unicode 15, Bidi_Control, the separators of lines and paragraphs, and what XML has no form for.
 */
static bool turns(uint32_t c) {
    return c == 0xfffe || c == 0xffff || c == 0x61c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

/* Of two or three bytes: no control has four. */
static uint32_t code_point(const unsigned char *s, size_t n) {
    if (n == 2) return (uint32_t)(s[0] & 0x1f) << 6 | (s[1] & 0x3f);
    if (n == 3) return (uint32_t)(s[0] & 0xf) << 12 | (uint32_t)(s[1] & 0x3f) << 6 | (s[2] & 0x3f);
    return s[0];
}

size_t em_shown_character(const char *s, size_t n, char out[EM_SHOWN_BYTES]) {
    const unsigned char *u = (const unsigned char *)s;
    size_t length = em_utf8_character(u, n);
    uint32_t c = length && length < 4 ? code_point(u, length) : 'x';
    if (!length) snprintf(out, EM_SHOWN_BYTES, "\\x%02x", u[0]);
    else if (c < 0x20 || (c >= 0x7f && c < 0xa0)) snprintf(out, EM_SHOWN_BYTES, "\\x%02x", c);
    else if (turns(c)) snprintf(out, EM_SHOWN_BYTES, "\\u%04x", c);
    else memcpy(out, s, length), out[length] = 0;
    return length ? length : 1;
}

void em_show(char *out, size_t room, const char *s) {
    char one[EM_SHOWN_BYTES];
    size_t n = strlen(s), at = 0;
    for (size_t i = 0; i < n;) {
        i += em_shown_character(s + i, n - i, one);
        size_t m = strlen(one);
        if (at + m >= room) break;
        memcpy(out + at, one, m);
        at += m;
    }
    out[at] = 0;
}
