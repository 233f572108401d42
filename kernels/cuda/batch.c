/* A batch enters: its tokens become vectors, and attention's work is listed. */
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "kernels/cuda/cuda.h"
#include "kernels/weight.h"

/* ---- activations ---- */

static bool alloc_host(em_activations *a, em_error *err) {
    size_t n = (size_t)a->max_tokens;
    return (a->token = em_alloc(n, sizeof *a->token, "a batch", err)) &&
           (a->row_start = em_alloc((size_t)a->max_rows, sizeof *a->row_start, "a batch", err)) &&
           (a->items = em_alloc(n / EM_QUERY_TILE, sizeof *a->items, "a batch", err)) &&
           (a->seen = em_alloc(n, sizeof *a->seen, "a batch", err)) &&
           (a->host_positions = em_alloc(n, sizeof *a->host_positions, "a batch", err));
}

/* Cleared: what lies beyond a batch's tokens goes through the products, too, and has to be finite. */
static void *device_array(em_cuda *c, int64_t tokens, size_t token_bytes, em_error *err) {
    size_t bytes;
    if (!em_size_mul((size_t)tokens, token_bytes, &bytes)) return em_fail_memory(err, SIZE_MAX, "activations"), NULL;
    void *p = em_device_alloc(bytes, "activations", err);
    if (p) em_fill_zero(c->compute, p, bytes, err);
    return p;
}

static bool alloc_device(em_cuda *c, em_activations *a, const em_layer_spec *s, em_error *err) {
    size_t element = em_dtype_size(c->base.options.compute), depth = (size_t)em_cuda_depth(s->head_dim, element == 2);
    size_t q = (size_t)s->heads * depth * element, k = (size_t)s->kv_heads * depth * element;
    size_t attended = (size_t)em_cuda_pad((int64_t)s->heads * s->head_dim) * element;
    int64_t n = a->max_tokens;
    for (int i = 0; i < EM_PLANS; i++)
        if (!(a->plans[i].items = device_array(c, n / EM_QUERY_TILE, sizeof(em_attention_item), err)) ||
            !(a->plans[i].seen = device_array(c, n, sizeof(em_seen), err))) return false;
    return (a->x = device_array(c, n, (size_t)a->hidden * sizeof(float), err)) && (a->q = device_array(c, n, q, err)) &&
           (a->k = device_array(c, n, k, err)) && (a->v = device_array(c, n, k, err)) &&
           (a->attended = device_array(c, n, attended, err)) && (a->positions = device_array(c, n, sizeof(int32_t), err));
}

em_activations *em_cuda_activations_new(em_backend *b, const em_layer_spec *s, int64_t max_tokens, int max_rows, em_error *err) {
    if (max_tokens > INT32_MAX - EM_CUDA_TOKENS) return em_batch_refuse(INT32_MAX, err), NULL;
    em_activations *a = em_alloc(1, sizeof *a, "activations", err);
    if (!a) return NULL;
    a->max_tokens = em_cuda_chunks(max_tokens) * EM_CUDA_TOKENS;
    a->max_rows = max_rows;
    a->hidden = (int)em_cuda_pad(s->hidden);
    if (alloc_host(a, err) && alloc_device(em_cuda_of(b), a, s, err)) return a;
    em_cuda_activations_free(b, a);
    return NULL;
}

void em_cuda_activations_free(em_backend *b, em_activations *a) {
    if (!a) return;
    void *device[] = {a->x, a->q, a->k, a->v, a->attended, a->positions};
    for (size_t i = 0; i < sizeof device / sizeof *device; i++) em_device_free(device[i]);
    for (int i = 0; i < EM_PLANS; i++) {
        em_device_free(a->plans[i].items);
        em_device_free(a->plans[i].seen);
    }
    free(a->token);
    free(a->row_start);
    free(a->items);
    free(a->seen);
    free(a->host_positions);
    free(a);
}

/* ---- rows ---- */

static int64_t padded(int64_t tokens) { return (tokens + EM_TILE - 1) / EM_TILE * EM_TILE; }

/* Rows begin at whole tiles; the rest of the last chunk belongs to none. */
static bool lay_out_rows(em_activations *a, const em_row_batch *batch, em_error *err) {
    int64_t at = 0;
    a->batch = batch;
    a->next_plan = 0;
    for (int i = 0; i < EM_PLANS; i++) a->plans[i].made = false;
    for (int r = 0; r < batch->n_rows; r++) {
        if (r >= a->max_rows || padded(batch->length[r]) > a->max_tokens - at) return em_batch_refuse(a->max_tokens, err);
        a->row_start[r] = (int32_t)at;
        for (int64_t i = 0; i < padded(batch->length[r]); i++, at++) a->token[at] = i < batch->length[r] ? batch->start[r] + i : -1;
    }
    a->n_tokens = em_cuda_chunks(at) * EM_CUDA_TOKENS;
    while (at < a->n_tokens) a->token[at++] = -1;
    for (int64_t t = 0; t < a->n_tokens; t++) a->host_positions[t] = a->token[t] < 0 ? -1 : batch->positions[a->token[t]];
    return true;
}

/* ---- embedding ---- */

