/* One JSONL record, scanned once and strictly: the whole line must be one valid JSON object
 * (RFC 8259) in valid UTF-8; only the text and the group are kept. Duplicate keys: the last one
 * wins, as in Python's json and in jansson. Values that nobody reads may hold what Python's json
 * writes beyond the RFC: NaN, Infinity, half a surrogate pair. */
#ifndef EM_LOADER_RECORD_H
#define EM_LOADER_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include "common/buffer.h"
#include "common/error.h"

typedef struct em_record_keys {
    const char *text; /* a key of the record itself: "text" */
    const char
        *group; /* "meta.pile_set_name": KEY or KEY.KEY, split at the first dot; NULL, "": none */
} em_record_keys;

typedef struct em_record {
    em_buffer text;  /* UTF-8, unescaped; may hold NUL bytes */
    em_buffer group; /* a string, or the JSON text of a number, true or false; empty where the key
                        is missing or null. No NUL bytes. */
} em_record;

/* Frees the buffers, not r; r may then be used again. */
void em_record_free(em_record *r);

/* True where the line holds nothing but JSON's white space: no record. */
bool em_record_blank(const char *line, size_t n);

/* line: without its newline; not blank. On failure err->byte is the offset within the line (-1:
 * none in particular), err->text says what was found there, and *out is not to be used but may be
 * freed or given to the next call. EM_INPUT: the record is broken; EM_MACHINE: no memory. */
bool em_record_parse(const char *line, size_t n, const em_record_keys *keys, em_record *out,
                     em_error *err);

#endif
