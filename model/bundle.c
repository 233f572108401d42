#include "model/bundle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/size.h"
#include "model/bundle_parts.h"
#include "model/directory.h"
#include "model/gguf_model.h"
#include "model/llama2c.h"
#include "model/safetensors.h"

/* Takes the U8 tensors "file:NAME" and the padding "align:N" out of the list of tensors. */
static bool take_files(em_bundle *b, em_error *err) {
    size_t kept = 0;
    bool good = true;
    for (size_t i = 0; i < b->tensors.n; i++) {
        em_tensor *t = &b->tensors.items[i];
        bool file = !strncmp(t->name, "file:", 5), padding = !strncmp(t->name, "align:", 6);
        if (!file && !padding) {
            b->tensors.items[kept++] = *t;
            continue;
        }
        if (strcmp(t->type, "U8"))
            good = em_fail_at(err, EM_INPUT, t->file, 0, -1, "tensor %s is %s, U8 is expected",
                              t->name, t->type);
        for (int k = 0; k < EM_BUNDLE_FILES && file; k++)
            if (!strcmp(t->name + 5, em_bundle_file_names[k]))
                b->files[k] = (em_bundle_bytes){t->data, t->bytes};
        free((char *)t->name);
    }
    b->tensors.n = kept;
    return good;
}

static bool open_safetensors(em_bundle *b, const em_mapping *m, em_error *err) {
    b->format = "bin";
    if (!em_safetensors_read(m->data, m->size, m->path, &b->tensors, err) || !take_files(b, err))
        return false;
    if (b->files[0].data) return true;
    return em_fail_at(err, EM_INPUT, m->path, 0, -1,
                      "holds weights but no config.json; give the directory that it lies in, "
                      "or a .bin made by `evalmask convert`");
}

static bool open_llama2c(em_bundle *b, const em_mapping *m, em_error *err) {
    b->format = "llama2.c";
    if (!em_llama2c_read(m->data, m->size, m->path, &b->tensors, &b->made[0], err)) return false;
    b->files[0] = (em_bundle_bytes){b->made[0].data, b->made[0].length};
    return true;
}

/* ---- GGUF ---- */

/* The path of shard k (from 1) of n beside the first one, NAME-00001-of-0000n.gguf; to be freed.
 * NULL: the path is not of that form, or there is no memory. */
static char *shard_path(const char *first, int64_t k, int64_t n) {
    char tail[40], *path = NULL;
    snprintf(tail, sizeof tail, "-00001-of-%05lld.gguf", (long long)n);
    size_t length = strlen(first), end = strlen(tail);
    if (length <= end || strcmp(first + length - end, tail)) return NULL;
    if (asprintf(&path, "%.*s-%05lld-of-%05lld.gguf", (int)(length - end), first, (long long)k,
                 (long long)n) < 0)
        return NULL;
    return path;
}

/* The tensors of the shards behind the first one; the keys are all in that. */
static bool add_shards(em_bundle *b, const em_gguf *first, em_error *err) {
    int64_t n = 1, number = 0;
    if (!em_gguf_int(first, "split.count", 0, 99999, &n, err) ||
        !em_gguf_int(first, "split.no", 0, 99999, &number, err))
        return false;
    if (n > 1 && number != 0)
        return em_fail_at(err, EM_INPUT, b->path, 0, -1,
                          "is shard %lld of %lld; give the first one", (long long)number + 1,
                          (long long)n);
    for (int64_t k = 2; k <= n; k++) {
        em_gguf shard = {0};
        char *path = shard_path(b->path, k, n);
        if (!path)
            return em_fail_at(
                err, EM_INPUT, b->path, 0, -1,
                "is the first of %lld shards, but not named NAME-00001-of-%05lld.gguf: "
                "the others cannot be found",
                (long long)n, (long long)n);
        const em_mapping *m = em_bundle_map(b, path, err);
        free(path);
        bool good = m && em_gguf_read(m->data, m->size, m->path, &shard, &b->tensors, err);
        em_gguf_free(&shard);
        if (!good) return false;
    }
    return true;
}

/* tokenizer.json, tokenizer.model and tokenizer_config.json of the keys. */
static bool make_tokenizer(em_bundle *b, const em_gguf *g, em_error *err) {
    em_gguf_tokenizer t = {0};
    bool good = em_gguf_tokenizer_make(g, &t, &b->notes, err);
    b->made[1] = t.json, b->made[2] = t.model, b->made[3] = t.config;
    for (int i = 1; i <= 3; i++)
        if (b->made[i].length) b->files[i] = (em_bundle_bytes){b->made[i].data, b->made[i].length};
    return good;
}

static bool open_gguf(em_bundle *b, const em_mapping *m, em_error *err) {
    em_gguf g = {0};
    b->format = "gguf";
    bool good = em_gguf_read(m->data, m->size, m->path, &g, &b->tensors, err) &&
                add_shards(b, &g, err) &&
                em_gguf_model_make(&g, &b->tensors, &b->made[0], &b->notes, err) &&
                make_tokenizer(b, &g, err);
    b->files[0] = (em_bundle_bytes){b->made[0].data, b->made[0].length};
    em_gguf_free(&g);
    return good;
}

/* What wrappers of a module write before every name: torch.compile, (Distributed)DataParallel, PEFT
 * without its adapter. */
