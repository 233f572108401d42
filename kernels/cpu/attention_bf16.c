/* Attention whose two products take bf16 and add in f32, where the machine has tile registers: keys
 * and values are kept as those want them. Elsewhere attention.c does it in f32. */
#include <string.h>

#include "kernels/cpu/attention.h"

enum { WORDS = EM_KEY_TILE }; /* 32-bit words, pairs of bf16, in a row of keys */

/* A row's elements become one column of pairs, beyond head_dim zeros. k: EM_TILE rows, stride
 * floats apart -> keys: [kv_heads, depth / 2, EM_KEY_TILE, 2] */
void em_place_keys_bf16(const em_cpu *cpu, const em_layer_spec *s, const float *k, int stride,
                        void *keys) {
    uint16_t row[EM_MAX_DEPTH];
    uint32_t *to = keys;
    int depth = em_depth(s->head_dim);
    memset(row, 0, sizeof row);
    for (int h = 0; h < s->kv_heads; h++, to += depth / 2 * WORDS)
        for (int i = 0; i < EM_KEY_TILE; i++) {
            cpu->kernels->to_bf16(row, k + (int64_t)i * stride + h * s->head_dim, s->head_dim);
            for (int d = 0; d < depth / 2; d++) memcpy(to + d * WORDS + i, row + 2 * d, sizeof *to);
        }
}

/* v: as k above -> values: [kv_heads, EM_KEY_TILE / 2, value_width, 2] */
void em_place_values_bf16(const em_cpu *cpu, const em_layer_spec *s, const float *v, int stride,
                          void *values) {
    uint16_t even[EM_MAX_DEPTH], odd[EM_MAX_DEPTH], *to = values;
    int width = em_value_width(s->head_dim);
    memset(even, 0, sizeof even);
    memset(odd, 0, sizeof odd);
    for (int h = 0; h < s->kv_heads; h++)
        for (int i = 0; i < EM_KEY_TILE; i += 2, to += 2 * width) {
            const float *from = v + (int64_t)i * stride + h * s->head_dim;
            cpu->kernels->to_bf16(even, from, s->head_dim);
            cpu->kernels->to_bf16(odd, from + stride, s->head_dim);
            for (int d = 0; d < width; d++) to[2 * d] = even[d], to[2 * d + 1] = odd[d];
        }
}

/* q: EM_TILE rows, stride floats apart -> to: [EM_TILE, depth], zeros beyond head_dim */
static void narrow_queries(const em_cpu *cpu, const em_layer_spec *s, const float *q,
                           int64_t stride, uint16_t *to) {
    int depth = em_depth(s->head_dim);
    for (int i = 0; i < EM_TILE; i++, to += depth) {
        cpu->kernels->to_bf16(to, q + i * stride, s->head_dim);
        memset(to + s->head_dim, 0, (size_t)(depth - s->head_dim) * sizeof *to);
    }
}

void em_attend_heads_bf16(em_cpu *cpu, int thread, const em_layer *l, const em_activations *a,
                          const em_tile *tile, int kv, const float *q, const em_intervals *v,
                          const em_running *r) {
    const em_layer_spec *s = &l->spec;
    int group = s->heads / s->kv_heads, width = em_value_width(s->head_dim),
        depth = em_depth(s->head_dim);
    uint16_t *narrow = cpu->threads[thread].scratch[EM_SCRATCH_QUERIES];
    const uint16_t *keys = (const uint16_t *)a->keys, *values = (const uint16_t *)a->values;
    for (int h = 0; h < group; h++)
        narrow_queries(cpu, s, q + h * s->head_dim, (int64_t)s->heads * s->head_dim,
                       narrow + (int64_t)h * EM_TILE * depth);
    for (int k = v->first_tile; k < v->last_tile; k++) {
        int64_t place = ((int64_t)tile->row_tile + k) * s->kv_heads + kv;
        em_attend_bf16 step = {.heads = group,
                               .q = narrow,
                               .keys = keys + place * EM_KEY_TILE * depth,
                               .values = values + place * EM_KEY_TILE * width,
                               .depth = depth,
                               .value_width = width,
                               .lo = v->lo,
                               .hi = v->hi,
                               .first_key = k * EM_KEY_TILE,
                               .softcap = s->attention_softcap,
                               .max = r->max,
                               .sum = r->sum,
                               .out = r->out};
        cpu->bf16->attend(&step);
    }
}
