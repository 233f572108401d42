/* The files behind --data: paths as the user gave them, directories opened up. */
#ifndef EM_LOADER_FILES_H
#define EM_LOADER_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"

typedef struct em_files {
    char **paths; /* owned; "-" is stdin */
    size_t n, capacity;
    int64_t size; /* bytes of all of them; -1 where one has no size (a pipe) */
} em_files;

/* A directory stands for its files in byte order of their names: not those of folders inside it,
 * not hidden ones. A path that is missing or may not be read is an error here, before any data is
 * read. *out is the caller's to free, also on failure. */
bool em_files_list(const char *const *paths, int n, em_files *out, em_error *err);
void em_files_free(em_files *f);

/* NAME.txt, NAME.txt.zst, NAME.txt.gz: the file is one document and no JSON lines. */
bool em_file_is_text(const char *path);

#endif
