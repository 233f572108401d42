/* Attention: projections with their head norms and rotary embedding, the sums over each query's
 * interval of keys, and the way back into the residual stream. */
#include <float.h>
#include <omp.h>
#include <string.h>

#include "kernels/cpu/attention.h"

/* ---- q, k, v ---- */

static void norm_heads(const em_cpu *cpu, const em_layer *l, const em_norm *norm, float *x,
                       int heads) {
    switch (l->spec.head_norm) {
    case EM_HEAD_NORM_NONE: break;
    case EM_HEAD_NORM_ALL: em_norm_apply(cpu, norm, x, x); break;
    case EM_HEAD_NORM_EACH:
        for (int h = 0; h < heads; h++)
            em_norm_apply(cpu, norm, x + h * l->spec.head_dim, x + h * l->spec.head_dim);
        break;
    }
}

static void rotate_interleaved(float *x, const float *cosine, const float *sine, int pairs) {
    for (int j = 0; j < pairs; j++) {
        float a = x[2 * j], b = x[2 * j + 1];
        x[2 * j] = a * cosine[j] - b * sine[j];
        x[2 * j + 1] = b * cosine[j] + a * sine[j];
    }
}

/* cosine, sine: [dim / 2] of the token's position */
static void rotate_heads(const em_cpu *cpu, const em_layer *l, float *x, int heads,
                         const float *cosine, const float *sine) {
    int pairs = l->spec.rope.dim / 2;
    for (int h = 0; pairs && h < heads; h++, x += l->spec.head_dim) {
        if (l->spec.rope.interleaved) rotate_interleaved(x, cosine, sine, pairs);
        else cpu->kernels->rope(x, cosine, sine, pairs);
    }
}

/* Cosines of the tile's positions, then sines: [2, EM_TILE, pairs]. */
static void fill_rope_table(const em_cpu *cpu, const em_layer *l, const em_activations *a,
                            const em_tile *tile, float *table) {
    const em_rope *rope = &l->spec.rope;
    int pairs = rope->dim / 2;
    for (int i = 0; pairs && i < EM_TILE; i++) {
        float position = i < tile->count ? (float)a->batch->positions[tile->token + i] : 0;
        cpu->kernels->rope_table(table + i * pairs, table + (EM_TILE + i) * pairs, position,
                                 rope->inv_freq, pairs, rope->scale);
    }
}

/* k: EM_TILE rows, stride floats apart -> keys: [kv_heads, head_dim, EM_KEY_TILE] */
static void transpose_keys(const em_layer_spec *s, const float *k, int stride, float *keys) {
    for (int c = 0; c < s->kv_heads * s->head_dim; c++)
        for (int i = 0; i < EM_KEY_TILE; i++)
            keys[(int64_t)c * EM_KEY_TILE + i] = k[(int64_t)i * stride + c];
}

/* v: EM_TILE rows, stride floats apart -> values: [kv_heads, EM_KEY_TILE, value_width] */
static void spread_values(const em_layer_spec *s, const float *v, int stride, float *values) {
    int width = em_value_width(s->head_dim);
    for (int h = 0; h < s->kv_heads; h++)
        for (int i = 0; i < EM_KEY_TILE; i++, values += width) {
            memcpy(values, v + (int64_t)i * stride + h * s->head_dim,
                   (size_t)s->head_dim * sizeof *v);
            memset(values + s->head_dim, 0, (size_t)(width - s->head_dim) * sizeof *v);
        }
}

/* k: EM_TILE rows, stride floats apart, each followed by its v */
static void place_keys_and_values(const em_cpu *cpu, const em_layer_spec *s, em_activations *a,
                                  int64_t t, const float *k, int stride) {
    const float *v = k + s->kv_heads * s->head_dim;
    void *keys = a->keys + t * a->key_tile_bytes, *values = a->values + t * a->value_tile_bytes;
    if (cpu->bf16) {
        em_place_keys_bf16(cpu, s, k, stride, keys);
        em_place_values_bf16(cpu, s, v, stride, values);
    } else {
        transpose_keys(s, k, stride, keys);
        spread_values(s, v, stride, values);
    }
}

