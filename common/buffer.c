#include "common/buffer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "common/shown.h"
#include "common/utf8.h"

void em_buffer_free(em_buffer *b) {
    free(b->data);
    *b = (em_buffer){0};
}

void em_buffer_clear(em_buffer *b) {
    b->length = 0;
    if (b->data) b->data[0] = 0;
}

bool em_buffer_reserve(em_buffer *b, size_t capacity, em_error *err) {
    size_t need;
    if (!em_size_add(capacity, 1, &need)) return em_fail_memory(err, capacity, "a string");
    return em_grow(&b->data, &b->capacity, need, 1, "a string", err);
}

bool em_buffer_append(em_buffer *b, const void *data, size_t n, em_error *err) {
    size_t need;
    if (!em_size_add(b->length, n, &need)) return em_fail_memory(err, n, "a string");
    if (!em_buffer_reserve(b, need, err)) return false;
    if (n) memcpy(b->data + b->length, data, n);
    b->length += n;
    b->data[b->length] = 0;
    return true;
}

static void out_of_memory(void) {
    fputs("evalmask: out of memory while writing a report\n", stderr);
    exit(EM_MACHINE);
}

void em_buffer_puts(em_buffer *b, const char *s) {
    if (!em_buffer_append(b, s, strlen(s), NULL)) out_of_memory();
}

void em_buffer_printf(em_buffer *b, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || !em_buffer_reserve(b, b->length + (size_t)n, NULL)) out_of_memory();
    vsnprintf(b->data + b->length, (size_t)n + 1, format, again);
    va_end(again);
    b->length += (size_t)n;
}

void em_buffer_double(em_buffer *b, double x) {
    char text[40] = "null";
    for (int digits = 15; isfinite(x) && digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x) break;
    }
    em_buffer_puts(b, text);
}

void em_buffer_json(em_buffer *b, const char *s, size_t n) {
    static const char letters[] = "\bb\tt\nn\ff\rr\"\"\\\\";
    em_buffer_puts(b, "\"");
    for (size_t i = 0, length; i < n; i += length ? length : 1) {
        unsigned char c = (unsigned char)s[i];
        length = em_utf8_character((const unsigned char *)s + i, n - i);
        const char *letter = c ? strchr(letters, c) : NULL;
        while (letter && (letter - letters) % 2) letter = strchr(letter + 1, c);
        if (!length) em_buffer_puts(b, "\xef\xbf\xbd");
        else if (letter) em_buffer_printf(b, "\\%c", letter[1]);
        else if (c < 0x20 || c == 0x7f) em_buffer_printf(b, "\\u%04x", c);
        else if (!em_buffer_append(b, s + i, length, NULL)) out_of_memory();
    }
    em_buffer_puts(b, "\"");
}

void em_buffer_shown(em_buffer *b, const char *s, size_t n) {
    char one[EM_SHOWN_BYTES];
    for (size_t i = 0; i < n;) {
        i += em_shown_character(s + i, n - i, one);
        em_buffer_puts(b, one);
    }
}
