/* Results as CSV (RFC 4180) in long form. */
#ifndef EM_REPORTS_CSV_H
#define EM_REPORTS_CSV_H

#include "common/buffer.h"
#include "reports/results/results.h"

/* Appends one line a figure, with all keys in columns; the columns are the same for all results. */
void em_report_csv(const em_results *r, em_buffer *out);

#endif
