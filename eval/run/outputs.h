/* The files that a run writes: reports, --tokens, the sidecar with per-document sums. */
#ifndef EM_EVAL_OUTPUTS_H
#define EM_EVAL_OUTPUTS_H

#include "common/output.h"
#include "reports/results/results.h"
#include "eval/run/baseline.h"
#include "eval/settings/settings.h"
#include "eval/setup/inputs.h"

typedef struct em_outputs {
    const em_output_settings *settings;
    em_output *tokens, *documents; /* --tokens, the sidecar; NULL: not asked for */
    bool documents_unnamed;        /* only for a page to read: no .json is written */
    char documents_path[4200];     /* NAME.documents.jsonl.zst beside NAME.json */
    em_baseline baseline;          /* --baseline */
    em_error verdict;              /* of the gates against it */
    bool keep; /* with a journal: what was not committed stays for the next process */
} em_outputs;

/* What a journal knows of the files that grow: where a run goes on. */
typedef struct em_outputs_point {
    em_output_mark tokens, documents;
} em_outputs_point;

typedef struct em_outputs_journal {
    const char *id;
    em_outputs_point point;
    bool complete; /* nothing is to be added to them any more */
} em_outputs_journal;

/* Whether the run, whose outputs and journal the settings name, writes over nothing that it reads:
 * EM_USAGE. To be asked first: the other functions write. */
bool em_outputs_apart(const em_output_settings *settings, const em_input_paths *given,
                      const em_setup *setup, em_error *err);
/* Opens what grows during the run and tries what is written at its end: said now, not after hours.
 * journal: NULL without one. The settings outlive *o. Errors: EM_USAGE for names that
 * do not go together, EM_MACHINE for a file that cannot be written; em_outputs_close in any case.
 */
bool em_outputs_open(em_outputs *o, const em_output_settings *settings,
                     const em_outputs_journal *journal, em_error *err);
/* All that was written is on the disk, and *out says how much it is. EM_MACHINE: it cannot be
 * written. */
bool em_outputs_sync(em_outputs *o, em_outputs_point *out, em_error *err);
/* Holds a whole run's results to the baseline, where there is one: gates are added to them,
 * o->verdict says what the program ends with once the reports are written. */
bool em_outputs_judge(em_outputs *o, em_results *results, em_error *err);
/* stdout gets the Markdown in every case; files only a whole run's figures. EM_MACHINE: one of them
 * cannot be written. */
bool em_outputs_write(em_outputs *o, const em_results *results, em_error *err);
/* The files that grew during the run get their names. EM_MACHINE: the disk. */
bool em_outputs_commit(em_outputs *o, em_error *err);
void em_outputs_close(
    em_outputs *o); /* what was not committed leaves no trace, unless it is to be kept */

#endif
