/* Reads NAME.documents.jsonl.zst, which lies beside NAME.json: one line a document with its
 * predictions and NLL sum in every result of its data set (and row length), so that comparisons are
 * paired by document. Streaming: memory holds one line. */
#ifndef EM_REPORTS_DOCUMENTS_H
#define EM_REPORTS_DOCUMENTS_H

#include <stdint.h>
#include "common/error.h"
#include "reports/results/results.h"

typedef struct em_documents em_documents;

/* Owned by the reader, good until the next line. */
typedef struct em_document_line {
    const char *data_set; /* "" where there is one without a name */
    int32_t seq_len;      /* 0: there is one row length */
    int64_t document;     /* ascending within data set and row length */
    const char *subset;
    int64_t bytes;
    int n;                      /* results; a result's place is em_documents_column */
    const int64_t *predictions; /* [n] */
    const double *nll;          /* [n], sums in nats; NaN: not finite */
} em_document_line;

/* The sidecar's path for a results file: owned by the caller; NULL where path does not end in
 * .json. */
char *em_documents_path(const char *results_path);

/* Errors, here and below: EM_INPUT with file, line and byte (not there, not zstd, cut short, not
 * such a line), EM_MACHINE. */
em_documents *em_documents_open(const char *path, em_error *err);
/* 1 and a line, 0 at the end, -1 with err. */
int em_documents_next(em_documents *d, em_document_line *out, em_error *err);
/* Closes and frees it; d may be NULL. */
void em_documents_close(em_documents *d);

/* Result i of r in the lines of its data set: its place among the results of that data set, and,
 * where lines name a row length (by_seq_len), of that row length. */
int em_documents_column(const em_results *r, int i, bool by_seq_len);

#endif
