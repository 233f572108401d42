#include "model/gguf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "model/blocks.h"

enum {
    MAX_NAME = 1024,
    MAX_NESTING = 4,
    SHORTEST_KEY = 8 + 4 + 1,
    SHORTEST_TENSOR = 8 + 4 + 4 + 8
};

/* ---- plain values ---- */

static const unsigned char widths[EM_GGUF_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

static uint64_t number(const unsigned char *p, int bytes) {
    uint64_t x = 0;
    for (int i = 0; i < bytes; i++) x |= (uint64_t)p[i] << 8 * i;
    return x;
}

typedef struct cursor {
    em_gguf *g;
    size_t at;
    const char *what; /* the key or tensor at hand, for errors */
    em_error *err;
} cursor;

static bool bad(const cursor *c, const char *text) {
    return em_fail_at(c->err, EM_INPUT, c->g->file, 0, (int64_t)c->at, "%s: %s", c->what, text);
}

static bool has(const cursor *c, uint64_t bytes) {
    return bytes <= c->g->size - c->at || bad(c, "the file ends here; is the download complete?");
}

static bool take(cursor *c, int bytes, uint64_t *out) {
    if (!has(c, (uint64_t)bytes)) return false;
    *out = number(c->g->data + c->at, bytes);
    c->at += (size_t)bytes;
    return true;
}

static bool take_text(cursor *c, em_gguf_text *out) {
    uint64_t n;
    if (!take(c, 8, &n) || !has(c, n)) return false;
    *out = (em_gguf_text){(const char *)c->g->data + c->at, (size_t)n};
    c->at += (size_t)n;
    return true;
}

/* A name, NUL-terminated, in out. */
static bool take_name(cursor *c, em_gguf_text *text, char out[MAX_NAME]) {
    if (!take_text(c, text)) return false;
    if (!text->n || text->n >= MAX_NAME || memchr(text->data, 0, text->n))
        return bad(c, "a name is empty, longer than 1023 bytes or holds a NUL");
    memcpy(out, text->data, text->n);
    out[text->n] = 0;
    return true;
}

/* ---- keys ---- */

static bool skip_texts(cursor *c, uint64_t n) {
    em_gguf_text text;
    if (n > (c->g->size - c->at) / 8) return bad(c, "holds more texts than the file has bytes for");
    while (n--)
        if (!take_text(c, &text)) return false;
    return true;
}

/* Passes over n values of the type; arrays nest. */
static bool skip_values(cursor *c, uint64_t type, uint64_t n, int depth) {
    size_t bytes;
    if (type >= EM_GGUF_TYPES) return bad(c, "has a value of an unknown type");
    if (type == EM_GGUF_TEXT) return skip_texts(c, n);
    if (type != EM_GGUF_ARRAY) {
        if (!em_size_mul((size_t)n, widths[type], &bytes) || !has(c, bytes))
            return bad(c, "holds more values than the file has bytes for");
        c->at += bytes;
        return true;
    }
    if (depth == MAX_NESTING) return bad(c, "holds arrays in arrays, deeper than 4");
    if (n > (c->g->size - c->at) / 12)
        return bad(c, "holds more arrays than the file has bytes for");
    for (uint64_t inner, m; n--;)
        if (!take(c, 4, &inner) || !take(c, 8, &m) || !skip_values(c, inner, m, depth + 1))
            return false;
    return true;
}

static bool take_key(cursor *c, em_gguf_key *key) {
    char name[MAX_NAME];
    uint64_t type, inner = 0, n = 1;
    c->what = "the list of keys";
    if (!take_name(c, &key->name, name)) return false;
    c->what = name;
    if (!take(c, 4, &type)) return false;
    key->array = type == EM_GGUF_ARRAY;
    if (key->array && (!take(c, 4, &inner) || !take(c, 8, &n))) return false;
    if (!key->array) inner = type;
    key->type = (em_gguf_type)inner;
    key->n = n;
    key->data = c->g->data + c->at;
    bool good = skip_values(c, inner, n, 0);
    c->what = "the list of keys";
    return good;
}

static int compare(em_gguf_text a, em_gguf_text b) {
    int order = memcmp(a.data, b.data, a.n < b.n ? a.n : b.n);
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int by_name(const void *a, const void *b) {
    return compare(((const em_gguf_key *)a)->name, ((const em_gguf_key *)b)->name);
}

static bool take_keys(cursor *c, uint64_t n) {
    em_gguf *g = c->g;
    if (n > (g->size - c->at) / SHORTEST_KEY)
        return bad(c, "names more keys than the file has bytes for");
    g->keys = em_alloc((size_t)n, sizeof *g->keys, "the keys of a GGUF file", c->err);
    if (!g->keys) return false;
    for (; g->n < n; g->n++)
        if (!take_key(c, &g->keys[g->n])) return false;
    qsort(g->keys, g->n, sizeof *g->keys, by_name);
    for (size_t i = 1; i < g->n; i++)
        if (!by_name(&g->keys[i - 1], &g->keys[i]))
            return em_fail_at(
                c->err, EM_INPUT, g->file, 0, (const unsigned char *)g->keys[i].name.data - g->data,
                "key %.*s is there twice", (int)g->keys[i].name.n, g->keys[i].name.data);
    return true;
}

/* ---- tensors ---- */

/* Sizes of the tensor: rows of whole blocks. */
static bool measure(const cursor *c, const em_block_type *type, em_tensor *t) {
    int64_t columns = t->shape[t->n_dims - 1];
    size_t blocks = (size_t)(columns / type->weights);
    if (columns % type->weights) return bad(c, "has rows that are no whole blocks of its type");
    for (int d = 0; d < t->n_dims - 1; d++)
        if (!em_size_mul(blocks, (size_t)t->shape[d], &blocks)) return bad(c, "is too large");
    return em_size_mul(blocks, type->bytes, &t->bytes) || bad(c, "is too large");
}

/* The tensor's entry; its data is counted from the section's start, which is not known yet. */
static bool take_tensor(cursor *c, em_tensor *t, char name[MAX_NAME]) {
    uint64_t n_dims, dim, type, offset;
    em_gguf_text text;
    c->what = "the list of tensors";
    if (!take_name(c, &text, name)) return false;
    c->what = name;
    *t = (em_tensor){.name = name, .file = c->g->file};
    if (!take(c, 4, &n_dims)) return false;
    if (n_dims < 1 || n_dims > 4) return bad(c, "has no number of dimensions from 1 to 4");
    t->n_dims = (int)n_dims;
    for (int d = t->n_dims; d-- > 0;) {
        if (!take(c, 8, &dim)) return false;
        if (dim < 1 || dim > INT64_MAX) return bad(c, "has a dimension outside 1 to 2^63 - 1");
        t->shape[d] = (int64_t)dim;
    }
    if (!take(c, 4, &type) || !take(c, 8, &offset)) return false;
    const em_block_type *block = em_block_type_of((uint32_t)type);
    if (!block)
        return em_fail_at(c->err, EM_INPUT, c->g->file, 0, (int64_t)c->at - 12,
                          "%s: is of type %llu, which no version of ggml has or which was removed",
                          name, (unsigned long long)type);
    t->type = block->name;
    t->data = (const void *)(uintptr_t)offset;
    return measure(c, block, t);
}

static bool place(const cursor *c, em_tensor *t, size_t section, uint64_t alignment) {
    uint64_t offset = (uintptr_t)t->data;
    size_t end;
    if (offset % alignment) return bad(c, "does not begin at a multiple of general.alignment");
    if (!em_size_add(section, (size_t)offset, &end) || end > c->g->size ||
        t->bytes > c->g->size - end)
        return bad(c, "lies beyond the end of the file; is the download complete?");
    t->data = c->g->data + end;
    return true;
}

static bool take_tensors(cursor *c, uint64_t n, em_tensors *out) {
    em_tensor t;
    char name[MAX_NAME];
    int64_t alignment = 32;
    size_t first = out->n;
    if (n > (c->g->size - c->at) / SHORTEST_TENSOR)
        return bad(c, "names more tensors than the file has bytes for");
    for (uint64_t i = 0; i < n; i++)
        if (!take_tensor(c, &t, name) || !em_tensors_add(out, &t, c->err)) return false;
    c->what = "general.alignment";
    if (!em_gguf_int(c->g, "general.alignment", 1, 1 << 20, &alignment, c->err)) return false;
    if (alignment & (alignment - 1)) return bad(c, "is no power of two");
    size_t section = (c->at + (size_t)alignment - 1) / (size_t)alignment * (size_t)alignment;
    for (size_t i = first; i < out->n; i++) {
        c->what = out->items[i].name;
        if (!place(c, &out->items[i], section, (uint64_t)alignment)) return false;
    }
    return true;
}

/* ---- the file ---- */

bool em_gguf_looks(const void *data, size_t size) { return size >= 8 && !memcmp(data, "GGUF", 4); }

bool em_gguf_read(const void *data, size_t size, const char *file, em_gguf *out,
                  em_tensors *tensors, em_error *err) {
    uint64_t version, n_tensors, n_keys;
    *out = (em_gguf){.data = data, .size = size, .file = file};
    cursor c = {out, 4, "the header", err};
    if (!em_gguf_looks(data, size)) return em_fail_at(err, EM_INPUT, file, 0, 0, "is no GGUF file");
    if (!take(&c, 4, &version)) return false;
    if (version & 0xffff0000u)
        return em_fail_at(err, EM_INPUT, file, 0, 4,
                          "is a big-endian GGUF file, which is not read");
    if (version != 2 && version != 3)
        return em_fail_at(err, EM_INPUT, file, 0, 4,
                          "is a GGUF file of version %u; 2 and 3 are read", (unsigned)version);
    return take(&c, 8, &n_tensors) && take(&c, 8, &n_keys) && take_keys(&c, n_keys) &&
           take_tensors(&c, n_tensors, tensors);
}

void em_gguf_free(em_gguf *g) {
    free(g->keys);
    *g = (em_gguf){0};
}

/* ---- reading keys ---- */

const em_gguf_key *em_gguf_find(const em_gguf *g, const char *name) {
    em_gguf_key key = {.name = {name, strlen(name)}};
    return g->n ? bsearch(&key, g->keys, g->n, sizeof key, by_name) : NULL;
}

bool em_gguf_int_at(const em_gguf_key *key, uint64_t i, int64_t *out) {
    int width = key->type < EM_GGUF_TYPES ? widths[key->type] : 0;
    uint64_t x = width ? number(key->data + i * (uint64_t)width, width) : 0;
    switch (key->type) {
    case EM_GGUF_U8:
    case EM_GGUF_U16:
    case EM_GGUF_U32: *out = (int64_t)x; return true;
    case EM_GGUF_I8: *out = (int8_t)x; return true;
    case EM_GGUF_I16: *out = (int16_t)x; return true;
    case EM_GGUF_I32: *out = (int32_t)x; return true;
    case EM_GGUF_I64: *out = (int64_t)x; return true;
    case EM_GGUF_U64: *out = x > INT64_MAX ? INT64_MAX : (int64_t)x; return true;
    default: return false;
    }
}

bool em_gguf_number_at(const em_gguf_key *key, uint64_t i, double *out) {
    int64_t whole;
    float f;
    if (key->type == EM_GGUF_F32) {
        memcpy(&f, key->data + 4 * i, 4);
        *out = f;
    } else if (key->type == EM_GGUF_F64) {
        memcpy(out, key->data + 8 * i, 8);
    } else {
        if (!em_gguf_int_at(key, i, &whole)) return false;
        *out = (double)whole;
    }
    return true;
}

em_gguf_text em_gguf_next_text(const unsigned char **at) {
    em_gguf_text text = {(const char *)*at + 8, (size_t)number(*at, 8)};
    *at += 8 + text.n;
    return text;
}

static bool wrong(const em_gguf *g, const em_gguf_key *key, const char *what, em_error *err) {
    return em_fail_at(err, EM_INPUT, g->file, 0, key->data - g->data, "key %.*s is no %s",
                      (int)key->name.n, key->name.data, what);
}

bool em_gguf_int(const em_gguf *g, const char *name, int64_t least, int64_t most, int64_t *out,
                 em_error *err) {
    const em_gguf_key *key = em_gguf_find(g, name);
    int64_t x;
    if (!key) return true;
    if (key->array || !em_gguf_int_at(key, 0, &x)) return wrong(g, key, "whole number", err);
    if (x < least || x > most)
        return em_fail_at(err, EM_INPUT, g->file, 0, key->data - g->data,
                          "key %s is %lld; %lld to %lld can be", name, (long long)x,
                          (long long)least, (long long)most);
    *out = x;
    return true;
}

bool em_gguf_number(const em_gguf *g, const char *name, double *out, em_error *err) {
    const em_gguf_key *key = em_gguf_find(g, name);
    double x;
    if (!key) return true;
    if (key->array || !em_gguf_number_at(key, 0, &x) || !isfinite(x))
        return wrong(g, key, "number", err);
    *out = x;
    return true;
}

bool em_gguf_bool(const em_gguf *g, const char *name, bool *out, em_error *err) {
    const em_gguf_key *key = em_gguf_find(g, name);
    if (!key) return true;
    if (key->array || key->type != EM_GGUF_BOOL) return wrong(g, key, "bool", err);
    *out = *key->data != 0;
    return true;
}

bool em_gguf_text_of(const em_gguf *g, const char *name, em_gguf_text *out, em_error *err) {
    const em_gguf_key *key = em_gguf_find(g, name);
    const unsigned char *at = key ? key->data : NULL;
    if (!key) return true;
    if (key->array || key->type != EM_GGUF_TEXT) return wrong(g, key, "text", err);
    *out = em_gguf_next_text(&at);
    return true;
}
