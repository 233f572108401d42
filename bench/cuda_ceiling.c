/* The rate that cuBLASLt reaches on an 8192-cube, as the engine calls it: whole sums, no workspace; f32 results.
 *     ninja -C build/cuda bench_cuda_ceiling && build/cuda/kernels/bench_cuda_ceiling [f32|f16|bf16]
 * Prints TFLOP/s: the median and the best of 20 rounds. Built with EM_CUDA_TOKENS = 8192. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/device.h"
#include "kernels/cuda/layout.h"

enum { CUBE = EM_CUDA_TOKENS, ROUNDS = 20 };

typedef struct cube {
    em_products *products;
    em_stream stream;
    em_event from, to;
    void *x, *w, *y;
    em_product_shape shape;
} cube;

/* Random numbers in [-1, 1): zeros run faster than data. */
static bool fill(cube *c, void *to, em_error *err) {
    size_t n = (size_t)CUBE * CUBE, element = em_dtype_size(c->shape.type);
    char *host = malloc(n * element);
    uint32_t state = 1;
    for (size_t i = 0; host && i < n; i++) {
        float x = (float)((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-23f - 1;
        uint16_t half = c->shape.type == EM_BF16 ? em_f32_to_bf16(x) : em_f32_to_f16(x);
        if (element == 4) memcpy(host + 4 * i, &x, 4);
        else memcpy(host + 2 * i, &half, 2);
    }
    bool ok = host ? em_copy_in(c->stream, to, host, n * element, err) && em_stream_wait(c->stream, err) : em_fail_memory(err, n * element, "a matrix");
    free(host);
    return ok;
}

static bool open_cube(cube *c, em_error *err) {
    size_t n = (size_t)CUBE * CUBE, element = em_dtype_size(c->shape.type);
    em_device device;
    return em_device_open(&device, 0, err) && (c->products = em_products_open(err)) && (c->stream = em_stream_new(err)) &&
           (c->from = em_event_new(err)) && (c->to = em_event_new(err)) && (c->x = em_device_alloc(n * element, "a matrix", err)) &&
           (c->w = em_device_alloc(n * element, "a matrix", err)) && (c->y = em_device_alloc(n * sizeof(float), "a matrix", err)) &&
           fill(c, c->x, err) && fill(c, c->w, err) && printf("%s\n", device.name) > 0;
}

static bool run(cube *c, double *seconds, em_error *err) {
    if (!em_event_record(c->from, c->stream, err) || !em_product_run(c->products, c->stream, &c->shape, c->x, c->w, c->y, err) ||
        !em_event_record(c->to, c->stream, err) || !em_stream_wait(c->stream, err)) return false;
    *seconds = em_event_seconds(c->from, c->to);
    return true;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    em_error err = EM_ERROR_INIT;
    const char *type = argc > 1 ? argv[1] : "bf16";
    cube c = {.shape = {.n = CUBE, .k = CUBE, .y_stride = CUBE, .y_f32 = true,
                        .type = !strcmp(type, "f32") ? EM_F32 : !strcmp(type, "f16") ? EM_F16 : EM_BF16}};
    double seconds[ROUNDS];
    bool ok = open_cube(&c, &err);
    for (int i = -3; ok && i < ROUNDS; i++) ok = run(&c, &seconds[i < 0 ? 0 : i], &err);
    if (!ok) {
        fprintf(stderr, "bench_cuda_ceiling: %s\n", err.text);
        return (int)err.status;
    }
    qsort(seconds, ROUNDS, sizeof *seconds, ascending);
    double flops = 2e-12 * CUBE * (double)CUBE * CUBE;
    printf("%d-cube, %s: median %.1f TFLOP/s, best %.1f\n", CUBE, em_dtype_name(c.shape.type), flops / seconds[ROUNDS / 2], flops / seconds[0]);
    return 0;
}
