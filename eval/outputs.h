/* The files that a run writes: reports, --tokens, the sidecar with per-document sums. */
#ifndef EM_EVAL_OUTPUTS_H
#define EM_EVAL_OUTPUTS_H

#include "common/output.h"
#include "common/result.h"
#include "eval/baseline.h"
#include "eval/options.h"

typedef struct em_outputs {
    const em_settings *settings;
    em_output *tokens, *documents;      /* --tokens, the sidecar; NULL: not asked for */
    char documents_path[4200];          /* NAME.documents.jsonl.zst beside NAME.json */
    em_baseline baseline;               /* --baseline */
    em_error verdict;                   /* of the gates against it */
} em_outputs;

/* Opens what grows during the run and tries what is written at its end: said now, not after hours. */
bool em_outputs_open(em_outputs *o, const em_settings *settings, em_error *err);
/* Holds a whole run's results to the baseline, where there is one: gates are added to them, o->verdict says what the
 * program ends with once the reports are written. */
bool em_outputs_judge(em_outputs *o, em_results *results, em_error *err);
/* stdout gets the Markdown in every case; files only a whole run's figures. */
bool em_outputs_write(em_outputs *o, const em_results *results, em_error *err);
/* The files that grew during the run get their names. */
bool em_outputs_commit(em_outputs *o, em_error *err);
void em_outputs_close(em_outputs *o);   /* what was not committed leaves no trace */

#endif
