/* Can a position see its own label? Reach through the layers (design §2): in a layer, position i
 * reads itself (the residual stream) and its interval, bounded by the layer's own window. */
#ifndef EM_EVAL_LEAK_H
#define EM_EVAL_LEAK_H

#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"

typedef enum em_leak { EM_CLEAN = 0, EM_LEAK_DIRECT = 1, EM_LEAK_INDIRECT = 2 } em_leak;

/* lo, hi: [inputs], the mask's intervals. windows: [layers], each layer's own window or 0.
 * out[i] for i in [from, to): whether position i can see the token at i + offset: in some single
 * layer (or as its own input) DIRECT, only through several INDIRECT, else CLEAN, as where the label
 * lies outside the inputs. Exact for any intervals; O(inputs) memory for each distinct window;
 * O(inputs * layers * log inputs) time wherever the intervals of neighbouring positions touch, as
 * those of every mask do. False: EM_MACHINE, memory is out, here and below. */
bool em_leak_row(const int32_t *lo, const int32_t *hi, int32_t inputs, const int32_t *windows,
                 int32_t layers, int offset, int32_t from, int32_t to, uint8_t *out, em_error *err);

/* The same relation from the other end: all positions that the token at `key` reaches, in
 * O(inputs * layers). after: [layers + 1, inputs], after[l * inputs + i] = 1 where position i
 * carries something of the token once l layers have run; the last of them is the answer. */
bool em_leak_spread(const int32_t *lo, const int32_t *hi, int32_t inputs, const int32_t *windows,
                    int32_t layers, int32_t key, uint8_t *after, em_error *err);

#endif
