/* The two loops over bytes that decide the speed of reading records: the end of a JSON
 * string's plain run, and the UTF-8 check. A portable reference and vector versions of both. */
#ifndef EM_LOADER_SCAN_H
#define EM_LOADER_SCAN_H

#include <stddef.h>

typedef struct em_scan {
    const char *name; /* "portable", "sse2", "avx2" */
    /* First byte in [p, end) that cannot stand for itself in a JSON string: a quote, a
     * backslash or a byte below 0x20; end where there is none. Reads nothing outside [p, end). */
    const char *(*string)(const char *p, const char *end);
    /* Bytes before the first one that is not part of valid UTF-8 (RFC 3629: no overlong forms, no
     * surrogates, nothing above U+10FFFF); n where all is valid. A character that is broken or
     * cut is counted as beginning at its first byte. */
    size_t (*utf8)(const char *p, size_t n);
} em_scan;

/* Those that this machine can run, slowest (the portable one) first; the last is the best. */
const em_scan *const *em_scans(size_t *n);
/* The fastest that this machine runs. */
const em_scan *em_scan_best(void);

#endif