/* x: [stride], zeros beyond the embedding. false: it cannot be embedded. */
static bool embed_token(const em_embedding *e, int32_t id, int32_t position, float *x, int stride) {
    bool finite = em_token_in_range(e, id, position);
    for (int64_t i = 0; finite && i < e->tokens.in; i++) {
        x[i] = em_weight_value(&e->tokens, id, i) * e->scale;
        if (e->positions.data) x[i] += em_weight_value(&e->positions, position, i);
        finite = isfinite(x[i]);
    }
    for (int64_t i = e->tokens.in; i < stride; i++) x[i] = 0;
    return finite;
}

/* Padded tokens [t, t + n) into rows of the residual stream. The first place in the batch that cannot be embedded, or INT64_MAX. */
static int64_t embed_tokens(const em_cuda *c, const em_embedding *e, const em_activations *a, int64_t t, int64_t n, float *rows) {
    int64_t bad = INT64_MAX;
#pragma omp parallel for num_threads(c->base.options.threads) reduction(min : bad)
    for (int64_t i = 0; i < n; i++) {
        int64_t token = a->token[t + i];
        float *x = rows + i * a->hidden;
        if (token < 0) memset(x, 0, (size_t)a->hidden * sizeof *x);
        else if (!embed_token(e, a->batch->ids[token], a->batch->positions[token], x, a->hidden) && token < bad) bad = token;
    }
    return bad;
}

static bool send_tokens(em_cuda *c, const em_embedding *e, em_activations *a, em_error *err) {
    size_t row_bytes = (size_t)a->hidden * sizeof(float);
    int64_t step = (int64_t)(EM_STAGING_BYTES / row_bytes);
    if (step < 1) return em_fail(err, EM_INPUT, "tensor %s: %lld elements are more than the CUDA engine takes", e->tokens.name, (long long)e->tokens.in);
    for (int64_t t = 0; t < a->n_tokens; t += step) {
        int64_t n = a->n_tokens - t < step ? a->n_tokens - t : step;
        float *rows = em_staging_next(c, err);
        if (!rows) return false;
        int64_t bad = embed_tokens(c, e, a, t, n, rows);
        if (bad < INT64_MAX) return em_token_refuse(e, a->batch->ids[bad], a->batch->positions[bad], err);
        if (!em_staging_send(c, c->compute, a->x + t * a->hidden, (size_t)n * row_bytes, err)) return false;
    }
    return true;
}

bool em_cuda_embed(em_backend *b, const em_embedding *e, const em_row_batch *batch, em_activations *a, em_error *err) {
    em_cuda *c = em_cuda_of(b);
    double begin = omp_get_wtime();
    bool ok = em_device_use(&c->device, err) && lay_out_rows(a, batch, err) &&      /* of a forward pass, the first call */
              em_copy_in(c->compute, a->positions, a->host_positions, (size_t)a->n_tokens * sizeof *a->positions, err) &&
              send_tokens(c, e, a, err);
    b->times.embed += omp_get_wtime() - begin;
    return ok;
}

/* ---- attention's work ---- */

static void row_items(em_activations *a, int row, int window, int *n) {
    const em_row_batch *batch = a->batch;
    int32_t length = batch->length[row], at = a->row_start[row];
    for (int32_t i = 0; i < padded(length); i++) {
        int64_t token = a->token[at + i];
        a->seen[at + i] = token < 0 ? (em_seen){0, 0} : em_seen_make(i, batch->lo[token], batch->hi[token], window, length);
    }
    for (int32_t i = 0; i < length; i += EM_QUERY_TILE) {
        int count = length - i < EM_QUERY_TILE ? length - i : EM_QUERY_TILE;
        a->items[(*n)++] = em_attention_item_make(a->seen + at + i, count, at + i, at);
    }
}

static em_attention_plan *make_plan(em_cuda *c, em_activations *a, int window) {
    em_error *err = &c->base.failure;
    em_attention_plan *p = &a->plans[a->next_plan];
    a->next_plan = (a->next_plan + 1) % EM_PLANS;
    *p = (em_attention_plan){.made = true, .window = window, .items = p->items, .seen = p->seen};
    memset(a->seen, 0, (size_t)a->n_tokens * sizeof *a->seen);
    for (int r = 0; r < a->batch->n_rows; r++) row_items(a, r, window, &p->n_items);
    em_attention_items_sort(a->items, p->n_items);
    em_copy_in(c->compute, p->items, a->items, (size_t)p->n_items * sizeof *a->items, err);
    em_copy_in(c->compute, p->seen, a->seen, (size_t)a->n_tokens * sizeof *a->seen, err);
    return p;
}

static em_attention_plan *plan_for(em_cuda *c, em_activations *a, int window) {
    for (int i = 0; i < EM_PLANS; i++)
        if (a->plans[i].made && a->plans[i].window == window) return &a->plans[i];
    return make_plan(c, a, window);
}

void em_cuda_attention(em_backend *b, const em_layer *l, em_activations *a) {
    em_cuda *c = em_cuda_of(b);
    const em_layer_spec *s = &l->spec;
    em_stage_begin(c, &b->times.attention);
    const em_attention_plan *p = plan_for(c, a, s->window);
    em_cuda_attend run = {.q = a->q, .k = a->k, .v = a->v, .out = a->attended, .out_stride = l->at.attended, .items = p->items,
                             .seen = p->seen, .n_items = p->n_items, .heads = s->heads, .kv_heads = s->kv_heads,
                             .head_dim = s->head_dim, .softcap = s->attention_softcap};
    if (p->n_items) em_cuda_attend_run(c->compute, b->options.compute, &run);
    em_stage_end(c);
}
