/* The arithmetic of a pass by its own tokens and intervals: a multiply and an add are two. Padding,
 * norms, exponentials and rotations are not counted. */
#ifndef EM_MODEL_FLOPS_H
#define EM_MODEL_FLOPS_H

#include "kernels/backend.h"

typedef struct em_flops {
    double qkv, attention, output, ffn, head;
} em_flops;

/* Adds one layer over the batch, within the layer's own window. */
void em_flops_add_layer(em_flops *f, const em_layer_spec *spec, const em_row_batch *batch);
/* Adds the head over the tokens that have a label. */
void em_flops_add_head(em_flops *f, const em_head_spec *spec, const em_row_batch *batch,
                       const em_score_request *request);
/* f += more, part by part. */
void em_flops_add(em_flops *f, const em_flops *more);
/* All parts together. */
double em_flops_total(const em_flops *f);

#endif
