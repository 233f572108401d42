#include "kernels/ceiling.h"

#include <omp.h>
#include <string.h>

#include "kernels/cpu/cpu.h"

enum { CUBE = 2048, REPEATS = 8 };

typedef struct cube {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t primitive;
    dnnl_memory_t a, b, c;
} cube;

static bool memory_of(const cube *x, const dnnl_memory_desc_t *desc, dnnl_memory_t *out) {
    void *p;
    if (dnnl_memory_create(out, desc, x->engine, DNNL_MEMORY_ALLOCATE) != dnnl_success) return false;
    dnnl_memory_get_data_handle(*out, &p);
    memset(p, 0x3c, dnnl_memory_desc_get_size(desc));      /* 0x3c3c3c3c: small, normal floats */
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
           memory_of(x, dnnl_primitive_desc_query_md(x->pd, dnnl_query_weights_md, 0), &x->b) && memory_of(x, &c, &x->c);
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

static double best_seconds(const cube *x) {
    dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, x->a}, {DNNL_ARG_WEIGHTS, x->b}, {DNNL_ARG_DST, x->c}};
    double best = 1e9;
    for (int i = 0; i < REPEATS; i++) {
        double begin = omp_get_wtime();
        dnnl_primitive_execute(x->primitive, x->stream, 3, args);
        dnnl_stream_wait(x->stream);
        double taken = omp_get_wtime() - begin;
        if (taken < best) best = taken;
    }
    return best;
}

double em_cpu_ceiling(const em_backend_options *options, em_error *err) {
    cube x = {0};
    int threads = omp_get_max_threads();
    omp_set_num_threads(options->threads);
    double rate = 0;
    if (open_cube(&x, em_cpu_product(options) == EM_PRODUCT_BF16 ? dnnl_bf16 : dnnl_f32))
        rate = 2.0 * CUBE * CUBE * CUBE / best_seconds(&x) * 1e-9;
    else em_fail(err, EM_MACHINE, "oneDNN cannot multiply two matrices of %d x %d: too little memory?", CUBE, CUBE);
    close_cube(&x);
    omp_set_num_threads(threads);
    return rate;
}
