/* What makes up a bundle; for the files that open one. */
#ifndef EM_MODEL_BUNDLE_PARTS_H
#define EM_MODEL_BUNDLE_PARTS_H

#include "common/buffer.h"
#include "model/mapping.h"
#include "model/tensors.h"

#define EM_BUNDLE_FILES 5

/* The small files of a bundle: config.json and the tokenizer's. */
extern const char *const em_bundle_file_names[EM_BUNDLE_FILES];

typedef struct em_bundle_bytes {
    const void *data;
    size_t size;
} em_bundle_bytes; /* data NULL: none */

struct em_bundle {
    char *path, *name;
    const char *format;
    em_mapping **mappings; /* each allocated by itself: tensors point to its path */
    size_t n_mappings, mappings_capacity;
    em_tensors tensors;
    em_bundle_bytes files[EM_BUNDLE_FILES];
    em_buffer made_config; /* llama2.c: config.json made from the header */
};

/* Maps a file; the bundle keeps it. NULL with err. */
const em_mapping *em_bundle_map(em_bundle *b, const char *path, em_error *err);
/* Refuses by name what a weight file may be instead of safetensors: pickle, GGUF, a Git LFS
 * pointer. */
bool em_bundle_refuse(const em_mapping *m, em_error *err);
bool em_bundle_open_directory(em_bundle *b, em_error *err);
/* The snapshot of ORG/NAME in the local Hugging Face cache, to be freed; NULL with err. */
char *em_hub_snapshot(const char *repository, em_error *err);
bool em_hub_is_name(const char *path); /* looks like ORG/NAME */
/* Where a path that may be a repository's name lies, and the model's name by it; both to be freed.
 */
bool em_bundle_resolve(const char *path, char **resolved, char **name, bool *directory,
                       em_error *err);

#endif
