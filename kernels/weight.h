/* What every device does with a checkpoint's weights: read an element, and say what is wrong with
 * one. */
#ifndef EM_KERNELS_WEIGHT_H
#define EM_KERNELS_WEIGHT_H

#include "kernels/backend.h"

/* Element (o, i), widened to f32. */
float em_weight_value(const em_weight *w, int64_t o, int64_t i);
/* All of output o: x is [w->in]. */
void em_weight_row(const em_weight *w, int64_t o, float *x);
/* Names the first value of output o that is not finite (EM_INPUT). */
bool em_weight_refuse(const em_weight *w, int64_t o, em_error *err);
/* Why a token cannot be embedded: see em_backend_ops.embed. Sets err (EM_INPUT), false. */
bool em_token_refuse(const em_embedding *e, int32_t id, int32_t position, em_error *err);
/* The id is one of the vocabulary and the position one of the learned ones, if those are there. */
static inline bool em_token_in_range(const em_embedding *e, int32_t id, int32_t position) {
    return id >= 0 && id < e->tokens.out && position >= 0 &&
           (!e->positions.data || position < e->positions.out);
}
/* More padded tokens than there is room for (EM_MACHINE). */
bool em_batch_refuse(int64_t max_tokens, em_error *err);

#endif
