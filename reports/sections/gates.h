/* Verdicts of gates, for the reports. */
#ifndef EM_REPORTS_GATES_H
#define EM_REPORTS_GATES_H

#include "common/buffer.h"
#include "common/result.h"
#include "reports/pages/page.h"

/* The section "Gate": a table, and a sentence for each that failed or has no figures. Nothing where
 * n is 0. */
void em_gates_page(const em_gate *gates, int n, em_page *p);
/* "gates": [...] without what stands around it. */
void em_gates_json(const em_gate *gates, int n, em_buffer *out);

#endif
