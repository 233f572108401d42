#include "model/bundle_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/size.h"
#include "model/hub.h"

const char *const em_bundle_file_names[EM_BUNDLE_FILES] = {"config.json",
                                                           "tokenizer.json",
                                                           "tokenizer.model",
                                                           "tokenizer_config.json",
                                                           "generation_config.json",
                                                           "added_tokens.json",
                                                           "special_tokens_map.json",
                                                           "chat_template.jinja"};

const em_mapping *em_bundle_map(em_bundle *b, const char *path, em_error *err) {
    if (!em_grow(&b->mappings, &b->mappings_capacity, b->n_mappings + 1, sizeof *b->mappings,
                 "mapped files", err))
        return NULL;
    em_mapping *m = em_alloc(1, sizeof *m, "a mapped file", err);
    if (!m) return NULL;
    if (!em_mapping_open(m, path, err)) {
        free(m);
        return NULL;
    }
    return b->mappings[b->n_mappings++] = m;
}

static bool starts(const em_mapping *m, const char *magic, size_t n) {
    return m->size >= n && !memcmp(m->data, magic, n);
}

bool em_bundle_refuse(const em_mapping *m, em_error *err) {
    if (starts(m, "GGUF", 4))
        return em_fail_at(err, EM_INPUT, m->path, 0, 0,
                          "is a GGUF file, no safetensors; give the file itself as the model");
    if (starts(m, "PK\3\4", 4) ||
        (starts(m, "\x80", 1) && m->size > 1 && ((const char *)m->data)[1] >= 2 &&
         ((const char *)m->data)[1] <= 5))
        return em_fail_at(err, EM_INPUT, m->path, 0, 0,
                          "is a pickle checkpoint, which could run code and is not read; "
                          "convert it to safetensors");
    if (starts(m, "version https://git-lfs", 23))
        return em_fail_at(err, EM_INPUT, m->path, 0, 0,
                          "is a Git LFS pointer, not the weights themselves; run `git lfs pull`");
    if (starts(m, "24ka", 4)) /* the int32 0x616b3432, little-endian */
        return em_fail_at(err, EM_INPUT, m->path, 0, 0,
                          "is a llama2.c checkpoint of version 1 or later; "
                          "only the legacy export (version 0) is read");
    return true;
}

/* The last part of a path, without the ending of a file. "." is named by its real path. */
static char *stem(const char *path, bool directory) {
    char *real = realpath(path, NULL);
    const char *full = directory && real ? real : path, *slash = strrchr(full, '/');
    char *name = strdup(slash && slash[1] ? slash + 1 : full);
    char *dot = name && !directory ? strrchr(name, '.') : NULL;
    if (dot && dot != name) *dot = 0;
    free(real);
    return name;
}

bool em_bundle_resolve(const char *path, char **resolved, char **name, bool *directory,
                       em_error *err) {
    struct stat st;
    bool hub = stat(path, &st) != 0;
    if (hub && !em_hub_is_name(path))
        return em_fail_at(err, EM_INPUT, path, 0, -1, "%s", strerror(errno));
    *resolved = hub ? em_hub_snapshot(path, err) : strdup(path);
    *directory = hub || S_ISDIR(st.st_mode);
    if (*resolved) *name = hub ? strdup(strrchr(path, '/') + 1) : stem(path, *directory);
    return *name || em_fail_memory(err, strlen(path), path);
}
