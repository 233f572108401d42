/* Tensors that are not stored as the network reads them: in blocks of a few bits, or in another
 * order. They are made in f32 just before their part is loaded (model/part.h). */
#ifndef EM_MODEL_STORED_H
#define EM_MODEL_STORED_H

#include "model/tensors.h"

/* Whether a view can read the tensor where it is mapped: F32, F16 or BF16 in its own order. */
bool em_tensor_is_plain(const em_tensor *t);
/* Whether em_tensor_values can make it: plain, or of a block type that is read. */
bool em_tensor_is_read(const em_tensor *t);
/* Elements, of its shape. */
int64_t em_tensor_elements(const em_tensor *t);

/* Elements [first, first + n) of a plain tensor, in f32. out: [n]. */
void em_tensor_part(const em_tensor *t, int64_t first, int64_t n, float *out);
/* All elements in the order of t->shape, on so many threads (the bits do not depend on them). out:
 * [em_tensor_elements]. */
void em_tensor_values(const em_tensor *t, int threads, float *out);

#endif
