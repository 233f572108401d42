/* KL(after || before) of two softmaxes over the same ids, from one pass over their logits, slice by
 * slice: what the host, the kernels and the tests share.
 *
 * Of logits z and w with maxima M and N so far, an id has a = exp(z - M), b = exp(w - N) and d = (z
 * - M) - (w - N), in double. KL = (sum of a d) / A + log(B / A), A and B the sums of a and b. Of
 * models that hardly differ that is a small difference of large terms, so ids are summed in two
 * kinds. Those with |d| < 1/2, near ones, add a (d + exp(-d) - 1), which is at least 0, and b - a =
 * a (exp(-d) - 1), both by a series; the others, far ones, add a d and b - a as they stand. Then KL
 * = (sum of the first) / A + log(1 + (near + far) / A) - near / A, near and far the sums of b - a
 * of their kind. Relative errors are those of f32 exponentials, some 1e-6, from logits that differ
 * by 1e-6 to logits of 1e30. */
#ifndef EM_KERNELS_DIVERGENCE_H
#define EM_KERNELS_DIVERGENCE_H

#include <math.h>

#ifndef EM_BOTH
#ifdef __CUDACC__
#define EM_BOTH static __host__ __device__ inline
#else
#define EM_BOTH static inline
#endif
#endif

typedef struct em_divergence {
    double sum;          /* A */
    double first;        /* see above */
    double near, far;    /* B - A = near + far */
    float after, before; /* M and N */
} em_divergence;

/* Of no id yet, under these maxima. */
EM_BOTH em_divergence em_divergence_none(float after, float before) {
    em_divergence v = {0, 0, 0, 0, after, before};
    return v;
}

/* d + exp(-d) - 1 for |d| < 1/2, over d^2: the series of exp, within 4e-8 of 1. */
#define EM_DIVERGENCE_SERIES \
    { \
        2.48015873e-5f, -1.98412698e-4f, 1.38888889e-3f, -8.33333333e-3f, 4.16666667e-2f, \
            -0.166666667f, 0.5f \
    }

/* Adds an id with logits z <= v->after and w <= v->before. */
EM_BOTH void em_divergence_add(em_divergence *v, float z, float w) {
    const float series[] = EM_DIVERGENCE_SERIES;
    float a = expf(z - v->after), b = expf(w - v->before);
    double d = ((double)z - (double)v->after) - ((double)w - (double)v->before);
    v->sum += (double)a;
    if (fabs(d) < 0.5) {
        float x = (float)d, p = series[0];
        for (int i = 1; i < 7; i++) p = fmaf(p, x, series[i]);
        v->first += (double)(a * p * x * x);
        v->near += (double)(a * p * x * x - a * x);
    } else {
        if (a > 0) v->first += (double)a * d; /* 0 times infinity would be NaN */
        v->far += (double)b - (double)a;
    }
}

/* The same sums under other maxima: all d become d - shift, all a and b are multiplied. */
EM_BOTH em_divergence em_divergence_under(em_divergence v, float after, float before) {
    if (v.after == -INFINITY && v.before == -INFINITY) return em_divergence_none(after, before);
    double up = (double)after - (double)v.after, shift = up - ((double)before - (double)v.before);
    double a = exp(-up), b = exp((double)v.before - (double)before), less = b - a,
           rest = less - a * shift;
    if (fabs(shift) < 0.5) {
        double grown = expm1(shift); /* b = a exp(shift) */
        less = a * grown;
        rest = a * (grown - shift);
    }
    em_divergence u = {a * v.sum,
                       a * v.first + less * v.near + rest * v.sum,
                       b * v.near + less * v.sum,
                       b * v.far,
                       after,
                       before};
    return u;
}

/* Of the ids of both. The same whichever comes first. */
EM_BOTH em_divergence em_divergence_merge(em_divergence x, em_divergence y) {
    float after = x.after > y.after ? x.after : y.after,
          before = x.before > y.before ? x.before : y.before;
    x = em_divergence_under(x, after, before);
    y = em_divergence_under(y, after, before);
    em_divergence sum = {x.sum + y.sum, x.first + y.first, x.near + y.near, x.far + y.far, after,
                         before};
    return sum;
}

/* KL in nats, at least 0, and exactly 0 where both have the same logits; NaN stays NaN. */
EM_BOTH double em_divergence_kl(em_divergence v) {
    double kl = v.first / v.sum + (log1p((v.near + v.far) / v.sum) - v.near / v.sum);
    return kl < 0 ? 0 : kl;
}

#endif
