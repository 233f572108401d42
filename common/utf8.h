/* What a character is in UTF-8 (RFC 3629, section 4). */
#ifndef EM_COMMON_UTF8_H
#define EM_COMMON_UTF8_H

#include <stddef.h>

/* Bytes of the character at s (n > 0 left), or 0 where there is none. */
static inline size_t em_utf8_character(const unsigned char *s, size_t n) {
    unsigned char c = s[0];
    if (c < 0x80) return 1;
    if (c < 0xc2 || c > 0xf4) return 0;
    size_t length = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (n < length) return 0;
    unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80; /* shorter forms exist below */
    unsigned char high = c == 0xed   ? 0x9f
                         : c == 0xf4 ? 0x8f
                                     : 0xbf; /* surrogates; beyond U+10FFFF */
    if (s[1] < low || s[1] > high) return 0;
    for (size_t i = 2; i < length; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    return length;
}

#endif
