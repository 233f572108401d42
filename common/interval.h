/* 95 % intervals of a mean over few, unequal and skewed groups, from sums that grow group by group.
 *
 * With x_g = S_g - L N_g for a candidate L of the mean, the interval is every L that one of two
 * tests of "the x_g have mean 0" does not reject, so it is about a ratio of two sums and needs no
 * linearisation (Fieller 1954):
 *   - Student's t, with as many degrees of freedom as an equal number of equal groups would give:
 *     (Σ N)² / Σ N² - 1 (Kish 1965);
 *   - the same after Hall's cubic transformation, which takes out the skewness (Hall 1992, On the
 *     Removal of Skewness by Transformation).
 * Coverage is simulated by tests/reference/coverage.py: 93 to 97 % from EM_INTERVAL_GROUPS groups
 * on; there is no interval below. */
#ifndef EM_COMMON_INTERVAL_H
#define EM_COMMON_INTERVAL_H

#include "common/grouped.h"

/* Below these there is no interval: groups, and (Σ N)² / Σ N², which equal groups would be. */
enum { EM_INTERVAL_GROUPS = 100, EM_INTERVAL_EFFECTIVE_GROUPS = 10 };

/* In the unit of the mean; NaN, NaN: there is none. */
typedef struct em_interval {
    double low, high;
} em_interval;

/* Of the mean of all groups' values. None, too, where the tests reject no value, however far. */
em_interval em_grouped_interval(const em_grouped *g);

/* The point that Student's t with n >= 9 degrees of freedom exceeds with probability 2.5 %, within
 * 1e-5 (Abramowitz and Stegun 26.7.5). */
double em_student_point(double n);

#endif