/* qkv: [EM_TILE, (heads + 2 kv_heads) head_dim], as projected */
static void place_heads(em_cpu *cpu, int thread, const em_layer *l, em_activations *a, int64_t t,
                        float *qkv) {
    const em_layer_spec *s = &l->spec;
    int q_width = s->heads * s->head_dim, stride = l->qkv.out, pairs = s->rope.dim / 2;
    float *table = em_cpu_scratch(cpu, thread, EM_SCRATCH_ROPE);
    fill_rope_table(cpu, l, a, &a->tiles[t], table);
    for (int i = 0; i < EM_TILE; i++) {
        float *q = qkv + (int64_t)i * stride, *k = q + q_width;
        const float *cosine = table + i * pairs, *sine = table + (EM_TILE + i) * pairs;
        norm_heads(cpu, l, &l->q_norm, q, s->heads);
        norm_heads(cpu, l, &l->k_norm, k, s->kv_heads);
        rotate_heads(cpu, l, q, s->heads, cosine, sine);
        rotate_heads(cpu, l, k, s->kv_heads, cosine, sine);
        cpu->kernels->scale(a->q + (t * EM_TILE + i) * q_width, q, s->attention_scale, q_width);
    }
    place_keys_and_values(cpu, s, a, t, qkv + q_width, stride);
}

void em_cpu_attention_inputs(em_backend *b, const em_layer *l, em_activations *a) {
    em_cpu *cpu = em_cpu_of(b);
    double begin = omp_get_wtime();
    int n = l->spec.hidden;
    em_groups groups = em_groups_of(cpu, a->n_tiles);
#pragma omp parallel num_threads(b->options.threads)
    {
        int thread = em_cpu_enter();
        float *qkv = em_cpu_scratch(cpu, thread, EM_SCRATCH_OUTPUT);
#pragma omp for schedule(dynamic, 1)
        for (int64_t g = 0; g < groups.n; g++) {
            int64_t first = g * groups.tiles;
            int tiles = em_group_tiles(&groups, g, a->n_tiles);
            const void *x = em_normed_input(cpu, thread, &l->attention_in,
                                            a->x + first * EM_TILE * n, tiles, n);
            em_matrix_run_all(cpu, thread, &l->qkv, tiles, x, qkv);
            for (int t = 0; t < tiles; t++)
                place_heads(cpu, thread, l, a, first + t, qkv + (int64_t)t * EM_TILE * l->qkv.out);
        }
    }
    b->times.qkv += omp_get_wtime() - begin;
}

/* ---- softmax(q k) v ---- */

static void tile_intervals(const em_layer_spec *s, const em_activations *a, const em_tile *tile,
                           em_intervals *v) {
    int32_t length = a->batch->length[tile->row], first = length, last = 0;
    for (int i = 0; i < EM_TILE; i++) {
        bool real = i < tile->count;
        int32_t query = tile->first + i, lo = real ? a->batch->lo[tile->token + i] : 0;
        int32_t hi = real ? a->batch->hi[tile->token + i] : 0;
        if (s->window > 0 && lo < query - s->window + 1) lo = query - s->window + 1;
        if (s->window > 0 && hi - s->window > query) hi = query + s->window;
        v->lo[i] = lo < 0 ? 0 : lo;
        v->hi[i] = hi > length ? length : hi;
        if (v->lo[i] >= v->hi[i]) continue;
        if (v->lo[i] < first) first = v->lo[i];
        if (v->hi[i] > last) last = v->hi[i];
    }
    v->first_tile = first / EM_KEY_TILE;
    v->last_tile = (last + EM_KEY_TILE - 1) / EM_KEY_TILE;
}

static em_running running_start(const em_layer_spec *s, float *scratch) {
    int64_t n = (int64_t)(s->heads / s->kv_heads) * EM_TILE;
    em_running r = {scratch, scratch + n, scratch + 2 * n};
    for (int64_t i = 0; i < n; i++) r.max[i] = -FLT_MAX;
    memset(r.sum, 0, (size_t)(n * (1 + em_value_width(s->head_dim))) * sizeof *r.sum);
    return r;
}

/* All queries of one head's tile against one key tile. q: [EM_TILE, head_dim], rows heads apart. */
static void attend_head(const em_cpu *cpu, em_attend step, const float *q, const em_intervals *v,
                        const em_running *r, int64_t first_query) {
    for (int i = 0; i < EM_TILE; i += EM_ATTEND_QUERIES) {
        step.q = q + i * step.q_stride;
        step.lo = v->lo + i;
        step.hi = v->hi + i;
        step.max = r->max + first_query + i;
        step.sum = r->sum + first_query + i;
        step.out = r->out + (first_query + i) * step.value_width;
        cpu->kernels->attend(&step);
    }
}

