/* Opening the CUDA engine, and what --memory has to know of it. */
#include <stdio.h>
#include <stdlib.h>

#include "common/size.h"
#include "kernels/cuda/cuda.h"

/* ---- what --memory has to know ---- */

static size_t layer_bytes(const em_backend *b, const em_layer_spec *s) {
    return em_layer_layout_of(s, b->options.compute).bytes;
}

static size_t head_bytes(const em_backend *b, const em_head_spec *s) {
    return em_cuda_head_bytes(s, b->options.compute);
}

static size_t token_bytes(const em_backend *b, const em_layer_spec *s) {
    size_t element = em_dtype_size(b->options.compute),
           depth = (size_t)em_cuda_depth(s->head_dim, element == 2);
    size_t plans = EM_PLANS * (sizeof(em_seen) + sizeof(em_attention_item) / EM_QUERY_TILE + 1);
    return (size_t)em_cuda_pad(s->hidden) * sizeof(float) +
           ((size_t)s->heads + 2 * (size_t)s->kv_heads) * depth * element +
           (size_t)em_cuda_pad((int64_t)s->heads * s->head_dim) * element + plans +
           2 * sizeof(int32_t);
}

/* Workspaces, tokens up to a whole chunk, and the two layers of which one comes while the other
 * computes.
 */
static size_t fixed_bytes(const em_backend *b, const em_layer_spec *s, const em_head_spec *head) {
    em_layer_layout l = em_layer_layout_of(s, b->options.compute);
    size_t element = em_dtype_size(b->options.compute);
    size_t input = (size_t)(l.hidden > l.ffn ? l.hidden : l.ffn),
           wide = (size_t)(l.qkv > l.inner ? l.qkv : l.inner);
    size_t logits = 2 * EM_CUDA_SLICE * sizeof(float),
           sums = (EM_PAIR_MAX_ALPHAS + 2) * (sizeof(em_soft) + 2 * sizeof(float)) +
                  sizeof(em_divergence);
    size_t token = token_bytes(b, s) + (2 * input + wide) * element +
                   (size_t)l.hidden * sizeof(float) + logits + sums;
    return EM_CUDA_TOKENS * token + 2 * l.bytes + (size_t)em_cuda_pad(head->hidden) * element * 16;
}

/* ---- opening and closing ---- */

static void cuda_close(em_backend *b) {
    em_cuda *c = em_cuda_of(b);
    em_stages_close(c);
    em_cuda_memory_close(c);
    em_stream_free(c->compute);
    em_stream_free(c->copy);
    em_products_close(c->products);
    free(c);
}

static const em_backend_ops cuda_ops = {
    .layer_bytes = layer_bytes,
    .head_bytes = head_bytes,
    .token_bytes = token_bytes,
    .fixed_bytes = fixed_bytes,
    .layer_load = em_cuda_layer_load,
    .layer_free = em_cuda_layer_free,
    .head_load = em_cuda_head_load,
    .head_free = em_cuda_head_free,
    .activations_new = em_cuda_activations_new,
    .activations_free = em_cuda_activations_free,
    .embed = em_cuda_embed,
    .attention_inputs = em_cuda_attention_inputs,
    .attention = em_cuda_attention,
    .attention_output = em_cuda_attention_output,
    .feed_forward = em_cuda_feed_forward,
    .score = em_cuda_score,
    .score_pair = em_cuda_score_pair,
    .close = cuda_close,
};

em_backend *em_backend_cuda_open(const em_backend_options *options, int device, em_error *err) {
    em_cuda *c = em_alloc(1, sizeof *c, "the CUDA engine", err);
    if (!c) return NULL;
    c->base = (em_backend){
        .name = "cuda", .ops = &cuda_ops, .options = *options, .failure = EM_ERROR_INIT};
    if (em_device_open(&c->device, device, options, err) && (c->compute = em_stream_new(err)) &&
        (c->copy = em_stream_new(err)) && em_cuda_memory_open(c, err) &&
        (c->products = em_products_open(err))) {
        int version = em_products_version(
            c->products); /* another one may choose other algorithms: other bits */
        if (version)
            snprintf(c->base.isa, sizeof c->base.isa, "%.40s, cuBLASLt %d", c->device.name,
                     version);
        else snprintf(c->base.isa, sizeof c->base.isa, "%s", c->device.name);
        c->base.device_memory = c->device.free_bytes;
        return &c->base;
    }
    cuda_close(&c->base);
    return NULL;
}
