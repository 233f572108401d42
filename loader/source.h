/* A stream of decompressed bytes from a file or stdin. The format (zstd, gzip, plain) is
 * sniffed from the first bytes. Zstandard: many frames, skippable frames, windows up to
 * max_window_log. gzip: many members. A truncated frame or member is an error, never a
 * silent end of data; trailing garbage too, but for zeros after a gzip member (tapes and block
 * devices pad with them). A UTF-8 byte order mark at the start of the data is skipped. Errors carry
 * the path and the byte of the decompressed data; those about the compressed form name its byte in
 * their text. */
#ifndef EM_LOADER_SOURCE_H
#define EM_LOADER_SOURCE_H

#include <stddef.h>
#include <stdint.h>
#include "common/error.h"

typedef struct em_source em_source;

#define EM_SOURCE_WINDOW_LOG 27 /* 128 MiB, as the zstd program */

typedef struct em_source_options {
    int max_window_log; /* zstd: 10..31; 0: EM_SOURCE_WINDOW_LOG */
} em_source_options;

/* path "-": stdin. Never waits for data: a pipe without a writer is waited for in the first read.
 * Errors: EM_INPUT (missing, unreadable, a directory), EM_USAGE (window out of range), EM_MACHINE.
 */
em_source *em_source_open(const char *path, const em_source_options *options, em_error *err);
/* Reads up to n decompressed bytes into out, n > 0; 0 at the true end of the data, -1 with err:
 * EM_INPUT (damaged, truncated, a format or a dictionary that is not read: named), EM_MACHINE,
 * EM_INTERRUPTED. */
ptrdiff_t em_source_read(em_source *s, void *out, size_t n, em_error *err);
/* Decompressed offset of the byte that the next read begins with (a skipped byte order mark
 * counts). */
int64_t em_source_offset(const em_source *s);
/* Compressed bytes consumed so far: for progress. */
int64_t em_source_position(const em_source *s);
/* The one call allowed from another thread while s is open: a read that waits for data, and
 * every later one that would have to, fails with EM_INTERRUPTED. */
void em_source_interrupt(em_source *s);
/* Frees s, which may be NULL, and closes its file; stdin stays open. */
void em_source_close(em_source *s);

#endif
