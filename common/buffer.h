/* A growing byte string, always NUL-terminated past its length. */
#ifndef EM_COMMON_BUFFER_H
#define EM_COMMON_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include "common/error.h"

typedef struct em_buffer {
    char *data;    /* owned; NULL while empty and never written */
    size_t length; /* bytes, without the NUL */
    size_t capacity;
} em_buffer;

void em_buffer_free(em_buffer *b);  /* frees and zeroes */
void em_buffer_clear(em_buffer *b); /* length 0, keeps the memory */
/* Room for capacity bytes and the NUL; EM_MACHINE. */
bool em_buffer_reserve(em_buffer *b, size_t capacity, em_error *err);
/* n bytes of data, copied, behind what b holds; EM_MACHINE. */
bool em_buffer_append(em_buffer *b, const void *data, size_t n, em_error *err);
/* Text output: on lack of memory these end the program with exit code 4 and a line
 * on stderr (a report that cannot be held has no better way out). s: up to its NUL. */
void em_buffer_puts(em_buffer *b, const char *s);
/* As printf. */
void em_buffer_printf(em_buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Shortest decimal that reads back as the same double; "null" where x is not finite. */
void em_buffer_double(em_buffer *b, double x);
/* A JSON string with its quotes; s is UTF-8 (bytes that are not become U+FFFD), may hold NULs. */
void em_buffer_json(em_buffer *b, const char *s, size_t n);

/* s, n bytes, as common/shown.h shows text of others. */
void em_buffer_shown(em_buffer *b, const char *s, size_t n);

#endif
