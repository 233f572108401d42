/* The small commands. Each prints to stdout, notes to stderr, and returns the process's exit code:
 * EM_OK, or err->status, and err says why. */
#ifndef EM_EVAL_COMMANDS_H
#define EM_EVAL_COMMANDS_H

#include "common/error.h"
#include "eval/settings/options.h"

/* A whole model as one file, checked by opening it again. */
int em_command_convert(const em_settings *settings, em_error *err);
/* Two results files side by side. EM_GATE where one got worse by more than --tolerance. */
int em_command_diff(const em_settings *settings, em_error *err);
/* Records in, one line of token ids out for each. */
int em_command_tokenize(const em_settings *settings, em_error *err);
/* The reports of a results file. */
int em_command_report(const em_settings *settings, em_error *err);
/* A page of tokens, from a file of --tokens or from a run. */
int em_command_explore(const em_settings *settings, em_error *err);

#endif
