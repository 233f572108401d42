/* A layer's and the head's weights, loaded for the CPU, and what they take. */
#include <omp.h>
#include <stdlib.h>

#include "common/size.h"
#include "kernels/cpu/cpu.h"

static bool load_norm(em_cpu *cpu, em_norm *norm, em_norm_kind kind, float eps, bool plus_one,
                      const em_weight *w, const em_weight *b, em_error *err) {
    *norm = (em_norm){.kind = kind, .eps = eps, .n = (int)w->out};
    return em_vector_load(cpu, w, plus_one ? 1 : 0, &norm->w, err) &&
           (!b || em_vector_load(cpu, b, 0, &norm->b, err));
}

static void free_norm(em_norm *norm) {
    free(norm->w);
    free(norm->b);
}

static bool load_norms(em_cpu *cpu, em_layer *l, const em_layer_weights *w, em_error *err) {
    const em_layer_spec *s = &l->spec;
    bool one = s->norm_plus_one;
    return load_norm(cpu, &l->attention_in, s->norm, s->norm_eps, one, &w->of[EM_W_ATTENTION_IN],
                     &w->of[EM_W_ATTENTION_IN_BIAS], err) &&
           load_norm(cpu, &l->attention_out, s->norm, s->norm_eps, one, &w->of[EM_W_ATTENTION_OUT],
                     &w->of[EM_W_ATTENTION_OUT_BIAS], err) &&
           load_norm(cpu, &l->ffn_in, s->norm, s->norm_eps, one, &w->of[EM_W_FFN_IN],
                     &w->of[EM_W_FFN_IN_BIAS], err) &&
           load_norm(cpu, &l->ffn_out, s->norm, s->norm_eps, one, &w->of[EM_W_FFN_OUT],
                     &w->of[EM_W_FFN_OUT_BIAS], err) &&
           load_norm(cpu, &l->q_norm, EM_NORM_RMS, s->norm_eps, one, &w->of[EM_W_Q_NORM], NULL,
                     err) &&
           load_norm(cpu, &l->k_norm, EM_NORM_RMS, s->norm_eps, one, &w->of[EM_W_K_NORM], NULL,
                     err);
}

static bool load_matrices(em_cpu *cpu, em_layer *l, const em_layer_weights *w, em_error *err) {
    em_matrix_source qkv = {
        .parts = {&w->of[EM_W_Q], &w->of[EM_W_K], &w->of[EM_W_V]},
        .biases = {&w->of[EM_W_Q_BIAS], &w->of[EM_W_K_BIAS], &w->of[EM_W_V_BIAS]},
        .n_parts = 3};
    em_matrix_source o = {.parts = {&w->of[EM_W_O]}, .biases = {&w->of[EM_W_O_BIAS]}, .n_parts = 1};
    em_matrix_source gated = {.parts = {&w->of[EM_W_GATE], &w->of[EM_W_UP]},
                              .biases = {&w->of[EM_W_GATE_BIAS], &w->of[EM_W_UP_BIAS]},
                              .n_parts = 2,
                              .paired = true};
    em_matrix_source plain = {
        .parts = {&w->of[EM_W_UP]}, .biases = {&w->of[EM_W_UP_BIAS]}, .n_parts = 1};
    em_matrix_source down = {
        .parts = {&w->of[EM_W_DOWN]}, .biases = {&w->of[EM_W_DOWN_BIAS]}, .n_parts = 1};
    return em_matrix_load(cpu, &l->qkv, &qkv, err) && em_matrix_load(cpu, &l->o, &o, err) &&
           em_matrix_load(cpu, &l->inner, l->spec.gated ? &gated : &plain, err) &&
           em_matrix_load(cpu, &l->down, &down, err);
}

static size_t tile_floats(int width) { return (size_t)EM_TILE * (size_t)width * sizeof(float); }

static int larger(int a, int b) { return a > b ? a : b; }

static int qkv_width(const em_layer_spec *s) { return (s->heads + 2 * s->kv_heads) * s->head_dim; }

/* Floats of the running state of a kv head's queries: max, sum and output. */
static size_t attention_floats(const em_layer_spec *s) {
    return (size_t)(s->heads / s->kv_heads) * EM_TILE * (size_t)(em_value_width(s->head_dim) + 2);
}

static size_t query_bytes(const em_layer_spec *s) {
    return (size_t)(s->heads / s->kv_heads) * EM_TILE * (size_t)em_depth(s->head_dim) *
           sizeof(uint16_t);
}

