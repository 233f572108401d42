/* Opening the CUDA engine, its memory, and the clock of its stages. */
#include <stdio.h>
#include <stdlib.h>

#include "common/size.h"
#include "kernels/cuda/cuda.h"

/* ---- memory ---- */

void *em_cuda_take(em_cuda *c, size_t bytes, const char *what, em_error *err) {
    void *p = em_device_alloc(bytes, what, err);
    if (!p) return NULL;
    c->allocated += bytes;
    if (c->allocated > c->base.device_peak) c->base.device_peak = c->allocated;
    return p;
}

void em_cuda_give(em_cuda *c, void *p, size_t bytes) {
    if (!p) return;
    em_device_free(p);
    c->allocated -= bytes;
}

/* The smallest unused block that is large enough, the one given back first among equals; *n: how
 * many there are. */
static em_block *fitting(const em_cuda *c, size_t bytes, int *n) {
    em_block *best = NULL;
    *n = 0;
    for (em_block *b = c->blocks; b; b = b->next) {
        if (b->used || b->bytes < bytes) continue;
        ++*n;
        if (!best || b->bytes < best->bytes || (b->bytes == best->bytes && b->freed < best->freed))
            best = b;
    }
    return best;
}

static void block_free(em_cuda *c, em_block *b) {
    em_event_free(b->done);
    em_cuda_give(c, b->data, b->bytes);
    free(b);
}

static void free_blocks(em_cuda *c, bool used_too) {
    for (em_block **at = &c->blocks; *at;) {
        em_block *b = *at;
        if (b->used && !used_too) {
            at = &b->next;
            continue;
        }
        *at = b->next;
        block_free(c, b);
    }
}

static em_block *block_new(em_cuda *c, size_t bytes, const char *what, em_error *err) {
    em_block *b = em_alloc(1, sizeof *b, what, err);
    if (!b) return NULL;
    em_error first = EM_ERROR_INIT;
    b->bytes = bytes;
    b->data = em_cuda_take(c, bytes, what, &first);
    if (!b->data) {
        free_blocks(c, false); /* of other sizes; this waits for the device */
        b->data = em_cuda_take(c, bytes, what, err);
    }
    if (!b->data || !(b->done = em_event_new(err))) {
        block_free(c, b);
        return NULL;
    }
    b->next = c->blocks;
    return c->blocks = b;
}

/* Two blocks of a size take turns, so that one fills while the device computes from the other. */
em_block *em_block_take(em_cuda *c, size_t bytes, const char *what, em_error *err) {
    int n;
    em_block *b = fitting(c, bytes, &n);
    if (!b || (n < 2 && !em_event_reached(b->done))) b = block_new(c, bytes, what, err);
    if (!b || !em_stream_after(c->copy, b->done, err)) return NULL;
    b->used = true;
    return b;
}

void em_block_give(em_cuda *c, em_block *b) {
    if (!b) return;
    em_event_record(b->done, c->compute, &c->base.failure);
    b->used = false;
    b->freed = ++c->frees;
}

bool em_pad_reserve(em_cuda *c, em_pad pad, size_t bytes, em_error *err) {
    if (c->pad_bytes[pad] >= bytes) return true;
    em_cuda_give(c, c->pads[pad], c->pad_bytes[pad]);
    c->pad_bytes[pad] = 0;
    c->pads[pad] = em_cuda_take(c, bytes, "a chunk of tokens", err);
    if (!c->pads[pad]) return false;
    c->pad_bytes[pad] = bytes;
    return true;
}

void *em_staging_next(em_cuda *c, em_error *err) {
    em_staging *s = &c->staging;
    s->next = (s->next + 1) % EM_STAGING_BUFFERS;
    return em_event_wait(s->sent[s->next], err) ? s->buffers[s->next] : NULL;
}

bool em_staging_send(em_cuda *c, em_stream stream, void *to, size_t bytes, em_error *err) {
    em_staging *s = &c->staging;
    return em_copy_in(stream, to, s->buffers[s->next], bytes, err) &&
           em_event_record(s->sent[s->next], stream, err);
}

