/* A report on the summary page of a GitHub Actions step. */
#ifndef EM_EVAL_STEP_SUMMARY_H
#define EM_EVAL_STEP_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>

/* Appends the Markdown to the file that $GITHUB_STEP_SUMMARY names, where that is set and not
 * empty, in one write. A summary is no figure: where it cannot be written, or would make the file
 * larger than the 1 MiB that GitHub shows, a line on stderr says so, unless quiet, and nothing
 * fails. */
void em_step_summary(const char *text, size_t n, bool quiet);

#endif
