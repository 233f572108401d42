#include "kernels/cpu/gemm.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/size.h"

void em_one_thread(void) { omp_set_num_threads(1); }

/* ---- making a primitive ---- */

static bool dnnl_ok(dnnl_status_t status, const char *what, const em_gemm_shape *s, em_error *err) {
    if (status == dnnl_success) return true;
    return em_fail(err, EM_MACHINE, "oneDNN cannot %s for a product of %d x %d x %d (status %d)",
                   what, EM_TILE, s->k, s->n, (int)status);
}

static dnnl_memory_desc_t matrix(dnnl_data_type_t type, int rows, int columns, int row_stride,
                                 int column_stride) {
    dnnl_dims_t dims = {rows, columns}, strides = {row_stride, column_stride};
    dnnl_memory_desc_t d;
    dnnl_memory_desc_init_by_strides(&d, 2, dims, type, strides);
    return d;
}

static dnnl_memory_desc_t vector(dnnl_data_type_t type, size_t n) {
    dnnl_dims_t dims = {(dnnl_dim_t)n}, strides = {1};
    dnnl_memory_desc_t d;
    dnnl_memory_desc_init_by_strides(&d, 1, dims, type, strides);
    return d;
}

static dnnl_data_type_t input_type(const em_gemms *g) {
    return g->product == EM_PRODUCT_BF16 ? dnnl_bf16 : dnnl_f32;
}

static dnnl_memory_desc_t input_desc(const em_gemms *g, const em_gemm_shape *s) {
    return matrix(input_type(g), EM_TILE, s->k, s->k, 1);
}

static dnnl_memory_desc_t output_desc(const em_gemm_shape *s) {
    return matrix(dnnl_f32, EM_TILE, s->n, s->n, 1);
}

/* [k, n] seen on rows [n, k] */
static dnnl_memory_desc_t rows_desc(const em_gemm_shape *s) {
    return matrix(dnnl_f32, s->k, s->n, 1, s->k);
}

static dnnl_status_t matmul_desc(const em_gemms *g, const em_gemm_shape *s,
                                 dnnl_matmul_desc_t *out) {
    dnnl_memory_desc_t a = input_desc(g, s), c = output_desc(s),
                       bias = matrix(dnnl_f32, 1, s->n, s->n, 1), w;
    dnnl_dims_t dims = {s->k, s->n};
    dnnl_memory_desc_init_by_tag(&w, 2, dims, input_type(g), dnnl_format_tag_any);
    return dnnl_matmul_desc_init(out, &a, &w, s->bias ? &bias : NULL, &c);
}

/* Scratchpads are the caller's, one per thread. */
static dnnl_status_t scratch_by_caller(dnnl_primitive_attr_t *attr) {
    dnnl_status_t status = dnnl_primitive_attr_create(attr);
    return status == dnnl_success
               ? dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user)
               : status;
}

static size_t scratch_of(const_dnnl_primitive_desc_t pd) {
    return dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0));
}

/* Keeps what the primitive descriptor knows, makes the primitive and lets the descriptor go. */
static dnnl_status_t primitive_from(dnnl_primitive_desc_t pd, em_gemm *gemm,
                                    dnnl_primitive_t *out) {
    size_t scratch = scratch_of(pd);
    if (scratch > gemm->scratch_bytes) gemm->scratch_bytes = scratch;
    dnnl_status_t status = dnnl_primitive_create(out, pd);
    dnnl_primitive_desc_destroy(pd);
    return status;
}

static dnnl_status_t make_product(const em_gemms *g, em_gemm *gemm) {
    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t status = matmul_desc(g, &gemm->shape, &desc);
    if (status == dnnl_success) status = scratch_by_caller(&attr);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&pd, &desc, attr, g->engine, NULL);
    dnnl_primitive_attr_destroy(attr);
    if (status != dnnl_success) return status;
    gemm->packed = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    gemm->packed_bytes = dnnl_memory_desc_get_size(&gemm->packed);
    return primitive_from(pd, gemm, &gemm->primitive);
}

