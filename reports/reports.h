/* One set of results, many faces; none recomputes anything. A format is one row of the table in
 * reports.c and one function that fills a buffer. */
#ifndef EM_REPORTS_REPORTS_H
#define EM_REPORTS_REPORTS_H

#include <stdbool.h>
#include "common/buffer.h"
#include "common/error.h"
#include "common/result.h"

void em_report_markdown(const em_results *r, em_buffer *out);
void em_report_json(const em_results *r, em_buffer *out);

/* The format's name by the ending of path; NULL with err (EM_USAGE) and the list where there is none. */
const char *em_report_format_of(const char *path, em_error *err);
/* Writes path whole or not at all, in the format of its name. */
bool em_report_write(const em_results *r, const char *path, em_error *err);

#endif
