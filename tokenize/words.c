#include "tokenize/words.h"

#include "tokenize/unicode.h"

static inline em_char_class class_at(const char *s, size_t i, unsigned *length) {
    unsigned char c = (unsigned char)s[i];
    if (c < 128) {
        *length = 1;
        return (em_char_class)em_ascii_class[c];
    }
    return em_char_class_wide(em_utf8_at(s + i, length));
}

/* The end of the run of characters of one class. */
static inline size_t run(const char *s, size_t n, size_t i, em_char_class class) {
    unsigned length;
    while (i < n && class_at(s, i, &length) == class) i += length;
    return i;
}

/* \s+(?!\S)|\s+ : all of the run at the end of the text, else all but its last character, which
 * goes to the next word; a run of one is taken whole. */
static size_t spaces(const char *s, size_t n, size_t i, size_t end) {
    size_t last;
    if (end == n) return end;
    em_utf8_before(s, end, &last);
    return last > i ? last : end;
}

/* The bytes of 's 't 're 've 'm 'll 'd at s[i], 0 where there is none. folded: in any case, and
 * U+017F (long s) is an s. */
static size_t contraction(const char *s, size_t n, size_t i, int folded) {
    if (s[i] != '\'' || n - i < 2) return 0;
    char a = s[i + 1], b = n - i > 2 ? s[i + 2] : 0;
    if (folded && a == '\xc5' && b == '\xbf') return 3;
    if (folded && a >= 'A' && a <= 'Z') a = (char)(a + 32);
    if (folded && b >= 'A' && b <= 'Z') b = (char)(b + 32);
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

size_t em_gpt2_word(const char *s, size_t n, size_t i) {
    unsigned length, next_length;
    size_t found = contraction(s, n, i, 0);
    if (found) return i + found;
    em_char_class class = class_at(s, i, &length);
    if (class != EM_CHAR_SPACE) return run(s, n, i + length, class);
    if (s[i] == ' ' && i + 1 < n) {
        em_char_class next = class_at(s, i + 1, &next_length);
        if (next != EM_CHAR_SPACE) return run(s, n, i + 1 + next_length, next);
    }
    return spaces(s, n, i, run(s, n, i + length, EM_CHAR_SPACE));
}

static inline size_t newlines(const char *s, size_t n, size_t i) {
    while (i < n && (s[i] == '\r' || s[i] == '\n')) i++;
    return i;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ at a white space: up to the run's last line end if it has one. */
static size_t space_lines(const char *s, size_t n, size_t i) {
    size_t end = run(s, n, i, EM_CHAR_SPACE);
    for (size_t j = end; j > i; j--)
        if (s[j - 1] == '\r' || s[j - 1] == '\n') return j;
    return spaces(s, n, i, end);
}

static size_t digits_end(const char *s, size_t n, size_t i, int digits) {
    unsigned length;
    for (int k = 0; k < digits && i < n && class_at(s, i, &length) == EM_CHAR_NUMBER; k++)
        i += length;
    return i;
}

size_t em_llama3_word(const char *s, size_t n, size_t i, int digits) {
    unsigned length, next_length;
    size_t found = contraction(s, n, i, 1);
    if (found) return i + found;
    em_char_class class = class_at(s, i, &length), next = EM_CHAR_SPACE;
    if (class == EM_CHAR_LETTER) return run(s, n, i + length, EM_CHAR_LETTER);
    if (class == EM_CHAR_NUMBER) return digits_end(s, n, i, digits);
    if (i + length < n) next = class_at(s, i + length, &next_length);
    if (next == EM_CHAR_LETTER && s[i] != '\r' && s[i] != '\n')
        return run(s, n, i + length + next_length, EM_CHAR_LETTER);
    if (class == EM_CHAR_OTHER) return newlines(s, n, run(s, n, i + length, EM_CHAR_OTHER));
    if (s[i] == ' ' && next == EM_CHAR_OTHER)
        return newlines(s, n, run(s, n, i + 1 + next_length, EM_CHAR_OTHER));
    return space_lines(s, n, i);
}
