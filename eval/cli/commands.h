/* The commands. Each prints its report to stdout, progress and notes to stderr, and returns the
 * process's exit code; on failure err says why and err->status is the code. */
#ifndef EM_EVAL_COMMANDS_H
#define EM_EVAL_COMMANDS_H

#include "common/error.h"
#include "eval/settings/options.h"

int em_command_run(const em_settings *settings, em_error *err);
int em_command_inspect(const em_settings *settings, em_error *err);
int em_command_audit(const em_settings *settings, em_error *err);
int em_command_convert(const em_settings *settings, em_error *err);
int em_command_diff(const em_settings *settings, em_error *err);
int em_command_tokenize(const em_settings *settings, em_error *err);
int em_command_report(const em_settings *settings, em_error *err);
int em_command_explore(const em_settings *settings, em_error *err);
int em_command_bench(const em_settings *settings, em_error *err);

#endif
