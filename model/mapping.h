/* A file in memory, mapped read-only. */
#ifndef EM_MODEL_MAPPING_H
#define EM_MODEL_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include "common/error.h"

typedef struct em_mapping {
    char *path;       /* owned */
    const void *data; /* not NULL, also where the file is empty */
    size_t size;
} em_mapping;

/* EM_INPUT where the path is no regular file or cannot be read. Release: em_mapping_close. */
bool em_mapping_open(em_mapping *m, const char *path, em_error *err);
void em_mapping_close(em_mapping *m); /* frees and zeroes; a zeroed mapping may be closed */

#endif
