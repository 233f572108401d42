#include "model/composition.h"

#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "model/stored.h"

/* ---- one tensor ---- */

#define CHUNK 512

/* B A as [rows, rank] times [rank, columns], f32, in the order in which the tensor is stored. */
typedef struct factors {
    float *left, *right;
} factors;

static int64_t factor_floats(const em_made *t) {
    return t->a ? t->rank * (t->rows + t->columns) : 0;
}

static void transpose(float *out, const float *in, int64_t rows, int64_t columns) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) out[c * rows + r] = in[r * columns + c];
}

/* room: [factor_floats, twice where transposed]. A Linear is B A as it is; stored [in, out] it is
 * A' B'. */
static factors widen_factors(const em_made *t, float *room) {
    factors f = {room, room + t->rank * t->rows};
    if (!t->a) return f;
    if (!t->transposed) {
        em_tensor_part(t->b, 0, t->rows * t->rank, f.left);
        em_tensor_part(t->a, 0, t->rank * t->columns, f.right);
        return f;
    }
    float *spare = room + factor_floats(t);
    em_tensor_part(t->a, 0, t->rank * t->rows, spare);
    transpose(f.left, spare, t->rank, t->rows);
    em_tensor_part(t->b, 0, t->columns * t->rank, spare);
    transpose(f.right, spare, t->columns, t->rank);
    return f;
}

/* Floats that `after` is unpacked into, where it is not plain. */
static int64_t after_floats(const em_made *t) {
    return t->after && !em_tensor_is_plain(t->after) ? t->rows * t->columns : 0;
}

int64_t em_made_room(const em_made *t) {
    return factor_floats(t) * (t->transposed ? 2 : 1) + after_floats(t);
}

/* out[i] += scale * sum over k of left[row, k] * right[k, column + i], k ascending, in double. */
static void add_product(const em_made *t, const factors *f, int64_t row, int64_t column, int n,
                        float *out) {
    double sum[CHUNK] = {0};
    for (int64_t k = 0; k < t->rank; k++) {
        double x = f->left[row * t->rank + k];
        const float *y = f->right + k * t->columns + column;
#pragma omp simd
        for (int i = 0; i < n; i++) sum[i] += x * y[i];
    }
    for (int i = 0; i < n; i++) out[i] = (float)(out[i] + t->scale * sum[i]);
}

/* unpacked: all of `after`, where it is not plain. */
static void interpolate(const em_made *t, double alpha, const float *unpacked, int64_t first, int n,
                        float *out) {
    float some[CHUNK];
    const float *after = unpacked ? unpacked + first : some;
    if (!unpacked) em_tensor_part(t->after, first, n, some);
    for (int i = 0; i < n; i++) out[i] = (float)((1 + alpha) * after[i] - alpha * out[i]);
}

static void add_shift(const em_made *t, int64_t first, int n, float *out) {
    float shift[CHUNK];
    em_tensor_part(t->shift, first, n, shift);
    for (int i = 0; i < n; i++) out[i] = (float)(out[i] + t->scale * shift[i]);
}

/* Elements [column, column + n) of a row; where the values are not plain they are there already. */
static void make_chunk(const em_composition *c, const em_made *t, const factors *f,
                       const float *after, int64_t row, int64_t column, int n, float *out) {
    int64_t first = row * t->columns + column;
    if (!t->values) memset(out, 0, (size_t)n * sizeof *out);
    else if (em_tensor_is_plain(t->values)) em_tensor_part(t->values, first, n, out);
    if (t->after) interpolate(t, c->alpha, after, first, n, out);
    if (t->a) add_product(t, f, row, column, n, out);
    if (t->shift) add_shift(t, first, n, out);
}

void em_made_make(const em_composition *c, const em_made *t, float *room, int threads, float *out) {
    factors f = widen_factors(t, room);
    float *after = after_floats(t) ? room + em_made_room(t) - after_floats(t) : NULL;
    if (t->values && !em_tensor_is_plain(t->values)) em_tensor_values(t->values, threads, out);
    if (after) em_tensor_values(t->after, threads, after);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t row = 0; row < t->rows; row++)
        for (int64_t column = 0; column < t->columns; column += CHUNK) {
            int64_t left = t->columns - column;
            make_chunk(c, t, &f, after, row, column, (int)(left < CHUNK ? left : CHUNK),
                       out + row * t->columns + column);
        }
}

bool em_made_values(const em_composition *c, const em_made *made, int threads, float *out,
                    em_error *err) {
    float *room = em_alloc((size_t)em_made_room(made), sizeof *room, "an adapter's factors", err);
    if (room) em_made_make(c, made, room, threads, out);
    free(room);
    return room != NULL;
}

/* ---- the list ---- */

em_made em_made_of(int part, const em_tensor *t) {
    em_made made = {
        .part = part, .place = t, .values = t, .rows = 1, .columns = t->shape[0], .scale = 1};
    if (t->n_dims == 2) made.rows = t->shape[0], made.columns = t->shape[1];
    return made;
}

bool em_composition_add(em_composition *c, const em_made *made, em_error *err) {
    if (!em_grow(&c->made, &c->capacity, c->n + 1, sizeof *c->made, "the list of tensors", err))
        return false;
    c->made[c->n++] = *made;
    return true;
}

void em_composition_free(em_composition *c) {
    if (!c) return;
    em_adapter_close(&c->adapter);
    free(c->made);
    free(c);
}
