/* Fingerprints: the first 16 hex digits of XXH3-128 (canonical form). */
#ifndef EM_COMMON_HASH_H
#define EM_COMMON_HASH_H

#include <stdio.h>
#include <xxhash.h>

/* The first 8 bytes of a digest as 16 hex digits and a NUL. */
static inline void em_hash_hex(XXH128_hash_t h, char out[17]) {
    snprintf(out, 17, "%016llx", (unsigned long long)h.high64);
}

#endif
