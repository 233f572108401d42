/* A model as one .bin: safetensors, the small files as U8 tensors. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/output.h"
#include "common/size.h"
#include "model/model_parts.h"
#include "model/stored.h"

#define ALIGN 64

/* One tensor of the output. The format allows no holes, so what alignment needs is a tensor too. */
typedef struct item {
    char name[288];
    const char *type;
    int n_dims;
    int64_t shape[EM_MAX_DIMS];
    const void *data; /* NULL: made holds what makes it */
    const em_made *made;
    const em_tensor *packed; /* to be unpacked; NULL: it is plain, or made */
    size_t bytes;
} item;

typedef struct plan {
    const em_model *m;
    int threads;
    XXH3_state_t *hash; /* of a model that is not as stored: all bytes of the file */
    item *items;
    size_t n, capacity, bytes;
    em_error *err;
} plan;

static bool push(plan *p, const item *i) {
    if (!em_grow(&p->items, &p->capacity, p->n + 1, sizeof *p->items, "the list of tensors",
                 p->err))
        return false;
    p->items[p->n++] = *i;
    p->bytes += i->bytes;
    return true;
}

static bool push_bytes(plan *p, const char *prefix, const char *name, const void *data,
                       size_t bytes) {
    item i = {.type = "U8", .n_dims = 1, .shape = {(int64_t)bytes}, .data = data, .bytes = bytes};
    snprintf(i.name, sizeof i.name, "%s%s", prefix, name);
    return push(p, &i);
}

static bool push_padding(plan *p) {
    static const unsigned char zeros[ALIGN];
    char name[24];
    size_t gap = (ALIGN - p->bytes % ALIGN) % ALIGN;
    if (!gap) return true;
    snprintf(name, sizeof name, "%zu", p->n);
    return push_bytes(p, "align:", name, zeros, gap);
}

bool em_model_is_remade(const em_model *m) {
    for (int64_t i = 0; i < em_bundle_tensors(m->bundle); i++)
        if (m->part_of[i] != EM_PART_UNUSED &&
            !em_tensor_is_plain(em_bundle_tensor_at(m->bundle, i)))
            return true;
    return m->composition != NULL;
}

/* What the model has in the tensor's place; NULL: the tensor itself. */
static const em_made *made_for(const em_model *m, const em_tensor *t) {
    for (size_t i = 0; m->composition && i < m->composition->n; i++)
        if (m->composition->made[i].place == t) return &m->composition->made[i];
    return NULL;
}

static bool push_tensor(plan *p, const em_tensor *t) {
    const em_made *made = made_for(p->m, t);
    item i = {.type = t->type, .n_dims = t->n_dims, .data = t->data, .bytes = t->bytes};
    if (made)
        i.type = "F32", i.data = NULL, i.made = made,
        i.bytes = (size_t)(made->rows * made->columns) * sizeof(float);
    else if (!em_tensor_is_plain(t))
        i.type = "F32", i.data = NULL, i.packed = t,
        i.bytes = (size_t)em_tensor_elements(t) * sizeof(float);
    if (strlen(t->name) >= sizeof i.name)
        return em_fail_at(p->err, EM_INPUT, t->file, 0, -1,
                          "the tensor's name is too long: %.80s...", t->name);
    memcpy(i.name, t->name, strlen(t->name) + 1);
    memcpy(i.shape, t->shape, sizeof i.shape);
    return push_padding(p) && push(p, &i);
}

/* ---- the tokenizer given on the command line ---- */

typedef struct extra {
    em_mapping files[6];
    const char *names[6];
    int n;
} extra;

/* A tokenizer's own file, and what counts where it lies beside it. */
static const char *const tokenizer_names[] = {"tokenizer.json",          "tokenizer.model",
                                              "tokenizer_config.json",   "added_tokens.json",
                                              "special_tokens_map.json", "chat_template.jinja"};

static void extra_free(extra *e) {
    for (int i = 0; i < e->n; i++) em_mapping_close(&e->files[i]);
}

static bool extra_add(extra *e, const char *path, const char *name, em_error *err) {
    if (!em_mapping_open(&e->files[e->n], path, err)) return false;
    e->names[e->n++] = name;
    return true;
}

static bool extra_directory(extra *e, const char *path, em_error *err) {
    char file[4096];
    for (int i = 0; i < 6; i++) {
        snprintf(file, sizeof file, "%s/%s", path, tokenizer_names[i]);
        if (access(file, F_OK) == 0 && !extra_add(e, file, tokenizer_names[i], err)) return false;
    }
    return (e->n && (e->names[0] == tokenizer_names[0] || e->names[0] == tokenizer_names[1])) ||
           em_fail_at(err, EM_INPUT, path, 0, -1,
                      "holds neither tokenizer.json nor tokenizer.model");
}

/* A file is a tokenizer.json where it starts as JSON does. */
static bool extra_open(extra *e, const char *path, em_error *err) {
    struct stat st;
    if (!path) return true;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return extra_directory(e, path, err);
    if (!extra_add(e, path, "tokenizer.model", err)) return false;
    if (e->files[0].size && *(const char *)e->files[0].data == '{') e->names[0] = "tokenizer.json";
    return true;
}

/* ---- writing ---- */

static bool keep_file(plan *p, const char *name) {
    const void *data;
    size_t size;
    return !em_bundle_file(p->m->bundle, name, &data, &size) ||
           push_bytes(p, "file:", name, data, size);
}

