/* Files made for a test: a scratch folder, and compressed data put together frame by frame. */
#ifndef EM_TESTS_LOADER_MAKE_H
#define EM_TESTS_LOADER_MAKE_H

#include <stddef.h>
#include "common/buffer.h"

/* A scratch folder below TMPDIR, emptied and removed by make_clean. One at a time. */
void make_folder(void);
void make_clean(void);
/* FOLDER/NAME; a static buffer that the sixteenth call after it reuses. */
const char *make_path(const char *name);
/* Writes the file FOLDER/NAME and returns its path. */
const char *make_file(const char *name, const void *data, size_t n);
const char *make_text(const char *name, const char *text);

/* Append one frame (member) with a checksum that holds these bytes. */
void add_zstd(em_buffer *out, const void *data, size_t n);
void add_skippable(em_buffer *out, const void *data, size_t n);
void add_gzip(em_buffer *out, const void *data, size_t n);
/* A Zstandard frame whose header asks for a window of (8 + mantissa) * 2^(7 + exponent) bytes, with
 * one raw block. */
void add_zstd_window(em_buffer *out, int exponent, int mantissa, const char *text);

#endif
