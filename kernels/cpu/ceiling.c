#include "kernels/ceiling.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/cpu/cpu.h"

enum { CUBE = 2048, REPEATS = 5 };

typedef struct cube {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t primitive;
    dnnl_memory_t a, b, c;
} cube;

static bool memory_of(const cube *x, const dnnl_memory_desc_t *desc, dnnl_memory_t *out) {
    void *p;
    if (dnnl_memory_create(out, desc, x->engine, DNNL_MEMORY_ALLOCATE) != dnnl_success)
        return false;
    dnnl_memory_get_data_handle(*out, &p);
    memset(p, 0x3c, dnnl_memory_desc_get_size(desc)); /* 0x3c3c3c3c: small, normal floats */
    return true;
}

static bool open_cube(cube *x, dnnl_data_type_t type) {
    dnnl_dims_t dims = {CUBE, CUBE};
    dnnl_memory_desc_t a, b, c;
    dnnl_matmul_desc_t desc;
    dnnl_memory_desc_init_by_tag(&a, 2, dims, type, dnnl_ab);
    dnnl_memory_desc_init_by_tag(&b, 2, dims, type, dnnl_format_tag_any);
    dnnl_memory_desc_init_by_tag(&c, 2, dims, dnnl_f32, dnnl_ab);
    return dnnl_engine_create(&x->engine, dnnl_cpu, 0) == dnnl_success &&
           dnnl_stream_create(&x->stream, x->engine, dnnl_stream_default_flags) == dnnl_success &&
           dnnl_matmul_desc_init(&desc, &a, &b, NULL, &c) == dnnl_success &&
           dnnl_primitive_desc_create(&x->pd, &desc, NULL, x->engine, NULL) == dnnl_success &&
           dnnl_primitive_create(&x->primitive, x->pd) == dnnl_success && memory_of(x, &a, &x->a) &&
           memory_of(x, dnnl_primitive_desc_query_md(x->pd, dnnl_query_weights_md, 0), &x->b) &&
           memory_of(x, &c, &x->c);
}

static void close_cube(cube *x) {
    dnnl_memory_t all[] = {x->a, x->b, x->c};
    for (int i = 0; i < 3; i++)
        if (all[i]) dnnl_memory_destroy(all[i]);
    if (x->primitive) dnnl_primitive_destroy(x->primitive);
    if (x->pd) dnnl_primitive_desc_destroy(x->pd);
    if (x->stream) dnnl_stream_destroy(x->stream);
    if (x->engine) dnnl_engine_destroy(x->engine);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double processor_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static em_ceiling measure(const cube *x, int threads) {
    const double gflop = 2e-9 * CUBE * CUBE * CUBE;
    dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, x->a}, {DNNL_ARG_WEIGHTS, x->b}, {DNNL_ARG_DST, x->c}};
    double taken[REPEATS], processor = 0;
    for (int i = -1; i < REPEATS; i++) { /* -1: warms up */
        if (i == 0) processor = processor_seconds();
        double begin = omp_get_wtime();
        dnnl_primitive_execute(x->primitive, x->stream, 3, args);
        dnnl_stream_wait(x->stream);
        if (i >= 0) taken[i] = omp_get_wtime() - begin;
    }
    processor = processor_seconds() - processor;
    qsort(taken, REPEATS, sizeof *taken, ascending);
    return (em_ceiling){CUBE, gflop / taken[REPEATS / 2], gflop * REPEATS * threads / processor};
}

bool em_cpu_ceiling(const em_backend_options *options, em_ceiling *out, em_error *err) {
    cube x = {0};
    int threads = omp_get_max_threads();
    omp_set_num_threads(options->threads);
    bool good = open_cube(&x, em_cpu_product(options) == EM_PRODUCT_BF16 ? dnnl_bf16 : dnnl_f32);
    if (good) *out = measure(&x, options->threads);
    else
        em_fail(err, EM_MACHINE,
                "oneDNN cannot multiply two matrices of %d x %d: too little memory?", CUBE, CUBE);
    close_cube(&x);
    omp_set_num_threads(threads);
    return good;
}
