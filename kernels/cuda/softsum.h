/* A token's softmax so far, over the ids that were seen: kernels merge those of threads, then those
 * of slices of the vocabulary; the host ends it. Online softmax: Milakov and Gimelshein, arXiv
 * 1805.02867. */
#ifndef EM_KERNELS_CUDA_SOFTSUM_H
#define EM_KERNELS_CUDA_SOFTSUM_H

#include <math.h>
#include <stdint.h>
#include "kernels/cuda/plan.h"

typedef struct em_soft {
    double sum; /* of exp(z - max) */
    float max;
    int32_t argmax; /* the lowest id of the largest */
} em_soft;

/* Of no logit at all. */
EM_BOTH em_soft em_soft_none(void) {
    em_soft s = {0, -INFINITY, INT32_MAX};
    return s;
}

/* Sums of both, where large has the larger maximum (or, of equal ones, the lower id). */
EM_BOTH em_soft em_soft_merge_into_larger(em_soft large, em_soft small) {
    if (small.sum == 0) return large; /* nothing was seen; and -inf - -inf would be NaN */
    double factor = (double)expf(small.max - large.max);
    large.sum = fma(small.sum, factor, large.sum);
    return large;
}

/* The same whichever comes first: the sum of two is commutative, and ties take the lower id. NaN
 * stays NaN. */
EM_BOTH em_soft em_soft_merge(em_soft a, em_soft b) {
    bool first = a.max > b.max || (a.max == b.max && a.argmax <= b.argmax);
    return first ? em_soft_merge_into_larger(a, b) : em_soft_merge_into_larger(b, a);
}

/* log of the sum of exp(z), nats. */
EM_BOTH double em_soft_log(em_soft s) { return log(s.sum) + (double)s.max; }

#endif
