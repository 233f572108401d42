/* evalmask bench: how fast this machine runs it, against its own rate of matrix products. */
#ifndef EM_EVAL_BENCH_H
#define EM_EVAL_BENCH_H

#include "common/error.h"
#include "eval/settings/options.h"

/* Measures and prints the report to stdout. Returns the process's exit code: EM_OK, or err->status,
 * and err says why. */
int em_command_bench(const em_settings *settings, em_error *err);

#endif
