/* Memory of the CUDA engine: the device's, counted, in blocks for weights and workspaces for chunks
 * of tokens; and the host's pinned buffers. */
#include <stdlib.h>

#include "common/size.h"
#include "kernels/cuda/cuda.h"

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

bool em_workspace_reserve(em_cuda *c, em_workspace which, size_t bytes, em_error *err) {
    if (c->workspace_bytes[which] >= bytes) return true;
    em_cuda_give(c, c->workspaces[which], c->workspace_bytes[which]);
    c->workspace_bytes[which] = 0;
    c->workspaces[which] = em_cuda_take(c, bytes, "a chunk of tokens", err);
    if (!c->workspaces[which]) return false;
    c->workspace_bytes[which] = bytes;
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

bool em_cuda_memory_open(em_cuda *c, em_error *err) {
    for (int i = 0; i < EM_STAGING_BUFFERS; i++)
        if (!(c->staging.buffers[i] = em_pinned_alloc(EM_STAGING_BYTES, err)) ||
            !(c->staging.sent[i] = em_event_new(err)))
            return false;
    return true;
}

void em_cuda_memory_close(em_cuda *c) {
    free_blocks(c, true);
    for (int i = 0; i < EM_WORKSPACE_COUNT; i++)
        em_cuda_give(c, c->workspaces[i], c->workspace_bytes[i]);
    for (int i = 0; i < EM_STAGING_BUFFERS; i++) {
        em_event_free(c->staging.sent[i]);
        em_pinned_free(c->staging.buffers[i]);
    }
    em_pinned_free(c->host);
}
