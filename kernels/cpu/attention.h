/* What attention in f32 and in bf16 share. */
#ifndef EM_KERNELS_CPU_ATTENTION_H
#define EM_KERNELS_CPU_ATTENTION_H

#include "kernels/cpu/cpu.h"

/* What a tile's queries see, from the row's start, within the layer's window: the queries
 * beyond the row's end see nothing. */
typedef struct em_intervals {
    int32_t lo[EM_TILE], hi[EM_TILE];
    int first_tile, last_tile; /* key tiles of the row that any of them sees: [first, last) */
} em_intervals;

/* Running state of one kv head's queries: [group * EM_TILE], and the output [.., value_width]. */
typedef struct em_running {
    float *max, *sum, *out;
} em_running;

/* ---- in bf16 ---- */

/* A tile's keys, as projected (EM_TILE rows of [kv_heads, head_dim] f32, stride floats apart), to
 * where attention reads them: [kv_heads, depth / 2, EM_KEY_TILE, 2] bf16, zeros beyond head_dim. */
void em_place_keys_bf16(const em_cpu *cpu, const em_layer_spec *s, const float *k, int stride,
                        void *keys);
/* Its values likewise: [kv_heads, EM_KEY_TILE / 2, value_width, 2] bf16. */
void em_place_values_bf16(const em_cpu *cpu, const em_layer_spec *s, const float *v, int stride,
                          void *values);
/* All heads of one kv head against all key tiles that the tile's queries see. q: the first of them,
 * scaled, rows heads * head_dim floats apart; r goes on from the tiles before. */
void em_attend_heads_bf16(em_cpu *cpu, int thread, const em_layer *l, const em_activations *a,
                          const em_tile *tile, int kv, const float *q, const em_intervals *v,
                          const em_running *r);

#endif
