/* evalmask --model …: the main job. */
#ifndef EM_EVAL_RUN_H
#define EM_EVAL_RUN_H

#include "common/error.h"
#include "eval/settings/options.h"

/* Runs rows through the models and writes what the settings ask for; the report goes to stdout,
 * progress and notes to stderr. Alone or, under a launcher, as one of several ranks. Returns the
 * process's exit code: EM_OK; EM_INTERRUPTED after a partial report; else err->status, and err says
 * why (EM_GATE once the reports are written). */
int em_command_run(const em_settings *settings, em_error *err);

#endif
