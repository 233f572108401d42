/* Code points: UTF-8, and the character classes that tokenizers' rules are written in. Classes
 * follow Unicode 16, as in Hugging Face tokenizers 0.23, whatever version the libraries hold. */
#ifndef EM_TOKENIZE_UNICODE_H
#define EM_TOKENIZE_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* General categories assigned or changed between Unicode 14 (PCRE2 10.42) and 16. */
typedef struct em_category_range {
    int32_t first, last;
    uint8_t category; /* utf8proc_category_t */
} em_category_range;

extern const em_category_range em_category_changes[];
extern const size_t em_category_changes_count;

/* The first byte that begins no valid character, or n where all of s is valid UTF-8. */
size_t em_utf8_check(const char *s, size_t n);

/* The character at s (valid UTF-8, n > 0 bytes left); *length gets its bytes. */
static inline int32_t em_utf8_at(const char *s, unsigned *length) {
    const unsigned char *u = (const unsigned char *)s;
    if (u[0] < 0x80) {
        *length = 1;
        return u[0];
    }
    if (u[0] < 0xe0) {
        *length = 2;
        return (u[0] & 31) << 6 | (u[1] & 63);
    }
    if (u[0] < 0xf0) {
        *length = 3;
        return (u[0] & 15) << 12 | (u[1] & 63) << 6 | (u[2] & 63);
    }
    *length = 4;
    return (u[0] & 7) << 18 | (u[1] & 63) << 12 | (u[2] & 63) << 6 | (u[3] & 63);
}

/* Bytes of the character that begins with first (valid UTF-8). */
static inline unsigned em_utf8_length(unsigned char first) {
    return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* The character that ends at s + end (valid UTF-8, end > 0); *start gets where it begins. */
int32_t em_utf8_before(const char *s, size_t end, size_t *start);

/* c as UTF-8 in out; returns the bytes. */
unsigned em_utf8_put(int32_t c, char out[4]);

typedef enum em_char_class {
    EM_CHAR_OTHER,
    EM_CHAR_LETTER,
    EM_CHAR_NUMBER,
    EM_CHAR_SPACE
} em_char_class;

extern const uint8_t em_ascii_class[128];
em_char_class em_char_class_wide(int32_t c); /* c >= 128 */

/* \p{L}, \p{N}, \s (White_Space) or none of them; the three do not overlap. */
static inline em_char_class em_char_class_of(int32_t c) {
    return c < 128 ? (em_char_class)em_ascii_class[c] : em_char_class_wide(c);
}

int em_category(int32_t c);  /* utf8proc_category_t */
bool em_is_space(int32_t c); /* White_Space */
bool em_is_word(int32_t c);  /* \w of the Rust crate `regex` (UTS 18) */
bool em_is_punctuation(
    int32_t c); /* of the Punctuation pre-tokenizer: ASCII's, or category P of Unicode 8 */
bool em_is_numeric(
    int32_t c); /* of the Digits pre-tokenizer: category N as Rust's standard library has it */

/* Whether Hugging Face's normalizers know c: their tables (unicode-normalization-alignments 0.1)
 * are of an older Unicode, and later characters pass through them unchanged. */
bool em_normalizes(int32_t c);

#endif
