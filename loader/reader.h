/* The records of several files in order, one thread: lines of JSON, or a text file as one record.
 */
#ifndef EM_LOADER_READER_H
#define EM_LOADER_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"
#include "loader/record.h"
#include "loader/source.h"

/* The longest line, or text file: a bound on memory, not on what a text may be. */
#define EM_RECORD_BYTES_MAX ((size_t)1 << 30)

typedef struct em_reader_options {
    const char *const *paths; /* as in em_loader_options */
    int n_paths;
    em_record_keys keys;
    bool skip_bad_records;
    em_source_options source;
    size_t max_record_bytes; /* 0: EM_RECORD_BYTES_MAX */
} em_reader_options;

/* Where a record is. */
typedef struct em_place {
    const char *path; /* owned by the reader; "stdin" for "-" */
    int64_t record;   /* from 1 in each file; blank lines do not count, broken records do */
    int64_t byte;     /* decompressed offset of its first byte in its file */
} em_place;

typedef struct em_reader em_reader;

/* What options point to must outlive the reader. */
em_reader *em_reader_open(const em_reader_options *options, em_error *err);
/* 1: *out and *place are the next record; 0: the end; -1: err, and the reader is at its end. */
int em_reader_next(em_reader *r, em_record *out, em_place *place, em_error *err);
/* The same for records of another form: the next line that is not blank, in whatever file, without
 * its newline. It lies in the reader's memory until the next call. */
int em_reader_next_line(em_reader *r, const char **line, size_t *n, em_place *place, em_error *err);
/* Adds the place to an error about that record, whose byte counts from the record's first. Returns
 * false. */
bool em_reader_place(const em_place *place, em_error *err);
int64_t em_reader_bad(const em_reader *r); /* broken records skipped so far */
const char *em_reader_first_bad(
    const em_reader *r); /* the first of them as an error line without folders, or "" */
int64_t em_reader_position(const em_reader *r); /* compressed bytes read, of all files */
int64_t em_reader_size(const em_reader *r);     /* -1: unknown */
/* From any thread while r is open: a read that waits for data, and any later one, fails with
 * EM_INTERRUPTED. */
void em_reader_interrupt(em_reader *r);
void em_reader_close(em_reader *r); /* r may be NULL */

#endif
