/* One JSONL record, scanned once and strictly: the whole line must be one valid JSON object
 * in valid UTF-8; only the text and the group are kept. Duplicate keys: the last one wins, as
 * in Python's json and in jansson. */
#ifndef EM_LOADER_RECORD_H
#define EM_LOADER_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include "common/buffer.h"
#include "common/error.h"

typedef struct em_record_keys {
    const char *text;        /* "text" */
    const char *group;       /* "meta.pile_set_name": KEY or KEY.KEY; NULL or "": none */
} em_record_keys;

typedef struct em_record {
    em_buffer text;          /* UTF-8, unescaped; may hold NUL bytes */
    em_buffer group;         /* empty where the key is missing or null */
} em_record;

void em_record_free(em_record *r);

/* line: without its newline. On failure err->byte is the offset within the line, err->text says
 * what was found there. Nesting is bounded by EM_RECORD_DEPTH (deeper is an error, no recursion). */
#define EM_RECORD_DEPTH 512
bool em_record_parse(const char *line, size_t n, const em_record_keys *keys, em_record *out, em_error *err);

#endif
