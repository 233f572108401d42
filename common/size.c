#include "common/size.h"

#include <stdlib.h>
#include <string.h>

void *em_alloc(size_t n, size_t size, const char *what, em_error *err) {
    size_t bytes;
    if (!em_size_mul(n, size, &bytes)) {
        em_fail(err, EM_MACHINE, "out of memory: %zu times %zu bytes for %s", n, size, what);
        return NULL;
    }
    void *p = calloc(bytes ? bytes : 1, 1);
    if (!p) em_fail_memory(err, bytes, what);
    return p;
}

bool em_grow(void *data, size_t *capacity, size_t need, size_t size, const char *what,
             em_error *err) {
    if (need <= *capacity) return true;
    size_t n = *capacity < 16 ? 16 : *capacity, bytes;
    while (n < need)
        if (!em_size_add(n, n, &n)) return em_fail_memory(err, need, what);
    if (!em_size_mul(n, size, &bytes)) return em_fail_memory(err, need, what);
    void *old;
    memcpy(&old, data, sizeof old);
    void *grown = realloc(old, bytes);
    if (!grown) return em_fail_memory(err, bytes, what);
    memcpy(data, &grown, sizeof grown);
    *capacity = n;
    return true;
}