static bool plan_files(plan *p, const extra *e) {
    if (!keep_file(p, "config.json") || !keep_file(p, "generation_config.json")) return false;
    for (int i = 0; i < 6 && !e->n; i++)
        if (!keep_file(p, tokenizer_names[i])) return false;
    for (int i = 0; i < e->n; i++)
        if (!push_bytes(p, "file:", e->names[i], e->files[i].data, e->files[i].size)) return false;
    return true;
}

/* One file has a tensor for each change, or cannot hold the model. */
static bool check_places(const em_model *m, em_error *err) {
    const em_composition *c = m->composition;
    for (size_t i = 0; c && i < c->n; i++) {
        const em_made *t = &c->made[i];
        bool shared = m->spec.tied && t->place->data == m->embedding.tokens.data;
        if (t->fresh || shared)
            return em_fail_at(
                err, EM_INPUT, c->adapter.path, 0, -1,
                "%s %s: the merged model is no checkpoint of this family; leave it to --adapter",
                shared ? "changes one of embedding and head, which are tied as"
                       : "adds a bias, which the model has not, to the module of",
                t->place->name);
    }
    return true;
}

static bool plan_tensors(plan *p) {
    const em_model *m = p->m;
    for (int64_t i = 0; i < em_bundle_tensors(m->bundle); i++)
        if (m->part_of[i] != EM_PART_UNUSED && !push_tensor(p, em_bundle_tensor_at(m->bundle, i)))
            return false;
    return true;
}

static json_t *header_entry(const item *i, size_t begin) {
    json_t *shape = json_array();
    for (int d = 0; d < i->n_dims; d++) json_array_append_new(shape, json_integer(i->shape[d]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", i->type, "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)(begin + i->bytes));
}

/* The JSON, padded with spaces so that the data begins at a multiple of ALIGN. To be freed. */
static char *make_header(const plan *p, size_t *length) {
    json_t *root = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    size_t at = 0;
    for (size_t i = 0; i < p->n; at += p->items[i++].bytes)
        json_object_set_new(root, p->items[i].name, header_entry(&p->items[i], at));
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    size_t n = text ? strlen(text) : 0;
    *length = (n + 8 + ALIGN - 1) / ALIGN * ALIGN - 8;
    char *padded = text ? realloc(text, *length) : NULL;
    if (padded) memset(padded + n, ' ', *length - n);
    else free(text);
    return padded;
}

static bool put(const plan *p, em_output *out, const void *data, size_t n) {
    if (p->hash) XXH3_128bits_update(p->hash, data, n);
    return em_output_write(out, data, n, p->err);
}

static bool put_made(const plan *p, em_output *out, const item *i) {
    float *values = em_alloc(i->bytes / sizeof *values, sizeof *values, i->name, p->err);
    bool good = values && (i->packed ||
                           em_made_values(p->m->composition, i->made, p->threads, values, p->err));
    if (good && i->packed) em_tensor_values(i->packed, p->threads, values);
    good = good && put(p, out, values, i->bytes);
    free(values);
    return good;
}

static bool write_all(const plan *p, const char *header, size_t length, em_output *out) {
    unsigned char size[8];
    for (int i = 0; i < 8; i++) size[i] = (unsigned char)((uint64_t)length >> 8 * i);
    if (!put(p, out, size, 8) || !put(p, out, header, length)) return false;
    for (size_t i = 0; i < p->n; i++) {
        const item *x = &p->items[i];
        if (!(x->made || x->packed ? put_made(p, out, x) : put(p, out, x->data, x->bytes)))
            return false;
    }
    return true;
}

static bool write_file(const plan *p, const char *path) {
    em_error *err = p->err;
    size_t length;
    char *header = make_header(p, &length);
    if (!header) return em_fail_memory(err, p->n * sizeof *p->items, "a header");
    em_output *out = em_output_open(path, err);
    bool good = out && write_all(p, header, length, out);
    if (good) good = em_output_commit(out, err);
    else em_output_abort(out);
    free(header);
    return good;
}

/* Reads the file once more: no source has a fingerprint to hold the merged weights to. */
static bool read_back(const plan *p, const char *path) {
    em_mapping m = {0};
    if (!em_mapping_open(&m, path, p->err)) return false;
    XXH128_hash_t written = XXH3_128bits_digest(p->hash), found = XXH3_128bits(m.data, m.size);
    em_mapping_close(&m);
    return XXH128_isEqual(written, found) ||
           em_fail_at(p->err, EM_MACHINE, path, 0, -1,
                      "does not read back as it was written; convert again");
}

static bool start_hash(plan *p) {
    if (!em_model_is_remade(p->m)) return true;
    if (!(p->hash = XXH3_createState())) return em_fail_memory(p->err, 576, "a hash");
    XXH3_128bits_reset(p->hash);
    return true;
}

bool em_convert(const em_model *m, const char *extra_tokenizer, int threads, const char *out_path,
                em_error *err) {
    extra e = {0};
    plan p = {.m = m, .threads = threads, .err = err};
    bool good = check_places(m, err) && start_hash(&p) && extra_open(&e, extra_tokenizer, err) &&
                plan_files(&p, &e) && plan_tensors(&p) && write_file(&p, out_path) &&
                (!p.hash || read_back(&p, out_path));
    XXH3_freeState(p.hash);
    free(p.items);
    extra_free(&e);
    return good;
}
