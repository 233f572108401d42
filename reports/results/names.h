/* What to call a result beside the others of its file. */
#ifndef EM_REPORTS_NAMES_H
#define EM_REPORTS_NAMES_H

#include "common/buffer.h"
#include "reports/results/results.h"

/* Appends "code, base, doc, unshifted, reset, T 128, depth 3" or "doc, unshifted, alpha 0.5": mask
 * and labels always, the others where results of r differ by them. x is one of r's. */
void em_result_name(const em_results *r, const em_result *x, em_buffer *out);

#endif
