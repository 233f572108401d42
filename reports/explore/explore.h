/* A page of documents whose tokens are shaded by their loss, or by the difference of two sides,
 * from the lines that
 * --tokens writes. */
#ifndef EM_REPORTS_EXPLORE_H
#define EM_REPORTS_EXPLORE_H

#include <stdint.h>
#include "common/buffer.h"
#include "common/error.h"

enum { EM_MAX_DOCUMENTS = 64 };

typedef struct em_explore_options {
    int64_t documents[EM_MAX_DOCUMENTS]; /* numbers, from 0 */
    int n_documents;                     /* 0: the first document that has predictions */
    const char *source; /* what a document is missing in, in errors; NULL: the file of tokens */
} em_explore_options;

/* Appends a self-contained HTML page. Memory holds the tokens of one document, at most 20000 of
 * them (the page says so), and the page. Errors: EM_INPUT where the file is none of --tokens (file,
 * line, byte) or one of the documents has no prediction in it; EM_MACHINE. */
bool em_explore_html(const char *tokens_path, const em_explore_options *options, em_buffer *out,
                     em_error *err);

#endif
