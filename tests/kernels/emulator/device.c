/* kernels/cuda/device.h without a device: its memory, new full of NaN, and its products; streams.cc
 * has the rest. */
#include "kernels/cuda/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/layout.h"
#include "tests/kernels/emulator/streams.h"

bool em_device_open(em_device *d, int index, const em_backend_options *options, em_error *err) {
    if (index > 0)
        return em_fail(err, EM_MACHINE,
                       "there is no CUDA device %d: this machine has 1, counted from 0", index);
    *d = (em_device){.name = "emulated", .free_bytes = (size_t)1 << 30};
    return true;
}

bool em_device_use(const em_device *d, em_error *err) { return true; }

void *em_device_alloc(size_t bytes, const char *what, em_error *err) {
    void *p = aligned_alloc(256, (bytes + 255) / 256 * 256 + 256);
    if (p) memset(p, 0xff, bytes);
    else em_fail_memory(err, bytes, what);
    return p;
}

void em_device_free(void *p) {
    em_emulator_finish();
    free(p);
}

bool em_launch_check(em_error *err) { return true; }

/* ---- matrix products ---- */

static char products;

em_products *em_products_open(em_error *err) { return (em_products *)&products; }
void em_products_close(em_products *p) {}
int em_products_version(const em_products *p) { return 0; }

static float read(em_dtype type, const void *x, int64_t i) {
    if (type == EM_F32) return ((const float *)x)[i];
    uint16_t half = ((const uint16_t *)x)[i];
    return type == EM_BF16 ? em_bf16_to_f32(half) : em_f16_to_f32(half);
}

static float *widen(em_dtype type, const void *x, int64_t n) {
    float *y = malloc((size_t)n * sizeof *y);
    for (int64_t i = 0; i < n; i++) y[i] = read(type, x, i);
    return y;
}

static void write(const em_product_shape *s, void *y, int64_t i, float value) {
    if (s->y_f32) ((float *)y)[i] = value + (s->add ? ((float *)y)[i] : 0);
    else ((uint16_t *)y)[i] = s->type == EM_BF16 ? em_f32_to_bf16(value) : em_f32_to_f16(value);
}

/* n: a multiple of 16 */
static float dot(const float *x, const float *y, int n) {
    float part[16] = {0}, sum = 0;
    for (int i = 0; i < n; i += 16)
        for (int j = 0; j < 16; j++) part[j] += x[i + j] * y[i + j];
    for (int j = 0; j < 16; j++) sum += part[j];
    return sum;
}

typedef struct product {
    em_product_shape shape;
    const void *x, *w;
    void *y;
} product;

static void multiply(void *data) {
    const product *p = data;
    const em_product_shape *s = &p->shape;
    float *rows = widen(s->type, p->x, (int64_t)s->tokens * s->k),
          *columns = widen(s->type, p->w, (int64_t)s->n * s->k);
    for (int64_t i = 0; i < s->tokens; i++)
        for (int64_t o = 0; o < s->n; o++)
            write(s, p->y, i * s->y_stride + o, dot(rows + i * s->k, columns + o * s->k, s->k));
    free(rows);
    free(columns);
    free(data);
}

/* cuBLASLt chooses for matrices that begin at 256 bytes, unless told otherwise. */
static bool aligned(const void *p) { return (uintptr_t)p % 256 == 0; }

bool em_product_run(em_products *p, em_stream stream, const em_product_shape *s, const void *x,
                    const void *w, void *y, em_error *err) {
    if (s->n % 16 || s->k % 16 || s->y_stride % 16 || s->y_stride < s->n || !aligned(x) ||
        !aligned(w) || !aligned(y))
        return em_fail(err, EM_MACHINE,
                       "a product of a shape or place that cuBLASLt would not take at full rate");
    product *m = malloc(sizeof *m);
    if (!m) return em_fail_memory(err, sizeof *m, "a product");
    *m = (product){*s, x, w, y};
    em_emulator_give_c(stream, multiply, m);
    return true;
}
