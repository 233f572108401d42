/* What says how sure a mean is: the standard error over groups of predictions and a 95 % interval
 * (design §4). Groups are documents, rows or stretches of the stream; memory is flat. */
#ifndef EM_COMMON_GROUPED_H
#define EM_COMMON_GROUPED_H

#include <stdbool.h>
#include <stdint.h>
#include "common/state.h"

/* With x = S_g - c N_g for a fixed c near the mean: sums of x², x N, N², x² N, x N² and N³. */
typedef struct em_grouped {
    int64_t n;
    double centre, xx, xn, nn, xxn, xnn, nnn;
} em_grouped;

/* Adds a group with the sum of its values and their count; one without predictions is none. */
void em_grouped_add(em_grouped *g, double sum, int64_t predictions);
/* sqrt(G/(G-1) Σ (S_g - mean N_g)²) / predictions, in the unit of mean; NaN for G < 2. mean and
 * predictions are those of all groups together. */
double em_grouped_stderr(const em_grouped *g, double mean, int64_t predictions);
/* How many documents would put 0 at the edge of a 95 % interval, when `documents` gave this
 * difference and its standard error; NaN where either is. */
double em_documents_to_resolve(int64_t documents, double difference, double stderr_);

/* Groups of one size that would say as much: N² / Σ N_g² (Kish 1965). An interval from fewer than
 * EM_LEAST_GROUPS covers the mean too rarely, or says nothing: there is none. */
#define EM_LEAST_GROUPS 3
double em_grouped_effective(const em_grouped *g, int64_t predictions);
/* The 97.5 % point of Student's t with df >= 2 degrees of freedom, which need not be whole. */
double em_student_point(double df);
/* 95 % interval of the mean: mean ± t sqrt(Σ u² (1 + 2 N_g/N)) / N with u = S_g - mean N_g and t of
 * one degree of freedom less than there are effective groups. The factor is what the jackknife
 * gives to groups that pull the mean towards themselves, to first order; where sizes are equal it
 * is close to G/(G-1). tests/reference/interval_coverage.py shows how often it covers the mean.
 * NaN, NaN where there are fewer than EM_LEAST_GROUPS effective groups. */
void em_grouped_interval(const em_grouped *g, double mean, int64_t predictions, double *low,
                         double *high);

/* Poisson bootstrap (Hanley and MacGibbon 2006): each group counts Poisson(1) times in a replicate,
 * by a number that depends on (seed, group, replicate) alone. For what is no mean over one list of
 * groups: the excess of a mean over another one of the same groups. */
enum { EM_REPLICATES = 1000 };

typedef struct em_bootstrap {
    double sums[EM_REPLICATES], counts[EM_REPLICATES];
} em_bootstrap;

/* Adds a group as em_grouped_add does. group: its number. Bootstraps that share seed and group
 * numbers are paired, replicate by replicate. */
void em_bootstrap_add(em_bootstrap *b, uint64_t seed, int64_t group, double sum,
                      int64_t predictions);
/* 95 % interval of the excess of b's mean over less's: ± t standard deviations of the replicates
 * sqrt(G/(G-1)). g: the groups of b, and predictions in them: t and the least number of groups are
 * those of em_grouped_interval. NaN, NaN where there are fewer, or fewer than half of the
 * replicates hold any prediction. */
void em_bootstrap_interval(const em_bootstrap *b, const em_bootstrap *less, const em_grouped *g,
                           int64_t predictions, double excess, double *low, double *high);

/* Saves g, or restores it. False as em_state says. */
bool em_grouped_state(em_grouped *g, em_state *s);

#endif
