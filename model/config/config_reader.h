/* Typed reads of one JSON object, a config.json or a part of one. A key that is missing or null
 * leaves *out as it is, which is how defaults work; what is there and wrong is an error (EM_INPUT)
 * that names the key. */
#ifndef EM_MODEL_CONFIG_CONFIG_READER_H
#define EM_MODEL_CONFIG_CONFIG_READER_H

#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>
#include "common/error.h"

typedef struct em_config_reader {
    const json_t *root; /* NULL: an object without keys */
    const char *source; /* names the file in errors */
    em_error *err;
} em_config_reader;

/* Fails with "KEY WHAT" (EM_INPUT); always false. */
bool em_config_fail(const em_config_reader *r, const char *key, const char *what);
/* The key's value; NULL where key is NULL, or it is missing or null. */
const json_t *em_read_value(const em_config_reader *r, const char *key);
/* A whole number from least to most; 2.0 is one. */
bool em_read_int(const em_config_reader *r, const char *key, int64_t least, int64_t most,
                 int64_t *out);
/* Any number. */
bool em_read_number(const em_config_reader *r, const char *key, double *out);
/* A finite number above 0. */
bool em_read_positive(const em_config_reader *r, const char *key, double *out);
/* true or false; nothing else is taken for one. */
bool em_read_bool(const em_config_reader *r, const char *key, bool *out);

#endif
