/* A gate on a loss: no worse than a baseline by more than a tolerance. */
#ifndef EM_REPORTS_TOLERANCE_H
#define EM_REPORTS_TOLERANCE_H

#include "reports/diff/diff.h"

typedef struct em_tolerance {
    double value; /* nats, or paired standard errors */
    bool standard_errors;
} em_tolerance;

/* Losses of one checkpoint agree to 1e-5 across machines and builds in f32; 0.01 nats is 1 % of
 * perplexity. */
#define EM_DEFAULT_TOLERANCE ((em_tolerance){0.01, false})
/* Where only the dtype of the arithmetic differs: losses in bf16 agree with f32 to 3e-3 nats. */
#define EM_DTYPE_TOLERANCE 5e-3

/* Adds a gate to verdicts for every result of d's before, in order: its loss got worse (or it is
 * gone, or no number), or not; and notes on what was not held to it. Standard errors want rows
 * paired by document. False with EM_GATE, naming the first that failed; with EM_USAGE where rows
 * measured different things (those fail too); with EM_INPUT where standard errors lack sidecars. */
bool em_tolerance_judge(const em_diff *d, em_tolerance tolerance, em_results *verdicts,
                        em_error *err);

#endif
