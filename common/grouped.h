/* What says how sure a mean is: the standard error over groups of predictions (design §4),
 * and what intervals are made of (common/interval.h). Groups are documents, rows or stretches of
 * the stream; memory is flat. */
#ifndef EM_COMMON_GROUPED_H
#define EM_COMMON_GROUPED_H

#include <stdbool.h>
#include <stdint.h>
#include "common/state.h"

/* With x = S_g - c N_g for a fixed c near the mean, `centre`: sums of N, x, x², x N, N² and of the
 * third powers. */
typedef struct em_grouped {
    int64_t n;
    double centre, total, x, xx, xn, nn, xxx, xxn, xnn, nnn;
} em_grouped;

/* Adds a group with the sum of its values and their count; one without predictions is none. */
void em_grouped_add(em_grouped *g, double sum, int64_t predictions);
/* sqrt(G/(G-1) Σ (S_g - mean N_g)²) / predictions, in the unit of mean; NaN for G < 2. mean and
 * predictions are those of all groups together. */
double em_grouped_stderr(const em_grouped *g, double mean, int64_t predictions);
/* How many documents would put 0 at the edge of a 95 % interval, when `documents` gave this
 * difference and its standard error; NaN where either is. */
double em_documents_to_resolve(int64_t documents, double difference, double stderr_);

/* Poisson bootstrap (Hanley and MacGibbon 2006): each group counts Poisson(1) times in a replicate,
 * by a number that depends on (seed, group, replicate) alone. */
enum { EM_REPLICATES = 1000 };

typedef struct em_bootstrap {
    double sums[EM_REPLICATES], counts[EM_REPLICATES];
} em_bootstrap;

/* Adds a group as em_grouped_add does. group: its number. Bootstraps that share seed and group
 * numbers are paired, replicate by replicate. */
void em_bootstrap_add(em_bootstrap *b, uint64_t seed, int64_t group, double sum,
                      int64_t predictions);
/* By how much the mean of b's groups exceeds that of less's, `growth`, as sums over the groups of
 * both, for the standard error and the interval: groups have the same numbers and predictions in
 * both, and their parts were added at different times, so the sums are those of the replicates. A
 * thousand of them give a standard error within 2.3 % (one standard deviation) of the groups' own.
 */
em_grouped em_bootstrap_growth(const em_bootstrap *b, const em_bootstrap *less, int64_t groups,
                               double growth, int64_t predictions);

/* Saves g, or restores it. False as em_state says. */
bool em_grouped_state(em_grouped *g, em_state *s);

#endif
