/* --baseline: a run's losses held to those of an earlier run. */
#ifndef EM_EVAL_BASELINE_H
#define EM_EVAL_BASELINE_H

#include "reports/results/results.h"
#include "eval/settings/settings.h"

typedef struct em_baseline {
    const char *path; /* NULL: none was asked for, and all below does nothing */
    em_results results;
    char *documents; /* its sidecar; NULL: there is none */
} em_baseline;

/* Reads it, and its sidecar to the end, before anything is computed. outputs: the n files that the
 * run will write, none of which may be the baseline or its sidecar; NULLs are skipped. Errors:
 * EM_USAGE for that, or a tolerance that wants sums by document and no -o NAME.json; EM_INPUT for a
 * file that cannot be used. */
bool em_baseline_open(em_baseline *b, const em_output_settings *s, const char *const *outputs,
                      int n, em_error *err);
/* Adds gates and notes to results. documents: the run's own sidecar, already written; NULL: there
 * is none. verdict gets what the program ends with once the reports are written: EM_GATE, EM_USAGE,
 * or what went wrong. */
void em_baseline_judge(const em_baseline *b, const em_output_settings *s, em_results *results,
                       const char *documents, em_error *verdict);
/* What it has read; harmless where nothing was. */
void em_baseline_close(em_baseline *b);

/* Whether both paths are there and lead to one file. */
bool em_same_file(const char *a, const char *b);

#endif
