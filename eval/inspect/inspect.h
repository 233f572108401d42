/* Looking without measuring: how data is packed, and what a mask lets a position see. */
#ifndef EM_EVAL_INSPECT_H
#define EM_EVAL_INSPECT_H

#include "common/error.h"
#include "eval/settings/options.h"

/* evalmask inspect, to stdout. Returns the process's exit code: EM_OK; EM_GATE where a verdict
 * failed; else err->status, and err says why. */
int em_command_inspect(const em_settings *settings, em_error *err);
/* evalmask audit, likewise. */
int em_command_audit(const em_settings *settings, em_error *err);

#endif
