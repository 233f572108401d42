/* A file that is there whole or not at all: written as PATH.partial, renamed when committed.
 * A path that exists and is no regular file (/dev/stdout, a pipe) is written directly.
 * Names that end in .zst are compressed with Zstandard. */
#ifndef EM_COMMON_OUTPUT_H
#define EM_COMMON_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include "common/error.h"

typedef struct em_output em_output;

em_output *em_output_open(const char *path, em_error *err);      /* EM_MACHINE where it cannot be made */
bool em_output_write(em_output *o, const void *data, size_t n, em_error *err);
/* Flushes to the disk and renames; frees o in every case. false: nothing was left behind. */
bool em_output_commit(em_output *o, em_error *err);
void em_output_abort(em_output *o);      /* removes what was written; o may be NULL */

/* Writes all of it to stdout and flushes: 0, or EM_MACHINE with err (a closed pipe, a full disk). */
int em_print(const char *text, size_t n, em_error *err);

#endif
