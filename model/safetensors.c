#include "model/safetensors.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"

typedef struct dtype_row {
    const char *name;
    unsigned bits;
} dtype_row;

// clang-format off
static const dtype_row dtypes[] = {
    {"BOOL", 8}, {"U8", 8}, {"I8", 8}, {"U16", 16}, {"I16", 16}, {"F16", 16}, {"BF16", 16},
    {"U32", 32}, {"I32", 32}, {"F32", 32}, {"U64", 64}, {"I64", 64}, {"F64", 64}, {"C64", 64},
    {"F8_E4M3", 8}, {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
    {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F4", 4},
};
// clang-format on

typedef struct reader {
    const unsigned char *data;
    size_t size;   /* of the file */
    size_t header; /* length of the JSON, which starts at byte 8 */
    const char *file;
    em_error *err;
} reader;

static uint64_t little_endian(const unsigned char *p) {
    uint64_t x = 0;
    for (int i = 7; i >= 0; i--) x = x << 8 | p[i];
    return x;
}

bool em_safetensors_looks(const void *data, size_t size) {
    const unsigned char *p = data;
    uint64_t header = 0;
    if (size < 10 || p[8] != '{' || p[9] == 0) return false;
    memcpy(&header, p, 8); /* the file may end before it: then it is cut off, and still one */
    return header >= 2 && header <= EM_SAFETENSORS_MAX_HEADER;
}

/* Where the header speaks of the tensor, for errors. */
static int64_t entry_byte(const reader *r, const char *name) {
    char quoted[512];
    int n = snprintf(quoted, sizeof quoted, "\"%s\"", name);
    const unsigned char *found = n > 0 && (size_t)n < sizeof quoted
                                     ? memmem(r->data + 8, r->header, quoted, (size_t)n)
                                     : NULL;
    return found ? found - r->data : 8;
}

static json_t *read_header(reader *r) {
    if (r->size < 8) {
        em_fail_at(r->err, EM_INPUT, r->file, 0, 0,
                   "%zu bytes are too few for a safetensors header", r->size);
        return NULL;
    }
    uint64_t length = little_endian(r->data);
    if (length > EM_SAFETENSORS_MAX_HEADER || length > r->size - 8) {
        em_fail_at(r->err, EM_INPUT, r->file, 0, 0,
                   "a safetensors header of %llu bytes does not fit (the file has %zu bytes, "
                   "the format allows %d)",
                   (unsigned long long)length, r->size, EM_SAFETENSORS_MAX_HEADER);
        return NULL;
    }
    r->header = (size_t)length;
    if (length == 0 || r->data[8] != '{') {
        em_fail_at(r->err, EM_INPUT, r->file, 0, 8,
                   "the safetensors header does not start with '{'");
        return NULL;
    }
    json_error_t e;
    json_t *root = json_loadb((const char *)r->data + 8, r->header, JSON_REJECT_DUPLICATES, &e);
    if (!root)
        em_fail_at(r->err, EM_INPUT, r->file, 0, 8 + (int64_t)e.position,
                   "the safetensors header is no valid JSON: %s", e.text);
    return root;
}

static const dtype_row *find_dtype(const char *name) {
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (!strcmp(dtypes[i].name, name)) return &dtypes[i];
    return NULL;
}

static bool bad_entry(const reader *r, const char *name, const char *what) {
    return em_fail_at(r->err, EM_INPUT, r->file, 0, entry_byte(r, name), "tensor %s: %s", name,
                      what);
}

static bool read_shape(const reader *r, const json_t *shape, em_tensor *t, size_t *elements) {
    size_t n = json_array_size(shape);
    if (!json_is_array(shape)) return bad_entry(r, t->name, "shape is no list");
    if (n > EM_MAX_DIMS) return bad_entry(r, t->name, "shape has too many dimensions");
    t->n_dims = (int)n;
    *elements = 1;
    for (size_t i = 0; i < n; i++) {
        const json_t *d = json_array_get(shape, i);
        if (!json_is_integer(d) || json_integer_value(d) < 0)
            return bad_entry(r, t->name, "shape holds something else than whole numbers");
        t->shape[i] = json_integer_value(d);
        if (!em_size_mul(*elements, (size_t)t->shape[i], elements))
            return bad_entry(r, t->name, "the product of the shape overflows");
    }
    return true;
}

/* Tensor bytes in the file, [begin, end) of the data part. */
static bool read_offsets(const reader *r, const json_t *offsets, em_tensor *t) {
    size_t room = r->size - 8 - r->header;
    const json_t *b = json_array_get(offsets, 0), *e = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(b) || !json_is_integer(e) ||
        json_integer_value(b) < 0)
        return bad_entry(r, t->name, "data_offsets are not two whole numbers");
    uint64_t begin = (uint64_t)json_integer_value(b), end = (uint64_t)json_integer_value(e);
    if (json_integer_value(e) < json_integer_value(b))
        return bad_entry(r, t->name, "data_offsets end before they begin");
    if (end > room)
        return em_fail_at(r->err, EM_INPUT, r->file, 0, entry_byte(r, t->name),
                          "tensor %s: data_offsets [%llu, %llu] run past the "
                          "end of the file, which has %zu bytes of data; is the download complete?",
                          t->name, (unsigned long long)begin, (unsigned long long)end, room);
    t->data = r->data + 8 + r->header + begin;
    t->bytes = (size_t)(end - begin);
    return true;
}

static bool read_entry(const reader *r, const char *name, const json_t *entry, em_tensors *out) {
    em_tensor t = {.name = name, .file = r->file};
    size_t elements = 1, bits;
    const char *type = json_string_value(json_object_get(entry, "dtype"));
    if (!type) return bad_entry(r, name, "no dtype");
    const dtype_row *row = find_dtype(type);
    if (!row)
        return em_fail_at(r->err, EM_INPUT, r->file, 0, entry_byte(r, name),
                          "tensor %s: unknown dtype %s", name, type);
    t.type = row->name;
    if (!read_shape(r, json_object_get(entry, "shape"), &t, &elements)) return false;
    if (!em_size_mul(elements, row->bits, &bits))
        return bad_entry(r, name, "the product of the shape overflows");
    if (!read_offsets(r, json_object_get(entry, "data_offsets"), &t)) return false;
    if (bits % 8 || t.bytes != bits / 8)
        return em_fail_at(r->err, EM_INPUT, r->file, 0, (const unsigned char *)t.data - r->data,
                          "tensor %s: shape and dtype %s make %zu bytes, data_offsets %zu", name,
                          type, bits / 8, t.bytes);
    return em_tensors_add(out, &t, r->err);
}

/* Measuring needs the shape of a model, not as many bytes: a header may say that its tensors lie
 * over one another. */
static bool shares_bytes(const json_t *root) {
    return json_object_get(json_object_get(root, "__metadata__"), EM_SAFETENSORS_SHARED) != NULL;
}

static bool read_metadata(const reader *r, json_t *metadata) {
    const char *key;
    json_t *value;
    if (!json_is_object(metadata)) return bad_entry(r, "__metadata__", "is no object");
    json_object_foreach(metadata, key, value) if (!json_is_string(value)) return bad_entry(
        r, "__metadata__", "holds something else than strings");
    return true;
}

static int by_place(const void *a, const void *b) {
    const em_tensor *x = a, *y = b;
    const char *p = x->data, *q = y->data;
    if (p != q) return p < q ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* Tensors [from, n) of the list cover the data part exactly. */
static bool check_cover(const reader *r, em_tensors *list, size_t from) {
    const unsigned char *next = r->data + 8 + r->header;
    if (list->n > from) qsort(list->items + from, list->n - from, sizeof *list->items, by_place);
    for (size_t i = from; i < list->n; i++) {
        const em_tensor *t = &list->items[i];
        const unsigned char *begin = t->data;
        if (begin != next)
            return em_fail_at(r->err, EM_INPUT, r->file, 0, begin - r->data,
                              begin < next ? "tensor %s overlaps the one before it by %lld bytes"
                                           : "before tensor %s lie %lld bytes that belong to none",
                              t->name, (long long)(begin < next ? next - begin : begin - next));
        next = begin + t->bytes;
    }
    if (next == r->data + r->size) return true;
    return em_fail_at(r->err, EM_INPUT, r->file, 0, next - r->data,
                      "the last %lld bytes belong to no tensor",
                      (long long)(r->data + r->size - next));
}

static bool read_entries(const reader *r, json_t *root, em_tensors *out) {
    const char *name;
    json_t *entry;
    size_t from = out->n;
    json_object_foreach(root, name, entry) if (!(strcmp(name, "__metadata__")
                                                     ? read_entry(r, name, entry, out)
                                                     : read_metadata(r, entry))) return false;
    return shares_bytes(root) || check_cover(r, out, from);
}

bool em_safetensors_read(const void *data, size_t size, const char *file, em_tensors *out,
                         em_error *err) {
    reader r = {data, size, 0, file, err};
    json_t *root = read_header(&r);
    bool good = root && read_entries(&r, root, out);
    json_decref(root);
    return good;
}
