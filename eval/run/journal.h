/* --journal FILE: what a run has found out so far, on the disk, so that the same command goes on
 * after whatever ended it. docs/journal.md describes the file. A journal that is open is locked
 * against other processes. */
#ifndef EM_EVAL_JOURNAL_H
#define EM_EVAL_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>
#include "common/buffer.h"
#include "common/error.h"
#include "common/output.h"

typedef struct em_journal em_journal;

typedef enum em_record_kind {
    EM_RECORD_HEAD = 1,   /* the journal's id and what the run is (eval/identity.h) */
    EM_RECORD_STREAM = 2, /* a stream that is finished; they follow each other */
    EM_RECORD_POINT = 3   /* a point in the stream after those; the last one counts */
} em_record_kind;

/* What lies in a journal: offsets of whole records in the file. */
typedef struct em_records {
    int64_t *streams; /* [n_streams]; owned */
    size_t n_streams, capacity;
    int64_t head, point;   /* -1: none */
    uint64_t n;            /* whole records */
    int64_t end;           /* of the last of them: what follows is torn */
    char id[EM_OUTPUT_ID]; /* of the journal */
} em_records;

/* Reads the records of a file of `size` bytes up to the first that is torn, damaged or not the next
 * in sequence. *out is the caller's to free, also on failure. EM_INPUT: it has no whole head. */
bool em_records_scan(int file, int64_t size, em_records *out, em_error *err);
/* What em_records_scan has made, also where it failed. */
void em_records_free(em_records *r);
/* A record's content, without what is the journal's own, in place of what *out holds. EM_MACHINE:
 * the file cannot be read; EM_INPUT: the record is damaged. */
bool em_record_read(int file, int64_t offset, em_buffer *out, em_error *err);

/* Makes the journal, or finds it and cuts off what is torn. EM_USAGE where another process has it,
 * it is of another run than `identity`, or path is a link or holds something else; EM_INPUT where
 * its head is damaged; EM_MACHINE. The caller closes or removes it. */
em_journal *em_journal_open(const char *path, const em_buffer *identity, em_error *err);
/* What the names of the run's unfinished outputs hold; the journal's. */
const char *em_journal_id(const em_journal *j);
int em_journal_streams(const em_journal *j); /* that are finished */
/* Whether there is a point after the streams that are finished. */
bool em_journal_has_point(const em_journal *j);
bool em_journal_empty(const em_journal *j); /* holds nothing to go on from */
/* Content of stream i, or with i = em_journal_streams of the point after them. EM_MACHINE. */
bool em_journal_read(em_journal *j, int i, em_buffer *out, em_error *err);
/* On the disk when it returns true. EM_MACHINE: a full disk; what was there before still counts. */
bool em_journal_append(em_journal *j, em_record_kind kind, const em_buffer *content, em_error *err);
void em_journal_close(em_journal *j);                 /* the file stays; j may be NULL */
bool em_journal_remove(em_journal *j, em_error *err); /* the file goes; frees j in every case */

#endif
