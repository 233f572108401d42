/* The files behind --data: paths as the user gave them, directories opened up. */
#ifndef EM_LOADER_FILES_H
#define EM_LOADER_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/buffer.h"
#include "common/error.h"

typedef struct em_files {
    char **paths; /* owned; "-" is stdin */
    size_t n, capacity;
    int64_t size;         /* bytes of all of them; -1 where one has no size (a pipe) */
    int64_t left_out;     /* files in the directories that are no data */
    int64_t links;        /* second links to what is there already */
    em_buffer left_names; /* the first of them, with commas, as paths under their directory */
} em_files;

/* A path that is a file stands for itself, whatever it holds. A directory stands for the data below
 * it, entries of a folder in byte order of their names, those of folders inside it at their name's
 * place. Links are followed; what has been met under the same --data counts once. Data is what is
 * named so (.jsonl, .ndjson, .txt, with .zst or .gz after that), and any other file that holds JSON
 * records with text_key (NULL: packed rows, with input_ids), whatever it is called; not README.txt,
 * LICENSE.txt and the like, and nothing hidden. All else is counted in left_out.
 *
 * *out is the caller's to free, also on failure. EM_INPUT: a path that is missing or may not be
 * read, an address where a file is due (s3://), a directory without data; EM_USAGE: stdin twice. */
bool em_files_list(const char *const *paths, int n, const char *text_key, em_files *out,
                   em_error *err);
/* Frees what f owns and makes it {0}. */
void em_files_free(em_files *f);
/* "2 files there are no data and were left out: README.md, assets/a.png; 1 second link", or ""
 * where there is nothing to say; out has room for n bytes. Returns out. */
char *em_files_note(const em_files *f, char *out, size_t n);

/* NAME.txt, NAME.txt.zst, NAME.txt.gz: the file is one document and no JSON lines. */
bool em_file_is_text(const char *path);

#endif
