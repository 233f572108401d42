/* The feed-forward block of a group of tiles, from the residual stream and back, in one go: its
 * inner activations are never all in memory at once. */
#include <omp.h>

#include "kernels/cpu/cpu.h"

void em_cpu_residual(em_cpu *cpu, int thread, const em_matrix *m, const em_norm *norm, int tiles,
                     const void *input, float *x) {
    if (!norm->w) {
        em_matrix_add_all(cpu, thread, m, tiles, input, x);
        return;
    }
    float *y = em_cpu_scratch(cpu, thread, EM_SCRATCH_OUTPUT);
    em_matrix_run_all(cpu, thread, m, tiles, input, y);
    for (int i = 0; i < tiles * EM_TILE; i++) {
        float *token = y + (int64_t)i * m->out;
        em_norm_apply(cpu, norm, token, token);
        cpu->kernels->add(x + (int64_t)i * m->out, token, m->out);
    }
}

/* y: slice s of a tile, gated: gates and then ups in each row -> inner: the slice's columns of
 * [EM_TILE, ffn], as the products take it */
static void activate_slice(em_cpu *cpu, int thread, const em_layer *l, int s, const float *y,
                           char *inner) {
    int gates = l->spec.gated ? 2 : 1, width = em_matrix_width(&l->inner, s), units = width / gates;
    char *to = inner + em_product_bytes(cpu, (int64_t)s * (l->inner.width / gates));
    for (int i = 0; i < EM_TILE; i++, y += width, to += em_product_bytes(cpu, l->spec.ffn)) {
        float *line = em_product_line(cpu, thread, to);
        cpu->kernels->activate(l->spec.activation, line, y, l->spec.gated ? y + units : NULL,
                               units);
        em_product_put(cpu, to, line, units);
    }
}

static void feed_forward_group(em_cpu *cpu, int thread, const em_layer *l, int tiles, float *x) {
    char *inner = cpu->threads[thread].scratch[EM_SCRATCH_INNER];
    const char *input = em_normed_input(cpu, thread, &l->ffn_in, x, tiles, l->spec.hidden);
    size_t input_bytes = em_product_bytes(cpu, (int64_t)EM_TILE * l->spec.hidden);
    size_t inner_bytes = em_product_bytes(cpu, (int64_t)EM_TILE * l->spec.ffn);
    for (int s = 0; s < l->inner.slices; s++) {
        em_matrix_open_slice(cpu, thread, &l->inner, s);
        for (int t = 0; t < tiles; t++) {
            const float *y = em_matrix_run(cpu, thread, &l->inner, s,
                                           input + (size_t)t * input_bytes);
            activate_slice(cpu, thread, l, s, y, inner + (size_t)t * inner_bytes);
        }
    }
    em_cpu_residual(cpu, thread, &l->down, &l->ffn_out, tiles, inner, x);
}

void em_cpu_feed_forward(em_backend *b, const em_layer *l, em_activations *a) {
    em_cpu *cpu = em_cpu_of(b);
    double begin = omp_get_wtime();
    em_groups groups = em_groups_of(cpu, a->n_tiles);
#pragma omp parallel num_threads(b->options.threads)
    {
        int thread = em_cpu_enter();
#pragma omp for schedule(dynamic, 1)
        for (int64_t g = 0; g < groups.n; g++)
            feed_forward_group(cpu, thread, l, em_group_tiles(&groups, g, a->n_tiles),
                               a->x + g * groups.tiles * EM_TILE * l->spec.hidden);
    }
    b->times.ffn += omp_get_wtime() - begin;
}
