/* Sizes from files are checked before they are multiplied or allocated. */
#ifndef EM_COMMON_SIZE_H
#define EM_COMMON_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"

/* True and *out = a*b, or false on overflow. */
static inline bool em_size_mul(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}
/* The same for a+b. */
static inline bool em_size_add(size_t a, size_t b, size_t *out) {
    return !__builtin_add_overflow(a, b, out);
}

/* Zeroed array of n elements of size bytes; NULL with err (EM_MACHINE, naming what) on
 * overflow or lack of memory. n = 0 gives a pointer that may be freed. Release: free(). */
void *em_alloc(size_t n, size_t size, const char *what, em_error *err);

/* data points to the caller's pointer (of any object type). Grows the array (elements of size
 * bytes) so that it holds at least need; doubles. What is new is not zeroed. false: EM_MACHINE, and
 * the array is as it was. Release: free(). */
bool em_grow(void *data, size_t *capacity, size_t need, size_t size, const char *what,
             em_error *err);

#endif
