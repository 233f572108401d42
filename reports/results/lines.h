/* Lines of a file that evalmask wrote, compressed with Zstandard or plain. Streaming: memory holds
 * one line. */
#ifndef EM_REPORTS_LINES_H
#define EM_REPORTS_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include "common/error.h"

typedef struct em_lines em_lines;

/* may_be_plain: a file without Zstandard's first bytes is read as it is; else it is refused.
 * Errors, here and below: EM_INPUT with file, line and byte (not there, not zstd, cut short),
 * EM_MACHINE. */
em_lines *em_lines_open(const char *path, bool may_be_plain, em_error *err);
/* 1 and a line without its end (not NUL-terminated, good until the next), 0 at the end of the file,
 * -1 with err. */
int em_lines_next(em_lines *l, const char **text, size_t *n, em_error *err);
/* An error of the line at hand: EM_INPUT. Returns false. */
bool em_lines_fail(const em_lines *l, em_error *err, const char *what);
/* Closes and frees it; l may be NULL. */
void em_lines_close(em_lines *l);

#endif