static bool reserve_for_layer(em_cpu *cpu, const em_layer_spec *s, em_error *err) {
    int input = larger(s->hidden, s->heads * s->head_dim);
    return em_cpu_reserve(cpu, EM_SCRATCH_INPUT,
                          em_product_bytes(cpu, (int64_t)EM_GROUP * EM_TILE * input), err) &&
           em_cpu_reserve(cpu, EM_SCRATCH_INNER,
                          em_product_bytes(cpu, (int64_t)EM_GROUP * EM_TILE * s->ffn), err) &&
           em_cpu_reserve(cpu, EM_SCRATCH_LINE, (size_t)larger(s->hidden, EM_SLICE) * sizeof(float),
                          err) &&
           em_cpu_reserve(cpu, EM_SCRATCH_OUTPUT,
                          EM_GROUP * tile_floats(larger(qkv_width(s), s->hidden)), err) &&
           em_cpu_reserve(cpu, EM_SCRATCH_ROPE, tile_floats(s->rope.dim), err) &&
           em_cpu_reserve(cpu, EM_SCRATCH_ATTENTION, attention_floats(s) * sizeof(float), err) &&
           (!cpu->bf16 || em_cpu_reserve(cpu, EM_SCRATCH_QUERIES, query_bytes(s), err));
}

em_layer *em_cpu_layer_load(em_backend *b, const em_layer_spec *spec, const em_layer_weights *w,
                            em_error *err) {
    em_cpu *cpu = em_cpu_of(b);
    double begin = omp_get_wtime();
    em_layer *l = em_alloc(1, sizeof *l, "a layer", err);
    if (!l) return NULL;
    l->spec = *spec;
    bool ok = load_norms(cpu, l, w, err) && load_matrices(cpu, l, w, err) &&
              reserve_for_layer(cpu, spec, err);
    b->times.pack += omp_get_wtime() - begin;
    if (ok) return l;
    em_cpu_layer_free(b, l);
    return NULL;
}

void em_cpu_layer_free(em_backend *b, em_layer *l) {
    if (!l) return;
    em_norm *norms[] = {&l->attention_in, &l->attention_out, &l->ffn_in,
                        &l->ffn_out,      &l->q_norm,        &l->k_norm};
    for (size_t i = 0; i < sizeof norms / sizeof *norms; i++) free_norm(norms[i]);
    em_matrix_free(&l->qkv);
    em_matrix_free(&l->o);
    em_matrix_free(&l->inner);
    em_matrix_free(&l->down);
    free(l);
}

/* The pair's parts are for a head that is the before of a pair; until then their pages are not
 * touched. */
static bool reserve_for_head(em_cpu *cpu, const em_head *h, em_error *err) {
    size_t input = em_product_bytes(cpu, (int64_t)EM_TILE * h->spec.hidden);
    return em_cpu_reserve(cpu, EM_SCRATCH_INPUT, EM_GROUP * input, err) &&
           em_cpu_reserve(cpu, EM_SCRATCH_PAIR_INPUT, input, err) &&
           em_cpu_reserve(cpu, EM_SCRATCH_LINE, (size_t)h->spec.hidden * sizeof(float), err) &&
           em_cpu_reserve(cpu, EM_SCRATCH_PAIR_SLICE, tile_floats(h->output.width), err) &&
           em_cpu_reserve(cpu, EM_SCRATCH_ALPHAS,
                          EM_PAIR_MAX_ALPHAS * EM_TILE * sizeof(em_token_sum), err);
}

static bool load_head(em_cpu *cpu, em_head *h, em_error *err) {
    const em_head_spec *s = &h->spec;
    em_matrix_source output = {
        .parts = {&s->output}, .biases = {&s->output_bias}, .n_parts = 1, .full_slices = true};
    return load_norm(cpu, &h->norm, s->norm, s->norm_eps, s->norm_plus_one, &s->final_norm,
                     &s->final_norm_bias, err) &&
           em_matrix_load(cpu, &h->output, &output, err) && reserve_for_head(cpu, h, err);
}

em_head *em_cpu_head_load(em_backend *b, const em_head_spec *spec, em_error *err) {
    em_cpu *cpu = em_cpu_of(b);
    double begin = omp_get_wtime();
    em_head *h = em_alloc(1, sizeof *h, "the head", err);
    if (!h) return NULL;
    h->spec = *spec;
    bool ok = load_head(cpu, h, err);
    b->times.pack += omp_get_wtime() - begin;
    if (ok) return h;
    em_cpu_head_free(b, h);
    return NULL;
}

void em_cpu_head_free(em_backend *b, em_head *h) {
    if (!h) return;
    free_norm(&h->norm);
    em_matrix_free(&h->output);
    free(h);
}
