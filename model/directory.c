#include "model/directory.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/safetensors.h"

#define INDEX "model.safetensors.index.json"

/* DIRECTORY/NAME, to be freed. */
static char *join(const em_bundle *b, const char *name, em_error *err) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s", b->path, name) >= 0) return path;
    em_fail_memory(err, strlen(name), name);
    return NULL;
}

static bool exists(const em_bundle *b, const char *name) {
    char *path = join(b, name, NULL);
    bool found = path && access(path, F_OK) == 0;
    free(path);
    return found;
}

static const em_mapping *map_in(em_bundle *b, const char *name, em_error *err) {
    char *path = join(b, name, err);
    const em_mapping *m = path ? em_bundle_map(b, path, err) : NULL;
    free(path);
    return m;
}

static bool read_small_files(em_bundle *b, em_error *err) {
    for (int i = 0; i < EM_BUNDLE_FILES; i++) {
        if (!exists(b, em_bundle_file_names[i])) continue;
        const em_mapping *m = map_in(b, em_bundle_file_names[i], err);
        if (!m) return false;
        b->files[i] = (em_bundle_bytes){m->data, m->size};
    }
    return true;
}

static bool read_weights(em_bundle *b, const char *name, em_error *err) {
    const em_mapping *m = map_in(b, name, err);
    return m && (em_safetensors_looks(m->data, m->size) || em_bundle_refuse(m, err)) &&
           em_safetensors_read(m->data, m->size, m->path, &b->tensors, err);
}

/* ---- shards ---- */

static bool bad_index(const em_mapping *m, const char *what, const char *name, em_error *err) {
    return em_fail_at(err, EM_INPUT, m->path, 0, -1, "%s %s", what, name);
}

static bool good_shard_name(const char *name) {
    return *name && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..");
}

/* Of the tensors from `first` on, which lie in this shard, those that the map finds in another one
 * are left out, with a note: the index counts. */
static bool drop_others(em_bundle *b, size_t first, const char *shard, const json_t *map,
                        em_error *err) {
    em_tensors *t = &b->tensors;
    size_t kept = first;
    for (size_t i = first; i < t->n; i++) {
        const char *name = t->items[i].name, *named = json_string_value(json_object_get(map, name));
        if (named && strcmp(named, shard)) {
            if (!em_notes_add(&b->notes, err,
                              "%s/%s holds tensor %s, " INDEX " finds it in %s: the index counts",
                              b->path, shard, name, named))
                return false;
            free((char *)name);
            t->items[i].name = NULL;
            continue;
        }
        if (!named &&
            !em_notes_add(&b->notes, err, "%s/%s holds tensor %s, which " INDEX " does not name",
                          b->path, shard, name))
            return false;
        t->items[kept++] = t->items[i];
    }
    t->n = kept;
    return true;
}

/* Opens every shard that the map names, once. seen: set of the names. */
static bool open_shards(em_bundle *b, const em_mapping *index, json_t *map, json_t *seen,
                        em_error *err) {
    const char *tensor;
    json_t *value;
    json_object_foreach(map, tensor, value) {
        const char *shard = json_string_value(value);
        if (!shard) return bad_index(index, "weight_map names no file for tensor", tensor, err);
        if (!good_shard_name(shard))
            return bad_index(index, "weight_map names a shard outside the directory:", shard, err);
        if (json_object_get(seen, shard)) continue;
        if (json_object_set_new(seen, shard, json_true()))
            return em_fail_memory(err, strlen(shard), index->path);
        if (!exists(b, shard))
            return bad_index(index, "weight_map names a shard that is not in the directory:", shard,
                             err);
        size_t first = b->tensors.n;
        if (!read_weights(b, shard, err) || !drop_others(b, first, shard, map, err)) return false;
    }
    return true;
}

/* Every tensor of the map lies in the shard that the map names. */
static bool check_map(em_bundle *b, const em_mapping *index, json_t *map, em_error *err) {
    const char *name;
    json_t *value;
    if (!em_tensors_sort(&b->tensors, err)) return false;
    json_object_foreach(map, name, value) {
        const em_tensor *t = em_tensors_find(&b->tensors, name);
        const char *file = t ? strrchr(t->file, '/') + 1 : NULL;
        if (!t || strcmp(file, json_string_value(value)))
            return em_fail_at(err, EM_INPUT, index->path, 0, -1,
                              "tensor %s is not in the shard %s that weight_map names", name,
                              json_string_value(value));
    }
    return true;
}

static bool read_shards(em_bundle *b, em_error *err) {
    const em_mapping *m = map_in(b, INDEX, err);
    if (!m) return false;
    json_error_t e;
    json_t *root = json_loadb(m->data, m->size, JSON_REJECT_DUPLICATES, &e), *seen = json_object();
    json_t *map = json_object_get(root, "weight_map");
    bool good = false;
    if (!root) em_fail_at(err, EM_INPUT, m->path, 0, e.position, "is no valid JSON: %s", e.text);
    else if (!json_is_object(map) || !json_object_size(map))
        em_fail_at(err, EM_INPUT, m->path, 0, -1, "has no weight_map");
    else good = open_shards(b, m, map, seen, err) && check_map(b, m, map, err);
    json_decref(seen);
    json_decref(root);
    return good;
}

/* ---- what is not read ---- */

static bool refuse_directory(const em_bundle *b, em_error *err) {
    if (exists(b, "adapter_config.json"))
        return em_fail_at(err, EM_INPUT, b->path, 0, -1,
                          "is a PEFT adapter, not a whole model; give its base model as --model "
                          "and this as --adapter");
    if (exists(b, "pytorch_model.bin") || exists(b, "pytorch_model.bin.index.json"))
        return em_fail_at(err, EM_INPUT, b->path, 0, -1,
                          "holds a pickle checkpoint (pytorch_model.bin), which could run code and "
                          "is not read; convert it to safetensors");
    return em_fail_at(err, EM_INPUT, b->path, 0, -1, "holds neither model.safetensors nor " INDEX);
}

bool em_bundle_open_directory(em_bundle *b, em_error *err) {
    b->format = "directory";
    if (!read_small_files(b, err)) return false;
    bool whole = exists(b, "model.safetensors"), shards = !whole && exists(b, INDEX);
    if (!whole && !shards) return refuse_directory(b, err);
    if (!b->files[0].data) return em_fail_at(err, EM_INPUT, b->path, 0, -1, "holds no config.json");
    return whole ? read_weights(b, "model.safetensors", err) : read_shards(b, err);
}
