#include "model/stored.h"

#include <string.h>

#include "model/blocks.h"

static const em_block_type *block_type(const em_tensor *t) { return em_block_type_named(t->type); }

bool em_tensor_is_plain(const em_tensor *t) {
    return t->layout == EM_LAYOUT_PLAIN &&
           (!strcmp(t->type, "F32") || !strcmp(t->type, "F16") || !strcmp(t->type, "BF16"));
}

bool em_tensor_is_read(const em_tensor *t) {
    const em_block_type *type = block_type(t);
    return type && type->values;
}

int64_t em_tensor_elements(const em_tensor *t) {
    int64_t n = 1;
    for (int d = 0; d < t->n_dims; d++) n *= t->shape[d];
    return n;
}

void em_tensor_part(const em_tensor *t, int64_t first, int64_t n, float *out) {
    const em_block_type *type = block_type(t); /* a block of a plain type is one element */
    type->values((const char *)t->data + (size_t)first * type->bytes, n, out);
}

/* Where stored row r of `rows` belongs. */
static int64_t place_of(const em_tensor *t, int64_t r, int64_t rows) {
    if (t->layout != EM_LAYOUT_PAIRS && t->layout != EM_LAYOUT_THIRDS) return r;
    int64_t parts = t->layout == EM_LAYOUT_THIRDS ? 3 : 1, size = rows / t->heads / parts;
    if (t->layout == EM_LAYOUT_PAIRS) { /* [heads, size / 2, 2] to [heads, 2, size / 2] */
        int64_t head = r / size, i = r % size;
        return head * size + i % 2 * (size / 2) + i / 2;
    }
    int64_t part = r / (t->heads * size), head = r / size % t->heads;
    return (head * 3 + part) * size + r % size; /* [3, heads, size] to [heads, 3, size] */
}

/* A vector is `rows` rows of one element, whatever blocks it is stored in. */
static void vector_values(const em_tensor *t, float *out) {
    int64_t n = t->shape[0];
    const em_block_type *type = block_type(t);
    type->values(t->data, n, out);
    if (t->layout == EM_LAYOUT_PLUS_ONE)
        for (int64_t i = 0; i < n; i++) out[i] -= 1;
    if (t->layout != EM_LAYOUT_PAIRS && t->layout != EM_LAYOUT_THIRDS) return;
    for (int64_t i = 0; i < n; i++) {
        float x;
        type->values((const char *)t->data + (size_t)i / (size_t)type->weights * type->bytes, 1,
                     &x);
        out[place_of(t, i, n)] = x;
    }
}

/* Stored row r, [columns], into its column of out, [columns, rows]. */
static void scatter(const em_block_type *type, const char *row, int64_t r, int64_t rows,
                    int64_t columns, float *out) {
    float some[256];
    for (int64_t at = 0, n; at < columns; at += n) {
        n = columns - at < 256 ? columns - at : 256;
        type->values(row + (size_t)(at / type->weights) * type->bytes, n, some);
        for (int64_t i = 0; i < n; i++) out[(at + i) * rows + r] = some[i];
    }
}

void em_tensor_values(const em_tensor *t, int threads, float *out) {
    const em_block_type *type = block_type(t);
    if (t->n_dims == 1) {
        vector_values(t, out);
        return;
    }
    bool turned = t->layout == EM_LAYOUT_TRANSPOSED;
    int64_t rows = t->shape[turned ? t->n_dims - 1 : 0];
    if (!rows) return;
    int64_t columns = em_tensor_elements(t) / rows;
    size_t row_bytes = (size_t)(columns / type->weights) * type->bytes;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const char *row = (const char *)t->data + (size_t)r * row_bytes;
        if (turned) scatter(type, row, r, rows, columns, out);
        else type->values(row, columns, out + place_of(t, r, rows) * columns);
    }
}
