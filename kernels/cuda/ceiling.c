/* The device's own rate of matrix products: one large cube by cuBLASLt. */
#include <stdlib.h>
#include <string.h>

#include "kernels/ceiling.h"
#include "kernels/cuda/device.h"

#ifndef EM_CUDA_CUBE /* tests take a smaller one */
#define EM_CUDA_CUBE 8192
#endif

/* Long enough for the device's clocks to come to what they hold under load. */
#define SECONDS 0.5
enum { LEAST_ROUNDS = 5, MOST_ROUNDS = 2000 };

typedef struct cube {
    em_products *products;
    em_stream stream;
    em_event from, to;
    void *x, *w, *y;
    em_product_shape shape;
} cube;

/* Random numbers in [-1, 1), one prime-sized block over and over: zeros run faster than data. */
static bool fill(const cube *c, void *to, em_error *err) {
    enum { BLOCK = 1000003 };
    size_t n = (size_t)EM_CUDA_CUBE * EM_CUDA_CUBE, element = em_dtype_size(c->shape.type);
    char *block = malloc(BLOCK * element);
    uint32_t state = 1;
    if (!block) return em_fail_memory(err, BLOCK * element, "random numbers");
    for (size_t i = 0; i < BLOCK; i++) {
        float x = (float)((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-23f - 1;
        uint16_t half = c->shape.type == EM_BF16 ? em_f32_to_bf16(x) : em_f32_to_f16(x);
        memcpy(block + i * element, element == 4 ? (const void *)&x : &half, element);
    }
    bool ok = true;
    for (size_t at = 0; ok && at < n; at += BLOCK)
        ok = em_copy_in(c->stream, (char *)to + at * element, block,
                        (n - at < BLOCK ? n - at : BLOCK) * element, err);
    ok = ok && em_stream_wait(c->stream, err);
    free(block);
    return ok;
}

static bool open_cube(cube *c, const em_backend_options *options, int index, em_error *err) {
    size_t n = (size_t)EM_CUDA_CUBE * EM_CUDA_CUBE, bytes = n * em_dtype_size(c->shape.type);
    em_device device;
    return em_device_open(&device, index, options, err) && (c->products = em_products_open(err)) &&
           (c->stream = em_stream_new(err)) && (c->from = em_event_new(err)) &&
           (c->to = em_event_new(err)) && (c->x = em_device_alloc(bytes, "a matrix", err)) &&
           (c->w = em_device_alloc(bytes, "a matrix", err)) &&
           (c->y = em_device_alloc(bytes, "a matrix", err)) && fill(c, c->x, err) &&
           fill(c, c->w, err);
}

static void close_cube(cube *c) {
    void *memory[] = {c->x, c->w, c->y};
    for (int i = 0; i < 3; i++)
        if (memory[i]) em_device_free(memory[i]);
    em_event_free(c->from);
    em_event_free(c->to);
    em_stream_free(c->stream);
    em_products_close(c->products);
}

static bool run(const cube *c, double *seconds, em_error *err) {
    if (!em_event_record(c->from, c->stream, err) ||
        !em_product_run(c->products, c->stream, &c->shape, c->x, c->w, c->y, err) ||
        !em_event_record(c->to, c->stream, err) || !em_stream_wait(c->stream, err))
        return false;
    *seconds = em_event_seconds(c->from, c->to);
    return true;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* GFLOP/s: the median round. */
static bool measure(cube *c, bool any_algorithm, double *rate, em_error *err) {
    double taken[MOST_ROUNDS], total = 0, warm;
    int n = 0;
    c->shape.any_algorithm = any_algorithm;
    bool ok = run(c, &warm, err) && run(c, &warm, err);
    for (; ok && n < MOST_ROUNDS && (n < LEAST_ROUNDS || total < SECONDS); n++) {
        ok = run(c, &taken[n], err);
        total += ok ? taken[n] : 0;
    }
    if (!ok) return false;
    qsort(taken, (size_t)n, sizeof *taken, ascending);
    *rate = 2e-9 * EM_CUDA_CUBE * (double)EM_CUDA_CUBE * EM_CUDA_CUBE / taken[n / 2];
    return true;
}

bool em_cuda_ceiling(const em_backend_options *options, int device, em_ceiling *out,
                     em_error *err) {
    cube c = {.shape = {.tokens = EM_CUDA_CUBE,
                        .n = EM_CUDA_CUBE,
                        .k = EM_CUDA_CUBE,
                        .y_stride = EM_CUDA_CUBE,
                        .type = options->compute,
                        .y_f32 = options->compute == EM_F32}};
    double whole, any;
    bool good = open_cube(&c, options, device, err) && measure(&c, false, &whole, err) &&
                measure(&c, true, &any, err);
    if (good) *out = (em_ceiling){.cube = EM_CUDA_CUBE, .rate = whole > any ? whole : any};
    close_cube(&c);
    return good;
}
