/* evalmask inspect --packed: rows that somebody else packed, judged. */
#ifndef EM_EVAL_PACKED_H
#define EM_EVAL_PACKED_H

#include "common/error.h"
#include "eval/settings/options.h"

/* One report for each file of settings->packed, on stdout. EM_OK, EM_GATE where a verdict failed,
 * or err's status. */
int em_packed_inspect(const em_settings *settings, em_error *err);

#endif
