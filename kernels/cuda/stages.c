/* The stages of a layer, chunk by chunk of EM_CUDA_TOKENS tokens: what a chunk needs between its
 * products stays small, and every product has one shape. */
#include "kernels/cuda/cuda.h"

static void product(em_cuda *c, const em_product_shape *shape, const void *x, const void *w,
                    void *y) {
    em_product_run(c->products, c->compute, shape, x, w, y, &c->base.failure);
}

/* The first padded token of chunk i of an array of token_bytes. */
static char *chunk(void *array, int64_t i, size_t token_bytes) {
    return (char *)array + (size_t)(i * EM_CUDA_TOKENS) * token_bytes;
}

static bool reserve(em_cuda *c, em_workspace which, int width, em_dtype type) {
    return em_workspace_reserve(
        c, which, (size_t)EM_CUDA_TOKENS * (size_t)width * em_dtype_size(type), &c->base.failure);
}

static int larger(int a, int b) { return a > b ? a : b; }

/* The workspaces of a layer; false: the failure is kept. */
static bool reserve_for(em_cuda *c, const em_layer *l) {
    em_dtype type = c->base.options.compute;
    return reserve(c, EM_WORKSPACE_INPUT, larger(l->at.hidden, l->at.ffn), type) &&
           reserve(c, EM_WORKSPACE_WIDE, larger(l->at.qkv, l->at.inner), type) &&
           reserve(c, EM_WORKSPACE_SUM, l->at.hidden, EM_F32);
}

/* x += norm(input W^T + bias) of chunk i; without norm and bias the product adds by itself. input:
 * [EM_CUDA_TOKENS, k] */
static void add_product(em_cuda *c, const em_layer *l, em_activations *a, int64_t i,
                        const void *input, int k, const void *w, const float *bias,
                        const em_cuda_norm *norm) {
    int hidden = l->at.hidden;
    float *x = (float *)chunk(a->x, i, (size_t)hidden * sizeof(float));
    em_product_shape shape = {.tokens = EM_CUDA_TOKENS,
                              .n = hidden,
                              .k = k,
                              .y_stride = hidden,
                              .type = c->base.options.compute,
                              .y_f32 = true};
    shape.add = !norm->w && !bias;
    product(c, &shape, input, w, shape.add ? (void *)x : c->workspaces[EM_WORKSPACE_SUM]);
    if (!shape.add)
        em_cuda_residual_run(c->compute, x, c->workspaces[EM_WORKSPACE_SUM], bias, norm,
                             EM_CUDA_TOKENS, hidden);
}

static void inputs_of_chunk(em_cuda *c, const em_layer *l, em_activations *a, int64_t i) {
    const em_layer_spec *s = &l->spec;
    em_dtype type = c->base.options.compute;
    size_t element = em_dtype_size(type),
           depth = (size_t)em_cuda_depth(s->head_dim, element == 2) * element;
    const float *x = (const float *)chunk(a->x, i, (size_t)l->at.hidden * sizeof(float));
    em_cuda_norm_run(c->compute, type, c->workspaces[EM_WORKSPACE_INPUT], x, &l->attention_in,
                     EM_CUDA_TOKENS, l->at.hidden);
    em_product_shape shape = {.tokens = EM_CUDA_TOKENS,
                              .n = l->at.qkv,
                              .k = l->at.hidden,
                              .y_stride = l->at.qkv,
                              .type = type,
                              .y_f32 = type == EM_F32};
    product(c, &shape, c->workspaces[EM_WORKSPACE_INPUT], l->block->data + l->at.qkv_at,
            c->workspaces[EM_WORKSPACE_WIDE]);
    em_cuda_place place = {.qkv = c->workspaces[EM_WORKSPACE_WIDE],
                           .stride = l->at.qkv,
                           .bias = l->qkv_bias,
                           .q_norm = l->q_norm,
                           .k_norm = l->k_norm,
                           .inv_freq = l->inv_freq,
                           .positions = a->positions + i * EM_CUDA_TOKENS,
                           .spec = *s,
                           .q = chunk(a->q, i, (size_t)s->heads * depth),
                           .k = chunk(a->k, i, (size_t)s->kv_heads * depth),
                           .v = chunk(a->v, i, (size_t)s->kv_heads * depth)};
    em_cuda_place_run(c->compute, type, &place, EM_CUDA_TOKENS);
}

void em_cuda_attention_inputs(em_backend *b, const em_layer *l, em_activations *a) {
    em_cuda *c = em_cuda_of(b);
    if (!reserve_for(c, l)) return;
    em_stage_begin(c, &b->times.qkv);
    for (int64_t i = 0; i < a->n_tokens / EM_CUDA_TOKENS; i++) inputs_of_chunk(c, l, a, i);
    em_stage_end(c);
}

void em_cuda_attention_output(em_backend *b, const em_layer *l, em_activations *a) {
    em_cuda *c = em_cuda_of(b);
    if (!reserve_for(c, l)) return;
    size_t token_bytes = (size_t)l->at.attended * em_dtype_size(b->options.compute);
    em_stage_begin(c, &b->times.output);
    for (int64_t i = 0; i < a->n_tokens / EM_CUDA_TOKENS; i++)
        add_product(c, l, a, i, chunk(a->attended, i, token_bytes), l->at.attended,
                    l->block->data + l->at.o_at, l->o_bias, &l->attention_out);
    em_stage_end(c);
}

static void feed_chunk(em_cuda *c, const em_layer *l, em_activations *a, int64_t i) {
    em_dtype type = c->base.options.compute;
    const float *x = (const float *)chunk(a->x, i, (size_t)l->at.hidden * sizeof(float));
    void *input = c->workspaces[EM_WORKSPACE_INPUT], *wide = c->workspaces[EM_WORKSPACE_WIDE];
    em_cuda_norm_run(c->compute, type, input, x, &l->ffn_in, EM_CUDA_TOKENS, l->at.hidden);
    em_product_shape shape = {.tokens = EM_CUDA_TOKENS,
                              .n = l->at.inner,
                              .k = l->at.hidden,
                              .y_stride = l->at.inner,
                              .type = type,
                              .y_f32 = type == EM_F32};
    product(c, &shape, input, l->block->data + l->at.inner_at, wide);
    em_cuda_activation act = {.kind = l->spec.activation,
                              .gated = l->spec.gated,
                              .ffn = l->spec.ffn,
                              .up_at = l->at.widths.up_at,
                              .inner_stride = l->at.inner,
                              .bias = l->inner_bias};
    em_cuda_activation_run(c->compute, type, input, wide, &act, EM_CUDA_TOKENS);
    add_product(c, l, a, i, input, l->at.ffn, l->block->data + l->at.down_at, l->down_bias,
                &l->ffn_out);
}

void em_cuda_feed_forward(em_backend *b, const em_layer *l, em_activations *a) {
    em_cuda *c = em_cuda_of(b);
    if (!reserve_for(c, l)) return;
    em_stage_begin(c, &b->times.ffn);
    for (int64_t i = 0; i < a->n_tokens / EM_CUDA_TOKENS; i++) feed_chunk(c, l, a, i);
    em_stage_end(c);
}
