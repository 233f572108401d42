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
           (a->host_positions = em_alloc(n, sizeof *a->host_positions, "a batch", err)) &&
           (a->host_slots = em_alloc(n, sizeof *a->host_slots, "a batch", err));
}

/* Cleared: what lies beyond a batch's tokens goes through the products, too, and has to be finite.
 */
static void *device_array(em_cuda *c, em_activations *a, int64_t tokens, size_t token_bytes,
                          em_error *err) {
    em_device_array *to = &a->arrays[a->n_arrays];
    if (!em_size_mul((size_t)tokens, token_bytes, &to->bytes))
        return em_fail_memory(err, SIZE_MAX, "activations"), NULL;
    to->data = em_cuda_take(c, to->bytes, "activations", err);
    if (!to->data || !em_fill_zero(c->compute, to->data, to->bytes, err)) return NULL;
    a->n_arrays++;
    return to->data;
}

static bool alloc_device(em_cuda *c, em_activations *a, const em_layer_spec *s, em_error *err) {
    size_t element = em_dtype_size(c->base.options.compute),
           depth = (size_t)em_cuda_depth(s->head_dim, element == 2);
    size_t q = (size_t)s->heads * depth * element, k = (size_t)s->kv_heads * depth * element;
    size_t attended = (size_t)em_cuda_pad((int64_t)s->heads * s->head_dim) * element;
    int64_t n = a->max_tokens;
    for (int i = 0; i < EM_PLANS; i++)
        if (!(a->plans[i].items = device_array(c, a, n / EM_QUERY_TILE, sizeof(em_attention_item),
                                               err)) ||
            !(a->plans[i].seen = device_array(c, a, n, sizeof(em_seen), err)))
            return false;
    return (a->x = device_array(c, a, n, (size_t)a->hidden * sizeof(float), err)) &&
           (a->q = device_array(c, a, n, q, err)) && (a->k = device_array(c, a, n, k, err)) &&
           (a->v = device_array(c, a, n, k, err)) &&
           (a->attended = device_array(c, a, n, attended, err)) &&
           (a->positions = device_array(c, a, n, sizeof(int32_t), err)) &&
           (a->slots = device_array(c, a, n, sizeof(int32_t), err));
}

em_activations *em_cuda_activations_new(em_backend *b, const em_layer_spec *s, int64_t max_tokens,
                                        int max_rows, em_error *err) {
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
    for (int i = 0; i < EM_ACTIVATION_ARRAYS; i++)
        em_cuda_give(em_cuda_of(b), a->arrays[i].data, a->arrays[i].bytes);
    free(a->token);
    free(a->row_start);
    free(a->items);
    free(a->seen);
    free(a->host_positions);
    free(a->host_slots);
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
        if (r >= a->max_rows || padded(batch->length[r]) > a->max_tokens - at)
            return em_batch_refuse(a->max_tokens, err);
        a->row_start[r] = (int32_t)at;
        for (int64_t i = 0; i < padded(batch->length[r]); i++, at++)
            a->token[at] = i < batch->length[r] ? batch->start[r] + i : -1;
    }
    a->n_tokens = em_cuda_chunks(at) * EM_CUDA_TOKENS;
    while (at < a->n_tokens) a->token[at++] = -1;
    for (int64_t t = 0; t < a->n_tokens; t++)
        a->host_positions[t] = a->token[t] < 0 ? -1 : batch->positions[a->token[t]];
    return true;
}

/* ---- embedding: each distinct row of the batch is sent once, in f32, and the device gathers ----
 */

/* The rows of a table that a batch uses. */
typedef struct distinct {
    int32_t *rows;
    int64_t n;
} distinct;

static bool check_tokens(const em_embedding *e, const em_activations *a, em_error *err) {
    for (int64_t t = 0; t < a->n_tokens; t++) {
        int64_t token = a->token[t];
        if (token < 0) continue;
        int32_t id = a->batch->ids[token], position = a->batch->positions[token];
        if (!em_token_in_range(e, id, position)) return em_token_refuse(e, id, position, err);
    }
    return true;
}

/* The batch's token ids in the order in which they come, and each token's place among them. */
static bool number_ids(const em_embedding *e, em_activations *a, distinct *d, em_error *err) {
    int32_t *place = em_alloc((size_t)e->tokens.out, sizeof *place, "a batch",
                              err); /* of an id, from 1 on; 0: not met yet */
    d->rows = place ? em_alloc((size_t)a->n_tokens, sizeof *d->rows, "a batch", err) : NULL;
    for (int64_t t = 0; d->rows && t < a->n_tokens; t++) {
        int32_t id = a->token[t] < 0 ? -1 : a->batch->ids[a->token[t]];
        if (id >= 0 && !place[id]) {
            d->rows[d->n++] = id;
            place[id] = (int32_t)d->n;
        }
        a->host_slots[t] = id < 0 ? -1 : place[id] - 1;
    }
    free(place);
    return d->rows != NULL;
}

/* Positions are their own numbers: all up to the batch's last. */
static bool number_positions(const em_activations *a, distinct *d, em_error *err) {
    for (int64_t t = 0; t < a->n_tokens; t++)
        if (a->host_positions[t] >= d->n) d->n = (int64_t)a->host_positions[t] + 1;
    d->rows = em_alloc((size_t)d->n, sizeof *d->rows, "a batch", err);
    for (int64_t i = 0; d->rows && i < d->n; i++) d->rows[i] = (int32_t)i;
    return d->rows != NULL;
}

