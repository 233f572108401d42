#include "common/grouped.h"

#include <math.h>
#include <stdlib.h>

void em_grouped_add(em_grouped *g, double sum, int64_t predictions) {
    if (predictions == 0) return;
    double n = (double)predictions;
    if (g->n == 0) g->centre = sum / n;
    double x = sum - g->centre * n;
    g->xx += x * x;
    g->xn += x * n;
    g->nn += n * n;
    g->total += n;
    g->x += x;
    g->xxx += x * x * x;
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

/* x, n: a replicate's sums less their means. The second and the third power of a Poisson(1) weight
 * about its mean are 1 on average, so averages over replicates estimate sums over groups. */
static void add_replicate(em_grouped *g, double x, double n) {
    g->xx += x * x / EM_REPLICATES;
    g->xn += x * n / EM_REPLICATES;
    g->nn += n * n / EM_REPLICATES;
    g->xxx += x * x * x / EM_REPLICATES;
    g->xxn += x * x * n / EM_REPLICATES;
    g->xnn += x * n * n / EM_REPLICATES;
    g->nnn += n * n * n / EM_REPLICATES;
}

em_grouped em_bootstrap_growth(const em_bootstrap *b, const em_bootstrap *less, int64_t groups,
                               double growth, int64_t predictions) {
    em_grouped g = {.n = groups, .centre = growth, .total = (double)predictions};
    double sum = 0, count = 0;
    for (int r = 0; r < EM_REPLICATES; r++) {
        sum += (b->sums[r] - less->sums[r] - growth * b->counts[r]) / EM_REPLICATES;
        count += b->counts[r] / EM_REPLICATES;
    }
    for (int r = 0; r < EM_REPLICATES; r++)
        add_replicate(&g, b->sums[r] - less->sums[r] - growth * b->counts[r] - sum,
                      b->counts[r] - count);
    return g;
}

bool em_grouped_state(em_grouped *g, em_state *s) {
    return em_state_count(s, &g->n) && EM_STATE(s, g->centre) && EM_STATE(s, g->xx) &&
           EM_STATE(s, g->xn) && EM_STATE(s, g->nn) && EM_STATE(s, g->total) && EM_STATE(s, g->x) &&
           EM_STATE(s, g->xxx) && EM_STATE(s, g->xxn) && EM_STATE(s, g->xnn) && EM_STATE(s, g->nnn);
}
