/* Results as JSON: results.json, and the part of it that differences of files share. */
#ifndef EM_REPORTS_JSON_H
#define EM_REPORTS_JSON_H

#include "common/buffer.h"
#include "reports/results/results.h"

/* Appends results.json, whole. */
void em_report_json(const em_results *r, em_buffer *out);
/* Appends "gates": [...] of n gates, without what stands around it. */
void em_gates_json(const em_gate *gates, int n, em_buffer *out);

#endif