/* x: [stride], zeros beyond w's inputs; false: a value is not finite */
static bool widen_row(const em_weight *w, int64_t row, float scale, float *x, int stride) {
    unsigned bad = 0;
    em_weight_row(w, row, x);
    for (int64_t i = 0; i < w->in; i++) {
        x[i] *= scale;
        bad |= !(fabsf(x[i]) < INFINITY);
    }
    for (int64_t i = w->in; i < stride; i++) x[i] = 0;
    return !bad;
}

/* Rows of w into rows of stride floats. The first that is not finite, or n. */
static int64_t widen_rows(const em_cuda *c, const em_weight *w, float scale, const int32_t *which,
                          int64_t n, float *rows, int stride) {
    int64_t bad = n;
#pragma omp parallel for num_threads(c->base.options.threads) reduction(min : bad)
    for (int64_t i = 0; i < n; i++)
        if (!widen_row(w, which[i], scale, rows + i * stride, stride) && i < bad) bad = i;
    return bad;
}

/* Rows of w, as many at a time as a staging buffer holds, to the tokens that index says. add: to
 * what is there. *bad: the row that is not finite, where that is why it fails. */
static bool send_rows(em_cuda *c, const em_weight *w, float scale, const distinct *d,
                      const int32_t *index, bool add, em_activations *a, int32_t *bad,
                      em_error *err) {
    size_t row_bytes = (size_t)a->hidden * sizeof(float);
    int64_t step = (int64_t)(EM_STAGING_BYTES / row_bytes);
    if (step < 1)
        return em_fail(err, EM_INPUT,
                       "tensor %s: %lld elements are more than the CUDA engine takes", w->name,
                       (long long)w->in);
    if (step > EM_CUDA_TOKENS) step = EM_CUDA_TOKENS;
    if (!em_workspace_reserve(c, EM_WORKSPACE_SUM, EM_CUDA_TOKENS * row_bytes, err)) return false;
    for (int64_t first = 0; first < d->n; first += step) {
        int64_t n = d->n - first < step ? d->n - first : step;
        float *rows = em_staging_next(c, err);
        if (!rows) return false;
        int64_t finite = widen_rows(c, w, scale, d->rows + first, n, rows, a->hidden);
        if (finite < n) return *bad = d->rows[first + finite], false;
        if (!em_staging_send(c, c->compute, c->workspaces[EM_WORKSPACE_SUM], (size_t)n * row_bytes,
                             err))
            return false;
        em_cuda_gather gather = {.rows = c->workspaces[EM_WORKSPACE_SUM],
                                 .index = index,
                                 .first = (int)first,
                                 .n = (int)n,
                                 .stride = a->hidden,
                                 .add = add};
        em_cuda_gather_run(c->compute, a->x, &gather, a->n_tokens);
    }
    return true;
}

static bool send_tokens(em_cuda *c, const em_embedding *e, em_activations *a, em_error *err) {
    distinct d = {0};
    int32_t bad = -1;
    bool ok = number_ids(e, a, &d, err) &&
              em_copy_in(c->compute, a->slots, a->host_slots,
                         (size_t)a->n_tokens * sizeof *a->slots, err) &&
              send_rows(c, &e->tokens, e->scale, &d, a->slots, false, a, &bad, err);
    free(d.rows);
    return ok || (bad >= 0 ? em_token_refuse(e, bad, 0, err) : false);
}

/* After the tokens, whose rows are known to be finite then. */
static bool send_positions(em_cuda *c, const em_embedding *e, em_activations *a, em_error *err) {
    distinct d = {0};
    int32_t bad = -1;
    bool ok = em_copy_in(c->compute, a->positions, a->host_positions,
                         (size_t)a->n_tokens * sizeof *a->positions, err);
    if (!ok || !e->positions.data) return ok;
    ok = number_positions(a, &d, err) &&
         send_rows(c, &e->positions, 1, &d, a->positions, true, a, &bad, err);
    free(d.rows);
    return ok || (bad >= 0 ? em_token_refuse(e, a->batch->ids[0], bad, err) : false);
}

bool em_cuda_embed(em_backend *b, const em_embedding *e, const em_row_batch *batch,
                   em_activations *a, em_error *err) {
    em_cuda *c = em_cuda_of(b);
    double begin = omp_get_wtime();
    bool ok = em_device_use(&c->device, err) &&
              lay_out_rows(a, batch, err) && /* of a forward pass, the first call */
              check_tokens(e, a, err) && send_tokens(c, e, a, err) && send_positions(c, e, a, err);
    b->times.embed += omp_get_wtime() - begin;
    return ok;
}

/* ---- attention's work ---- */

static void row_items(em_activations *a, int row, int window, int *n) {
    const em_row_batch *batch = a->batch;
    int32_t length = batch->length[row], at = a->row_start[row];
    for (int32_t i = 0; i < padded(length); i++) {
        int64_t token = a->token[at + i];
        a->seen[at + i] = token < 0
                              ? (em_seen){0, 0}
                              : em_seen_make(i, batch->lo[token], batch->hi[token], window, length);
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
    em_cuda_attend run = {.q = a->q,
                          .k = a->k,
                          .v = a->v,
                          .out = a->attended,
                          .out_stride = l->at.attended,
                          .items = p->items,
                          .seen = p->seen,
                          .n_items = p->n_items,
                          .heads = s->heads,
                          .kv_heads = s->kv_heads,
                          .head_dim = s->head_dim,
                          .softcap = s->attention_softcap};
    if (p->n_items) em_cuda_attend_run(c->compute, b->options.compute, &run);
    em_stage_end(c);
}