void *em_cuda_host(em_cuda *c, size_t bytes, em_error *err) {
    if (c->host_bytes >= bytes) return c->host;
    em_pinned_free(c->host);
    c->host = em_pinned_alloc(bytes, err);
    c->host_bytes = c->host ? bytes : 0;
    return c->host;
}

/* ---- the clock ---- */

void em_stage_begin(em_cuda *c, double *seconds) {
    size_t had = c->timed_capacity;
    em_error *err = &c->base.failure;
    if (!em_grow(&c->timed, &c->timed_capacity, c->n_timed + 1, sizeof *c->timed, "stage times",
                 err))
        return;
    for (size_t i = had; i < c->timed_capacity; i++)
        c->timed[i] = (em_timed){em_event_new(err), em_event_new(err), NULL};
    c->timed[c->n_timed].seconds = seconds;
    em_event_record(c->timed[c->n_timed].from, c->compute, err);
}

void em_stage_end(em_cuda *c) {
    em_launch_check(&c->base.failure);
    if (c->n_timed == c->timed_capacity) return;
    em_event_record(c->timed[c->n_timed++].to, c->compute, &c->base.failure);
}

void em_stages_settle(em_cuda *c) {
    for (size_t i = 0; i < c->n_timed; i++)
        *c->timed[i].seconds += em_event_seconds(c->timed[i].from, c->timed[i].to);
    c->n_timed = 0;
}

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

/* Pads, tokens up to a whole chunk, and the two layers of which one comes while the other computes.
 */
static size_t fixed_bytes(const em_backend *b, const em_layer_spec *s, const em_head_spec *head) {
    em_layer_layout l = em_layer_layout_of(s, b->options.compute);
    size_t element = em_dtype_size(b->options.compute);
    size_t input = (size_t)(l.hidden > l.ffn ? l.hidden : l.ffn),
           wide = (size_t)(l.qkv > l.inner ? l.qkv : l.inner);
    size_t logits = 2 * EM_CUDA_SLICE * sizeof(float),
           sums = (EM_PAIR_MAX_ALPHAS + 2) * (sizeof(em_soft) + 2 * sizeof(float));
    size_t token = token_bytes(b, s) + (2 * input + wide) * element +
                   (size_t)l.hidden * sizeof(float) + logits + sums;
    return EM_CUDA_TOKENS * token + 2 * l.bytes + (size_t)em_cuda_pad(head->hidden) * element * 16;
}

/* ---- opening and closing ---- */

static void cuda_close(em_backend *b) {
    em_cuda *c = em_cuda_of(b);
    for (size_t i = 0; i < c->timed_capacity; i++) {
        em_event_free(c->timed[i].from);
        em_event_free(c->timed[i].to);
    }
    free(c->timed);
    free_blocks(c, true);
    for (int i = 0; i < EM_PAD_COUNT; i++) em_cuda_give(c, c->pads[i], c->pad_bytes[i]);
    for (int i = 0; i < EM_STAGING_BUFFERS; i++) {
        em_event_free(c->staging.sent[i]);
        em_pinned_free(c->staging.buffers[i]);
    }
    em_pinned_free(c->host);
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

static bool open_staging(em_cuda *c, em_error *err) {
    for (int i = 0; i < EM_STAGING_BUFFERS; i++)
        if (!(c->staging.buffers[i] = em_pinned_alloc(EM_STAGING_BYTES, err)) ||
            !(c->staging.sent[i] = em_event_new(err)))
            return false;
    return true;
}

em_backend *em_backend_cuda_open(const em_backend_options *options, int device, em_error *err) {
    em_cuda *c = em_alloc(1, sizeof *c, "the CUDA engine", err);
    if (!c) return NULL;
    c->base = (em_backend){
        .name = "cuda", .ops = &cuda_ops, .options = *options, .failure = EM_ERROR_INIT};
    if (em_device_open(&c->device, device, options, err) && (c->compute = em_stream_new(err)) &&
        (c->copy = em_stream_new(err)) && open_staging(c, err) &&
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
