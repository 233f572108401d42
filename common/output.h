/* A file that is there whole or not at all: written beside PATH as PATH.ID.partial, where ID is
 * random, so that two writers of one PATH do not meet and nobody's file has that name; renamed when
 * committed. Nothing is written through a link: one at PATH is replaced, what it leads to stays. A
 * path that exists and is no regular file (/dev/stdout, a pipe) is written directly. Names that end
 * in .zst are compressed with Zstandard.
 */
#ifndef EM_COMMON_OUTPUT_H
#define EM_COMMON_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"

typedef struct em_output em_output;

/* The caller commits or aborts it. NULL: EM_MACHINE, it cannot be made. */
em_output *em_output_open(const char *path, em_error *err);
/* A Zstandard file without a name in $TMPDIR (or /tmp), gone when it is aborted: for what is only
 * read again. NULL: EM_MACHINE. */
em_output *em_output_open_temporary(em_error *err);
/* Ends what is written; the path, o's, that it can be read under until it is committed or aborted;
 * NULL: EM_MACHINE. */
const char *em_output_readable(em_output *o, em_error *err);
/* n bytes of data, before compression. EM_MACHINE: a full disk, a closed pipe. */
bool em_output_write(em_output *o, const void *data, size_t n, em_error *err);
/* Flushes to the disk and renames; frees o in every case. false: nothing was left behind, but for a
 * resumed one's partial file. */
bool em_output_commit(em_output *o, em_error *err);
void em_output_abort(em_output *o); /* removes what was written; o may be NULL */

/* ---- files that a later process goes on with ---- */

enum { EM_OUTPUT_ID = 17 }; /* bytes of an id: 16 hex digits and the NUL */
/* A random id. */
void em_output_new_id(char id[EM_OUTPUT_ID]);

/* What has been written up to a place in the file. */
typedef struct em_output_mark {
    int64_t length; /* bytes of the partial file; 0: a new one */
    uint64_t check; /* XXH3-64 of them */
} em_output_mark;

typedef struct em_output_resumed {
    const char *id;
    em_output_mark mark; /* what counts of the partial file: it is cut there */
    bool complete;       /* nothing is to be added any more: the file may have its name already */
} em_output_resumed;

/* As em_output_open, and finds a partial file by its id. EM_INPUT where that is missing, too short
 * or holds other bytes than it did. */
em_output *em_output_resume(const char *path, const em_output_resumed *from, em_error *err);
/* All of it to the disk; *mark is what to resume with. Ends a Zstandard frame. EM_MACHINE. */
bool em_output_sync(em_output *o, em_output_mark *mark, em_error *err);
void em_output_leave(em_output *o); /* the partial file stays; o may be NULL */
/* A rename or a new name beside path survives a power loss from here on. EM_MACHINE. */
bool em_sync_folder(const char *path, em_error *err);

/* Writes all of it to stdout and flushes: 0, or EM_MACHINE with err (a closed pipe, a full disk).
 */
int em_print(const char *text, size_t n, em_error *err);

#endif
