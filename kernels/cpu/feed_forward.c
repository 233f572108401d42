/* The feed-forward block of a tile, from the residual stream and back, in one go: its inner
 * activations never leave the cache. */
#include <omp.h>

#include "kernels/cpu/cpu.h"

void em_cpu_residual(em_cpu *cpu, int thread, const em_matrix *m, const em_norm *norm, float *input, float *x) {
    const void *a = em_product_input(cpu, thread, input, m->in);
    if (!norm->w) {
        em_matrix_add_all(cpu, thread, m, a, x);
        return;
    }
    float *y = em_cpu_scratch(cpu, thread, EM_SCRATCH_OUTPUT);
    em_matrix_run_all(cpu, thread, m, a, y);
    for (int i = 0; i < EM_TILE; i++) {
        float *token = y + (int64_t)i * m->out;
        em_norm_apply(cpu, norm, token, token);
        cpu->kernels->add(x + (int64_t)i * m->out, token, m->out);
    }
}

/* y: slice s, gated: gates and then ups in each row -> inner: [EM_TILE, ffn], the slice's columns */
static void activate_slice(em_cpu *cpu, const em_layer *l, int s, const float *y, float *inner) {
    int gates = l->spec.gated ? 2 : 1, width = em_matrix_width(&l->inner, s), units = width / gates;
    float *to = inner + s * (l->inner.width / gates);
    for (int i = 0; i < EM_TILE; i++, y += width, to += l->spec.ffn)
        cpu->kernels->activate(l->spec.activation, to, y, l->spec.gated ? y + units : NULL, units);
}

static void feed_forward_tile(em_cpu *cpu, int thread, const em_layer *l, float *x) {
    float *inner = em_cpu_scratch(cpu, thread, EM_SCRATCH_INNER);
    const void *input = em_normed_input(cpu, thread, &l->ffn_in, x, l->spec.hidden);
    for (int s = 0; s < l->inner.slices; s++)
        activate_slice(cpu, l, s, em_matrix_run(cpu, thread, &l->inner, s, input), inner);
    em_cpu_residual(cpu, thread, &l->down, &l->ffn_out, inner, x);
}

void em_cpu_feed_forward(em_backend *b, const em_layer *l, em_activations *a) {
    em_cpu *cpu = em_cpu_of(b);
    double begin = omp_get_wtime();
#pragma omp parallel num_threads(b->options.threads)
    {
        int thread = em_cpu_enter();
#pragma omp for schedule(dynamic, 1)
        for (int64_t t = 0; t < a->n_tiles; t++)
            feed_forward_tile(cpu, thread, l, a->x + t * EM_TILE * l->spec.hidden);
    }
    b->times.ffn += omp_get_wtime() - begin;
}
