/* What makes up a bundle; for the files that open one. */
#ifndef EM_MODEL_BUNDLE_PARTS_H
#define EM_MODEL_BUNDLE_PARTS_H

#include "common/buffer.h"
#include "common/notes.h"
#include "model/mapping.h"
#include "model/tensors.h"

#define EM_BUNDLE_FILES 8

/* The small files of a bundle: config.json and the tokenizer's. */
extern const char *const em_bundle_file_names[EM_BUNDLE_FILES];

typedef struct em_bundle_bytes {
    const void *data;
    size_t size;
} em_bundle_bytes; /* data NULL: none */

typedef struct em_bundle {
    char *path, *name;
    const char *format;
    em_mapping **mappings; /* each allocated by itself: tensors point to its path */
    size_t n_mappings, mappings_capacity;
    em_tensors tensors;
    em_bundle_bytes files[EM_BUNDLE_FILES];
    em_notes notes;                  /* what its files say against each other */
    em_buffer made[EM_BUNDLE_FILES]; /* those small files that were made from a header or keys */
} em_bundle;

/* Maps a file; the bundle keeps it and closes it. NULL with err: EM_INPUT where it cannot be read,
 * EM_MACHINE. */
const em_mapping *em_bundle_map(em_bundle *b, const char *path, em_error *err);
/* Refuses by name (EM_INPUT, false) what a weight file may be instead of safetensors: pickle, a Git
 * LFS pointer. */
bool em_bundle_refuse(const em_mapping *m, em_error *err);
/* Where a path that may be a repository's name lies, and the model's name by it; both to be freed.
 * *directory: it is none of a single file. Errors: EM_INPUT where there is nothing, with what to
 * do; also then what is not NULL is to be freed. */
bool em_bundle_resolve(const char *path, char **resolved, char **name, bool *directory,
                       em_error *err);

#endif
