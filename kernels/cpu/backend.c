/* Opening the CPU backend, what --memory has to know of it, and a batch's activations. */
#include <stdio.h>
#include <stdlib.h>
#define XXH_STATIC_LINKING_ONLY /* the size of XXH3_state_t */
#include <xxhash.h>

#include "common/size.h"
#include "kernels/cpu/cpu.h"

/* ---- what --memory has to know ---- */

static size_t layer_bytes(const em_backend *b, const em_layer_spec *s) {
    const em_cpu *cpu = (const em_cpu *)b;
    int64_t q = (int64_t)s->heads * s->head_dim, k = (int64_t)s->kv_heads * s->head_dim;
    return em_matrix_bytes(cpu, s->hidden, q + 2 * k) + em_matrix_bytes(cpu, q, s->hidden) +
           em_matrix_bytes(cpu, s->hidden, (int64_t)s->ffn * (s->gated ? 2 : 1)) +
           em_matrix_bytes(cpu, s->ffn, s->hidden);
}

static size_t head_bytes(const em_backend *b, const em_head_spec *s) {
    return em_matrix_bytes((const em_cpu *)b, s->hidden, s->vocab);
}

static size_t token_bytes(const em_backend *b, const em_layer_spec *s) {
    size_t heads = (size_t)s->heads * (size_t)s->head_dim;
    const em_cpu *cpu = (const em_cpu *)b;
    return ((size_t)s->hidden + heads) * sizeof(float) +
           (size_t)(em_key_bytes(cpu, s) + em_value_bytes(cpu, s));
}

/* What the threads' scratch comes to: see em_scratch. */
static size_t fixed_bytes(const em_backend *b, const em_layer_spec *s, const em_head_spec *head) {
    size_t heads = (size_t)s->heads * (size_t)s->head_dim,
           kv = (size_t)s->kv_heads * (size_t)s->head_dim;
    size_t hidden = (size_t)s->hidden, ffn = (size_t)s->ffn, widest = hidden > ffn ? hidden : ffn;
    if (heads > widest) widest = heads;
    size_t input = em_product_bytes((const em_cpu *)b,
                                    (int64_t)(hidden > heads ? hidden : heads) + s->ffn);
    size_t output = (heads + 2 * kv > hidden ? heads + 2 * kv : hidden) * sizeof(float);
    size_t tile = EM_SLICE + (size_t)s->rope.dim +
                  (size_t)(s->heads / s->kv_heads) *
                      (size_t)(em_value_width(s->head_dim) + 2 + em_depth(s->head_dim) / 2);
    size_t pair = (size_t)head->hidden + EM_SLICE;
    size_t states = EM_GROUP * sizeof(XXH3_state_t) + EM_PAIR_MAX_ALPHAS * sizeof(em_token_sum);
    size_t slices = 2 * EM_SLICE * hidden + 2 * EM_SLICE_ELEMENTS + 256 * widest;
    return (size_t)b->options.threads *
           (EM_GROUP * EM_TILE * (input + output) + EM_TILE * states +
            ((tile + pair) * EM_TILE + slices + hidden + EM_SLICE) * sizeof(float));
}

/* ---- activations ---- */

static void activations_free(em_backend *b, em_activations *a) {
    if (!a) return;
    free(a->tiles);
    free(a->x);
    free(a->q);
    free(a->keys);
    free(a->values);
    free(a);
}

static void *tile_memory(int64_t tiles, int64_t token_bytes, em_error *err) {
    size_t bytes;
    if (em_size_mul((size_t)tiles * EM_TILE, (size_t)token_bytes, &bytes))
        return em_cpu_alloc(bytes, "activations; lower --memory or -B", err);
    em_fail_memory(err, SIZE_MAX, "activations");
    return NULL;
}

static em_activations *activations_new(em_backend *b, const em_layer_spec *s, int64_t max_tokens,
                                       int max_rows, em_error *err) {
    em_activations *a = em_alloc(1, sizeof *a, "activations", err);
    if (!a) return NULL;
    int64_t n = a->max_tiles = max_tokens / EM_TILE, key = em_key_bytes(em_cpu_of(b), s),
            value = em_value_bytes(em_cpu_of(b), s);
    a->key_tile_bytes = key * EM_TILE;
    a->value_tile_bytes = value * EM_TILE;
    if ((a->tiles = em_alloc((size_t)n, sizeof *a->tiles, "activations", err)) &&
        (a->x = tile_memory(n, (int64_t)s->hidden * 4, err)) &&
        (a->q = tile_memory(n, (int64_t)s->heads * s->head_dim * 4, err)) &&
        (a->keys = tile_memory(n, key, err)) && (a->values = tile_memory(n, value, err)) &&
        em_cpu_reserve(em_cpu_of(b), EM_SCRATCH_LINE, (size_t)s->hidden * sizeof(float), err))
        return a;
    activations_free(b, a);
    return NULL;
}

/* ---- opening ---- */

static void cpu_close(em_backend *b) {
    em_cpu *cpu = em_cpu_of(b);
    for (int i = 0; cpu->threads && i < b->options.threads; i++)
        for (int s = 0; s < EM_SCRATCH_COUNT; s++) free(cpu->threads[i].scratch[s]);
    free(cpu->threads);
    em_gemms_close(&cpu->gemms);
    free(cpu);
}

static const em_backend_ops cpu_ops = {
    .layer_bytes = layer_bytes,
    .head_bytes = head_bytes,
    .token_bytes = token_bytes,
    .fixed_bytes = fixed_bytes,
    .layer_load = em_cpu_layer_load,
    .layer_free = em_cpu_layer_free,
    .head_load = em_cpu_head_load,
    .head_free = em_cpu_head_free,
    .activations_new = activations_new,
    .activations_free = activations_free,
    .embed = em_cpu_embed,
    .attention_inputs = em_cpu_attention_inputs,
    .attention = em_cpu_attention,
    .attention_output = em_cpu_attention_output,
    .feed_forward = em_cpu_feed_forward,
    .score = em_cpu_score,
    .score_pair = em_cpu_score_pair,
    .close = cpu_close,
};

em_backend *em_backend_cpu_open(const em_backend_options *options, em_error *err) {
    if (options->threads < 1) {
        em_fail(err, EM_USAGE, "--threads %d: at least one thread is needed", options->threads);
        return NULL;
    }
    if (options->compute == EM_F16) {
        em_fail(err, EM_USAGE, "--dtype f16 is not available on a CPU: use f32 or bf16");
        return NULL;
    }
    em_cpu *cpu = em_alloc(1, sizeof *cpu, "the CPU backend", err);
    if (!cpu) return NULL;
    cpu->base = (em_backend){.name = "cpu", .ops = &cpu_ops, .options = *options};
    cpu->kernels = options->portable ? &em_cpu_kernels_portable : em_cpu_kernels_best();
    if (em_cpu_product(options) == EM_PRODUCT_BF16) cpu->bf16 = em_bf16_kernels_best();
    snprintf(cpu->base.isa, sizeof cpu->base.isa, "%s%s", em_cpu_isa_name(),
             options->portable ? "+portable" : "");
    cpu->threads = em_alloc((size_t)options->threads, sizeof *cpu->threads, "the CPU backend", err);
    if (cpu->threads &&
        em_gemms_open(&cpu->gemms, em_cpu_product(options), options->threads, err) &&
        em_cpu_reserve(cpu, EM_SCRATCH_DIGEST, EM_GROUP * EM_TILE * sizeof(XXH3_state_t), err))
        return &cpu->base;
    cpu_close(&cpu->base);
    return NULL;
}