static const char *const wrappers[] = {"_orig_mod.", "module.", "base_model.model."};
enum { N_WRAPPERS = sizeof wrappers / sizeof *wrappers };

/* How many tensors carry the prefix. */
static size_t carriers(const em_tensors *t, const char *prefix) {
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) n += !strncmp(t->items[i].name, prefix, strlen(prefix));
    return n;
}

static void cut_names(em_tensors *t, size_t n) {
    for (size_t i = 0; i < t->n; i++) {
        char *name = (char *)t->items[i].name; /* the list's own copy */
        memmove(name, name + n, strlen(name + n) + 1);
    }
}

/* A prefix that stands on every tensor is read through, with a note; on some it is named, and the
 * tensors that are missed for it are refused where they are looked for. */
static bool unwrap(em_bundle *b, em_error *err) {
    for (int w = 0; w < N_WRAPPERS; w++) {
        size_t n = carriers(&b->tensors, wrappers[w]);
        if (n && n < b->tensors.n &&
            !em_notes_add(&b->notes, err, "%s: %zu of %zu tensors begin with %s", b->path, n,
                          b->tensors.n, wrappers[w]))
            return false;
        if (!n || n < b->tensors.n) continue;
        if (!em_notes_add(&b->notes, err,
                          "%s: all %zu tensors begin with %s, which is read through", b->path, n,
                          wrappers[w]))
            return false;
        cut_names(&b->tensors, strlen(wrappers[w]));
        w = -1; /* one wrapper may stand in another */
    }
    return true;
}

static bool open_file(em_bundle *b, em_error *err) {
    const em_mapping *m = em_bundle_map(b, b->path, err);
    if (!m) return false;
    if (em_safetensors_looks(m->data, m->size)) return open_safetensors(b, m, err);
    if (em_gguf_looks(m->data, m->size)) return open_gguf(b, m, err);
    if (em_llama2c_looks(m->data, m->size)) return open_llama2c(b, m, err);
    if (!em_bundle_refuse(m, err)) return false;
    return em_fail_at(err, EM_INPUT, b->path, 0, 0,
                      "is no model that this version reads: a Hugging Face directory, "
                      "a GGUF file, a .bin made by `evalmask convert`, or a llama2.c checkpoint");
}

em_bundle *em_bundle_open(const char *path, em_error *err) {
    em_bundle *b = em_alloc(1, sizeof *b, "a model", err);
    bool directory = false;
    if (!b) return NULL;
    if (em_bundle_resolve(path, &b->path, &b->name, &directory, err) &&
        (directory ? em_bundle_open_directory(b, err) : open_file(b, err)) && unwrap(b, err) &&
        em_tensors_sort(&b->tensors, err))
        return b;
    em_bundle_close(b);
    return NULL;
}

void em_bundle_close(em_bundle *b) {
    if (!b) return;
    for (size_t i = 0; i < b->n_mappings; i++) {
        em_mapping_close(b->mappings[i]);
        free(b->mappings[i]);
    }
    free(b->mappings);
    em_tensors_free(&b->tensors);
    for (int i = 0; i < EM_BUNDLE_FILES; i++) em_buffer_free(&b->made[i]);
    em_notes_free(&b->notes);
    free(b->path);
    free(b->name);
    free(b);
}

const char *em_bundle_path(const em_bundle *b) { return b->path; }
const char *em_bundle_name(const em_bundle *b) { return b->name; }
const char *em_bundle_format(const em_bundle *b) { return b->format; }

bool em_bundle_file(const em_bundle *b, const char *name, const void **data, size_t *size) {
    for (int i = 0; i < EM_BUNDLE_FILES; i++)
        if (b->files[i].data && !strcmp(name, em_bundle_file_names[i])) {
            *data = b->files[i].data;
            *size = b->files[i].size;
            return true;
        }
    return false;
}

const em_notes *em_bundle_notes(const em_bundle *b) { return &b->notes; }

int64_t em_bundle_tensors(const em_bundle *b) { return (int64_t)b->tensors.n; }
const em_tensor *em_bundle_tensor_at(const em_bundle *b, int64_t i) { return &b->tensors.items[i]; }
const em_tensor *em_bundle_tensor(const em_bundle *b, const char *name) {
    return em_tensors_find(&b->tensors, name);
}

/* The whole pages of a tensor: outward where more may be read, inward where neighbours must stay.
 */
static uintptr_t pages(const em_tensor *t, bool outward, uintptr_t *end) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)t->data;
    *end = begin + t->bytes;
    if (!outward) *end = *end / page * page;
    return (outward ? begin : begin + page - 1) / page * page;
}

/* One call reads no more than the file's read-ahead (Linux, force_page_cache_ra): 128 KiB where no
 * one has set another. */
#define READ_AHEAD ((uintptr_t)128 << 10)

void em_bundle_will_need(const em_bundle *b, const em_tensor *t) {
    uintptr_t end, begin = pages(t, true, &end);
    for (; begin < end; begin += READ_AHEAD)
        madvise((void *)begin, end - begin < READ_AHEAD ? end - begin : READ_AHEAD, MADV_WILLNEED);
}

void em_bundle_done_with(const em_bundle *b, const em_tensor *t) {
    uintptr_t end, begin = pages(t, false, &end);
    if (end > begin) madvise((void *)begin, end - begin, MADV_DONTNEED);
}