static dnnl_status_t make_pack(const em_gemms *g, em_gemm *gemm) {
    dnnl_memory_desc_t rows = rows_desc(&gemm->shape);
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t status = scratch_by_caller(&attr);
    if (status == dnnl_success)
        status = dnnl_reorder_primitive_desc_create(&pd, &rows, g->engine, &gemm->packed, g->engine,
                                                    attr);
    dnnl_primitive_attr_destroy(attr);
    return status == dnnl_success ? primitive_from(pd, gemm, &gemm->pack) : status;
}

static dnnl_memory_t *memories(const em_gemms *g, const dnnl_memory_desc_t *desc, em_error *err) {
    dnnl_memory_t *m = em_alloc((size_t)g->threads, sizeof *m, "oneDNN's arguments", err);
    for (int i = 0; m && i < g->threads; i++) {
        if (dnnl_memory_create(&m[i], desc, g->engine, DNNL_MEMORY_NONE) == dnnl_success) continue;
        while (i-- > 0) dnnl_memory_destroy(m[i]);
        free(m);
        em_fail(err, EM_MACHINE, "out of memory for oneDNN's arguments");
        return NULL;
    }
    return m;
}

static bool make_arguments(const em_gemms *g, em_gemm *gemm, em_error *err) {
    dnnl_memory_desc_t a = input_desc(g, &gemm->shape), c = output_desc(&gemm->shape),
                       rows = rows_desc(&gemm->shape);
    dnnl_memory_desc_t scratch = vector(dnnl_u8, gemm->scratch_bytes);
    return (gemm->a = memories(g, &a, err)) && (gemm->c = memories(g, &c, err)) &&
           (gemm->rows = memories(g, &rows, err)) && (gemm->scratch = memories(g, &scratch, err)) &&
           (gemm->wide = memories(g, &gemm->packed, err));
}

static void memories_free(const em_gemms *g, dnnl_memory_t *m) {
    for (int i = 0; m && i < g->threads; i++) dnnl_memory_destroy(m[i]);
    free(m);
}

static void gemm_free(const em_gemms *g, em_gemm *gemm) {
    memories_free(g, gemm->a);
    memories_free(g, gemm->c);
    memories_free(g, gemm->scratch);
    memories_free(g, gemm->rows);
    memories_free(g, gemm->wide);
    if (gemm->primitive) dnnl_primitive_destroy(gemm->primitive);
    if (gemm->pack) dnnl_primitive_destroy(gemm->pack);
    free(gemm);
}

static em_gemm *gemm_new(const em_gemms *g, const em_gemm_shape *shape, em_error *err) {
    em_gemm *gemm = em_alloc(1, sizeof *gemm, "a matrix product", err);
    if (!gemm) return NULL;
    gemm->shape = *shape;
    if (dnnl_ok(make_product(g, gemm), "make a primitive", shape, err) &&
        dnnl_ok(make_pack(g, gemm), "pack weights", shape, err) && make_arguments(g, gemm, err))
        return gemm;
    gemm_free(g, gemm);
    return NULL;
}

static bool same_shape(const em_gemm_shape *x, const em_gemm_shape *y) {
    return x->k == y->k && x->n == y->n && x->bias == y->bias;
}

em_gemm *em_gemms_get(em_gemms *g, const em_gemm_shape *shape, em_error *err) {
    for (em_gemm *gemm = g->first; gemm; gemm = gemm->next)
        if (same_shape(&gemm->shape, shape)) return gemm;
    int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    em_gemm *gemm = gemm_new(g, shape, err);
    omp_set_num_threads(threads);
    if (!gemm) return NULL;
    gemm->next = g->first;
    return g->first = gemm;
}

/* ---- running ---- */