/* Output over sum, into q's place; no key seen: zeros. */
static void finish_head(const em_cpu *cpu, const em_layer_spec *s, const em_running *r,
                        int64_t first_query, float *q, int64_t stride) {
    for (int i = 0; i < EM_TILE; i++) {
        float sum = r->sum[first_query + i];
        const float *out = r->out + (first_query + i) * em_value_width(s->head_dim);
        cpu->kernels->scale(q + i * stride, out, sum > 0 ? 1 / sum : 0, s->head_dim);
    }
}

/* All heads of one kv head against all key tiles that the tile's queries see. q: the first of them.
 */
static void attend_heads(const em_cpu *cpu, const em_layer_spec *s, const em_activations *a,
                         const em_tile *tile, int kv, const float *q, const em_intervals *v,
                         const em_running *r) {
    int width = em_value_width(s->head_dim);
    const float *keys = (const float *)a->keys, *values = (const float *)a->values;
    for (int k = v->first_tile; k < v->last_tile; k++) {
        int64_t place = ((int64_t)tile->row_tile + k) * s->kv_heads + kv;
        em_attend step = {.q_stride = (ptrdiff_t)s->heads * s->head_dim,
                          .keys = keys + place * EM_KEY_TILE * s->head_dim,
                          .values = values + place * EM_KEY_TILE * width,
                          .head_dim = s->head_dim,
                          .value_width = width,
                          .first_key = k * EM_KEY_TILE,
                          .softcap = s->attention_softcap};
        for (int h = 0; h < s->heads / s->kv_heads; h++)
            attend_head(cpu, step, q + h * s->head_dim, v, r, (int64_t)h * EM_TILE);
    }
}

static void attend_tile(em_cpu *cpu, int thread, const em_layer *l, em_activations *a, int64_t t,
                        int kv) {
    const em_layer_spec *s = &l->spec;
    const em_tile *tile = &a->tiles[t];
    int group = s->heads / s->kv_heads;
    int64_t q_stride = (int64_t)s->heads * s->head_dim;
    float *q = a->q + t * EM_TILE * q_stride + (int64_t)kv * group * s->head_dim;
    em_running r = running_start(s, em_cpu_scratch(cpu, thread, EM_SCRATCH_ATTENTION));
    em_intervals v;
    tile_intervals(s, a, tile, &v);
    if (cpu->bf16) em_attend_heads_bf16(cpu, thread, l, a, tile, kv, q, &v, &r);
    else attend_heads(cpu, s, a, tile, kv, q, &v, &r);
    for (int h = 0; h < group; h++)
        finish_head(cpu, s, &r, (int64_t)h * EM_TILE, q + h * s->head_dim, q_stride);
}

void em_cpu_attention(em_backend *b, const em_layer *l, em_activations *a) {
    em_cpu *cpu = em_cpu_of(b);
    double begin = omp_get_wtime();
#pragma omp parallel num_threads(b->options.threads)
    {
        int thread = em_cpu_enter();
#pragma omp for schedule(dynamic, 1) collapse(2)
        for (int64_t t = 0; t < a->n_tiles; t++)
            for (int kv = 0; kv < l->spec.kv_heads; kv++) attend_tile(cpu, thread, l, a, t, kv);
    }
    b->times.attention += omp_get_wtime() - begin;
}

/* ---- back into the residual stream ---- */

static void output_group(em_cpu *cpu, int thread, const em_layer *l, em_activations *a,
                         int64_t first, int tiles) {
    const void *input = em_product_input(cpu, thread, a->q + first * EM_TILE * l->o.in, tiles,
                                         l->o.in);
    em_cpu_residual(cpu, thread, &l->o, &l->attention_out, tiles, input,
                    a->x + first * EM_TILE * l->o.out);
}

void em_cpu_attention_output(em_backend *b, const em_layer *l, em_activations *a) {
    em_cpu *cpu = em_cpu_of(b);
    double begin = omp_get_wtime();
    em_groups groups = em_groups_of(cpu, a->n_tiles);
#pragma omp parallel num_threads(b->options.threads)
    {
        int thread = em_cpu_enter();
#pragma omp for schedule(dynamic, 1)
        for (int64_t g = 0; g < groups.n; g++)
            output_group(cpu, thread, l, a, g * groups.tiles,
                         em_group_tiles(&groups, g, a->n_tiles));
    }
    b->times.output += omp_get_wtime() - begin;
}
