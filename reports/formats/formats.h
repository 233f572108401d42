/* One set of results, many faces; none recomputes anything. A format is one row of the table in
 * reports.c and one function that fills a buffer. */
#ifndef EM_REPORTS_REPORTS_H
#define EM_REPORTS_REPORTS_H

#include <stdbool.h>
#include "common/buffer.h"
#include "common/error.h"
#include "reports/pages/page.h"
#include "reports/results/results.h"

typedef struct em_report_options {
    em_markdown_style markdown;
    const char *documents; /* the sidecar's path, or NULL: HTML shows what lies there */
} em_report_options;

/* Each appends a whole report of r to out; where memory is out the program ends with exit code 4.
 */

/* Markdown in the given style. */
void em_report_markdown(const em_results *r, em_markdown_style style, em_buffer *out);
/* JUnit XML: a test suite a data set, a test case a result and a gate; gates that failed are
 * failures. */
void em_report_junit(const em_results *r, em_buffer *out);
/* One self-contained page. documents: the sidecar's path, or NULL. False with err, out then being
 * incomplete. Errors: those of reports/results/documents.h. */
bool em_report_html(const em_results *r, const char *documents, em_buffer *out, em_error *err);

/* The format's name by the ending of path; NULL with err (EM_USAGE) and the list where there is
 * none. */
const char *em_report_format_of(const char *path, em_error *err);
/* Writes path whole or not at all, in the format of its name. Errors: EM_USAGE where it ends in
 * none, EM_INPUT of a broken sidecar, EM_MACHINE where it cannot be written. */
bool em_report_write(const em_results *r, const em_report_options *options, const char *path,
                     em_error *err);

#endif
