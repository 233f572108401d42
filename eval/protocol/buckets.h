/* Positions in a document by powers of two: bucket 0 is position 0, bucket b > 0 is [2^(b-1), 2^b).
 */
#ifndef EM_EVAL_BUCKETS_H
#define EM_EVAL_BUCKETS_H

#include <stdint.h>

enum { EM_POSITION_BUCKETS = 40 };

/* Of a place in a document, from 0. */
static inline int em_position_bucket(int64_t place) {
    int b = 0;
    for (; place > 0 && b < EM_POSITION_BUCKETS - 1; place >>= 1) b++;
    return b;
}

/* The bucket's places are [from, to). */
static inline int64_t em_bucket_from(int b) { return b == 0 ? 0 : INT64_C(1) << (b - 1); }
/* The first position behind bucket b. */
static inline int64_t em_bucket_to(int b) { return INT64_C(1) << b; }

#endif
