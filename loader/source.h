/* A stream of decompressed bytes from a file or stdin. The format (zstd, gzip, plain) is
 * sniffed from the first bytes. Zstandard: many frames, skippable frames, windows up to
 * max_window_log. gzip: many members. A truncated frame or member is an error, never a
 * silent end of data; trailing garbage too. */
#ifndef EM_LOADER_SOURCE_H
#define EM_LOADER_SOURCE_H

#include <stddef.h>
#include "common/error.h"

typedef struct em_source em_source;

typedef struct em_source_options {
    int max_window_log;   /* zstd: 10..31; default 27 (128 MiB), as the zstd program */
} em_source_options;

em_source *em_source_open(const char *path, const em_source_options *options, em_error *err); /* "-": stdin */
/* Reads up to n bytes; 0 at the true end of the data, -1 with err. */
ptrdiff_t em_source_read(em_source *s, void *out, size_t n, em_error *err);
/* Compressed bytes consumed so far, and the file's size (-1 unknown): for progress. */
int64_t em_source_position(const em_source *s);
int64_t em_source_size(const em_source *s);
void em_source_close(em_source *s);

#endif
