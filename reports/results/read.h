/* results.json back into the types that the reports show: what em_report_json writes of what was
 * read is the file itself, byte by byte. Files of another evalmask are read where the fields of
 * design §9 are there; unknown fields are ignored, absent figures are NaN. */
#ifndef EM_REPORTS_READ_H
#define EM_REPORTS_READ_H

#include <stdbool.h>
#include <stddef.h>
#include "common/error.h"
#include "reports/results/results.h"

/* out is empty before and to be freed with em_results_free in every case. Errors: EM_INPUT with the
 * file and the byte (no JSON), or the file and the field (missing, of another type, out of range);
 * EM_MACHINE. */
bool em_results_read(const char *path, em_results *out, em_error *err);
/* The same of text in memory; path is for messages. */
bool em_results_parse(const char *path, const char *text, size_t n, em_results *out, em_error *err);

#endif
