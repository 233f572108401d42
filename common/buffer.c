#include "common/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"

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