/* A primitive that was made can only fail for want of memory, in a thread that has no way back. */
static void execute(dnnl_primitive_t primitive, dnnl_stream_t stream, int n,
                    const dnnl_exec_arg_t *args) {
    dnnl_status_t status = dnnl_primitive_execute(primitive, stream, n, args);
    if (status == dnnl_success) return;
    fprintf(stderr,
            "evalmask: oneDNN could not run a matrix product (status %d): too little memory?\n",
            (int)status);
    exit(EM_MACHINE);
}

void em_gemm_pack(const em_gemms *g, em_gemm *gemm, int thread, float *rows, void *packed,
                  void *scratch) {
    dnnl_memory_set_data_handle(gemm->rows[thread], rows);
    dnnl_memory_set_data_handle(gemm->wide[thread], packed);
    dnnl_memory_set_data_handle(gemm->scratch[thread], scratch);
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, gemm->rows[thread]},
                              {DNNL_ARG_TO, gemm->wide[thread]},
                              {DNNL_ARG_SCRATCHPAD, gemm->scratch[thread]}};
    execute(gemm->pack, g->streams[thread], 3, args);
}

void em_gemm_run(const em_gemms *g, em_gemm *gemm, int thread, const void *a, dnnl_memory_t weights,
                 void *wide, dnnl_memory_t bias, float *c, void *scratch) {
    dnnl_memory_set_data_handle(gemm->a[thread], (void *)(uintptr_t)a);
    dnnl_memory_set_data_handle(gemm->c[thread], c);
    dnnl_memory_set_data_handle(gemm->scratch[thread], scratch);
    if (!weights) dnnl_memory_set_data_handle(weights = gemm->wide[thread], wide);
    dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, gemm->a[thread]},
                              {DNNL_ARG_WEIGHTS, weights},
                              {DNNL_ARG_DST, gemm->c[thread]},
                              {DNNL_ARG_SCRATCHPAD, gemm->scratch[thread]},
                              {DNNL_ARG_BIAS, bias}};
    execute(gemm->primitive, g->streams[thread], gemm->shape.bias ? 5 : 4, args);
}

static dnnl_memory_t memory_over(const em_gemms *g, const dnnl_memory_desc_t *desc, void *data) {
    dnnl_memory_t m = NULL;
    return dnnl_memory_create(&m, desc, g->engine, data) == dnnl_success ? m : NULL;
}

dnnl_memory_t em_gemm_weights(const em_gemms *g, const em_gemm *gemm, void *packed) {
    return memory_over(g, &gemm->packed, packed);
}

dnnl_memory_t em_gemm_bias(const em_gemms *g, int n, float *bias) {
    dnnl_memory_desc_t desc = matrix(dnnl_f32, 1, n, n, 1);
    return memory_over(g, &desc, bias);
}

/* ---- the set ---- */

bool em_gemms_open(em_gemms *g, em_product product, int threads, em_error *err) {
    *g = (em_gemms){.product = product, .threads = threads};
    if (dnnl_engine_create(&g->engine, dnnl_cpu, 0) != dnnl_success)
        return em_fail(err, EM_MACHINE, "oneDNN has no CPU engine");
    g->streams = em_alloc((size_t)threads, sizeof *g->streams, "oneDNN's streams", err);
    if (!g->streams) return false;
    for (int i = 0; i < threads; i++)
        if (dnnl_stream_create(&g->streams[i], g->engine, dnnl_stream_default_flags) !=
            dnnl_success)
            return em_fail(err, EM_MACHINE, "oneDNN cannot make a stream for thread %d", i);
    return true;
}

void em_gemms_close(em_gemms *g) {
    while (g->first) {
        em_gemm *gemm = g->first;
        g->first = gemm->next;
        gemm_free(g, gemm);
    }
    for (int i = 0; g->streams && i < g->threads; i++)
        if (g->streams[i]) dnnl_stream_destroy(g->streams[i]);
    free(g->streams);
    if (g->engine) dnnl_engine_destroy(g->engine);
}
