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
 * layer (or as its own input) DIRECT, only through several INDIRECT, else CLEAN. The label may lie outside the inputs:
 * CLEAN. Exact; O(inputs) memory; fast where the mask is causal or anti-causal. */
bool em_leak_row(const int32_t *lo, const int32_t *hi, int32_t inputs, const int32_t *windows, int32_t layers,
                 int offset, int32_t from, int32_t to, uint8_t *out, em_error *err);

/* All key positions that position i reaches through the layers [first, layers): reach[k] = 1.
 * reach: [inputs], the caller's. The exact definition, one position at a time; em_leak_row is
 * tested against it. */
void em_leak_reach(const int32_t *lo, const int32_t *hi, int32_t inputs, const int32_t *windows, int32_t layers,
                   int32_t i, uint8_t *reach);

#endif
