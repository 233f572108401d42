/* Documents, tokenized, in order: a background thread decompresses and parses records,
 * worker threads tokenize, queues are bounded, so memory does not depend on the shard's size. What
 * comes out does not depend on the number of workers. */
#ifndef EM_LOADER_LOADER_H
#define EM_LOADER_LOADER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"
#include "loader/record.h"
#include "loader/source.h"
#include "tokenize/tokenizer.h"

typedef struct em_loader em_loader;

/* What the pointers lead to must outlive the loader. */
typedef struct em_loader_options {
    const char *const
        *paths; /* files, directories (their files in byte order of the name, not recursive,
                   hidden ones skipped), "-" for stdin; read in the given order */
    int n_paths;
    em_record_keys keys;
    const char *const *subsets; /* keep documents of these groups only; n_subsets 0: all */
    int n_subsets;
    int64_t max_docs;      /* accepted records after the subset filter; 0: all */
    bool skip_bad_records; /* count and report them instead of stopping */
    em_source_options source;
    int workers; /* tokenizer threads, at least 1 */
    const em_tokenizer *tokenizer;
    /* What goes round every text's own tokens (BOS before, EOS after; decided by the caller). */
    const int32_t *before, *after;
    int n_before, n_after;
    /* Where set: once *stop is not 0, an em_loader_next that waits for data fails with
     * EM_INTERRUPTED. A signal handler may set it. */
    const volatile sig_atomic_t *stop;
} em_loader_options;

typedef enum em_token_kind { EM_TOKEN_TEXT = 0, EM_TOKEN_ADDED = 1 } em_token_kind;

typedef struct em_document {
    int64_t index; /* 0-based among accepted documents */
    int32_t
        group; /* index into em_loader_group_name; documents without a group share one named "" */
    int32_t n_before, n_after; /* how many of the tokens were put before and after the text */
    em_tokens tokens;          /* with those; bytes 0 for added tokens */
    uint64_t bytes;            /* of the text, UTF-8 */
} em_document;

typedef struct em_loader_counts {
    int64_t documents, empty; /* accepted; of those, with an empty text */
    int64_t bad, filtered;    /* skipped as broken; of another subset */
    int64_t bytes, tokens;    /* of accepted documents handed out so far */
    /* Of them, whose own text begins with the token that is put before it (the last of those), and
     * whose text ends with the first of those put after it: they have it twice. */
    int64_t twice_before, twice_after;
    int64_t position, size; /* compressed bytes read, total (-1 unknown): for progress */
    char first_bad[512];    /* the first skipped record, as an error line */
    double read_seconds, tokenize_seconds; /* of processor time, in the threads */
    double wait_seconds;                   /* that em_loader_next waited for them */
} em_loader_counts;

/* A path that is missing or unreadable is an error here already, before any document. */
em_loader *em_loader_open(const em_loader_options *options, em_error *err);
/* 1: *out is the next document (owned by the loader, valid until the next call);
 * 0: end of data; -1: err, after every document before the broken one, and again on further calls.
 * Errors: EM_INPUT with file, record and decompressed byte; also more than 65,536 groups. */
int em_loader_next(em_loader *l, const em_document **out, em_error *err);
/* Counts as of the last document handed out, not of what threads have read ahead. By the thread
 * that calls em_loader_next; so are the next two. */
void em_loader_counts_get(em_loader *l, em_loader_counts *out);
const char *em_loader_group_name(const em_loader *l,
                                 int32_t group); /* stays valid while the loader lives */
int32_t em_loader_groups(const em_loader *l);    /* groups of the documents handed out */
void em_loader_close(em_loader *l); /* stops the threads, also in mid-stream; l may be NULL */

#endif
