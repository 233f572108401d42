#include "common/grouped.h"

#include <math.h>

void em_grouped_add(em_grouped *g, double sum, int64_t predictions) {
    if (predictions == 0) return;
    double n = (double)predictions;
    if (g->n == 0) g->centre = sum / n;
    double x = sum - g->centre * n;
    g->xx += x * x;
    g->xn += x * n;
    g->nn += n * n;
    g->xxn += x * x * n;
    g->xnn += x * n * n;
    g->nnn += n * n * n;
    g->n++;
}

double em_grouped_stderr(const em_grouped *g, double mean, int64_t predictions) {
    if (g->n < 2) return NAN;
    double d = mean - g->centre, n = (double)g->n, squares = g->xx - 2 * d * g->xn + d * d * g->nn;
    return sqrt(n / (n - 1) * (squares > 0 ? squares : 0)) / (double)predictions;
}

double em_grouped_effective(const em_grouped *g, int64_t predictions) {
    return g->n ? (double)predictions * (double)predictions / g->nn : 0;
}

/* The scale of Student's density: what cos^(df-1) is multiplied with to have the integral 1. */
static double student_scale(double df) {
    return exp(lgamma((df + 1) / 2) - lgamma(df / 2)) / sqrt(M_PI);
}

/* P(|T| > t): the integral of cos^(df-1) from atan(t/sqrt(df)) to pi/2, by Simpson's rule. */
static double both_tails(double t, double df) {
    enum { STEPS = 512 };
    double from = atan(t / sqrt(df)), step = (M_PI_2 - from) / STEPS, sum = 0;
    for (int i = 0; i < STEPS; i++)
        sum += (i == 0 ? 1 : i % 2 ? 4 : 2) * pow(cos(from + step * i), df - 1);
    return 2 * student_scale(df) * sum * step / 3;
}

double em_student_point(double df) {
    double z = 1.959963984540054, z2 = z * z;
    /* Abramowitz and Stegun 26.7.5 */
    double t = z + z * (z2 + 1) / (4 * df) + z * ((5 * z2 + 16) * z2 + 3) / (96 * df * df) +
               z * (((3 * z2 + 19) * z2 + 17) * z2 - 15) / (384 * df * df * df);
    for (int i = 0; i < 10 && df < 100; i++) { /* Newton's method */
        double density = student_scale(df) / sqrt(df) * pow(1 + t * t / df, -(df + 1) / 2);
        t += (both_tails(t, df) - 0.05) / (2 * density);
    }
    return t;
}

/* What an interval is wide on either side; NaN where there is none. */
static double half_width(const em_grouped *g, int64_t predictions, double stderr_) {
    double effective = em_grouped_effective(g, predictions);
    if (!(effective >= EM_LEAST_GROUPS - 1e-9)) return NAN;
    return em_student_point(effective - 1) * stderr_;
}

void em_grouped_interval(const em_grouped *g, double mean, int64_t predictions, double *low,
                         double *high) {
    double d = mean - g->centre, n = (double)predictions,
           squares = g->xx - 2 * d * g->xn + d * d * g->nn,
           pulled = g->xxn - 2 * d * g->xnn + d * d * g->nnn, sum = squares + 2 * pulled / n,
           half = half_width(g, predictions, sqrt(sum > 0 ? sum : 0) / n);
    *low = mean - half;
    *high = mean + half;
}

double em_documents_to_resolve(int64_t documents, double difference, double stderr_) {
    double z = 1.959963984540054 * stderr_ / difference; /* the normal 97.5 % point */
    return ceil((double)documents * z * z);
}

/* splitmix64's finalizer (Steele, Lea, Flood 2014): a counter-based generator. */
static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Poisson(1) by inversion of a uniform 53-bit number: cumulated[k] = e^-1 Σ_{i<=k} 1/i!. */
static int poisson(const double *cumulated, uint64_t bits) {
    double u = (double)(bits >> 11) * 0x1p-53;
    int k = 0;
    while (k < 30 && u >= cumulated[k]) k++;
    return k;
}

void em_bootstrap_add(em_bootstrap *b, uint64_t seed, int64_t group, double sum,
                      int64_t predictions) {
    if (predictions == 0) return;
    double n = (double)predictions, cumulated[30], p = exp(-1);
    cumulated[0] = p;
    for (int k = 1; k < 30; k++) cumulated[k] = cumulated[k - 1] + (p /= k);
    uint64_t key = mix(seed + 0x9e3779b97f4a7c15u * (uint64_t)(group + 1));
    for (int r = 0; r < EM_REPLICATES; r++) {
        int w = poisson(cumulated, mix(key + 0x9e3779b97f4a7c15u * (uint64_t)(r + 1)));
        b->sums[r] += w * sum;
        b->counts[r] += w * n;
    }
}

void em_bootstrap_interval(const em_bootstrap *b, const em_bootstrap *less, const em_grouped *g,
                           int64_t predictions, double excess, double *low, double *high) {
    double n = 0, sum = 0, squares = 0, groups = (double)g->n;
    for (int r = 0; r < EM_REPLICATES; r++) {
        if (!(b->counts[r] > 0 && less->counts[r] > 0)) continue;
        double x = b->sums[r] / b->counts[r] - less->sums[r] / less->counts[r] - excess;
        sum += x;
        squares += x * x;
        n++;
    }
    double variance = (squares - sum * sum / n) / (n - 1) * groups / (groups - 1),
           half = half_width(g, predictions, sqrt(variance > 0 ? variance : 0));
    if (n < EM_REPLICATES / 2) half = NAN;
    *low = excess - half;
    *high = excess + half;
}

bool em_grouped_state(em_grouped *g, em_state *s) {
    return em_state_count(s, &g->n) && EM_STATE(s, g->centre) && EM_STATE(s, g->xx) &&
           EM_STATE(s, g->xn) && EM_STATE(s, g->nn) && EM_STATE(s, g->xxn) && EM_STATE(s, g->xnn) &&
           EM_STATE(s, g->nnn);
}
