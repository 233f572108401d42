/* The forward pass of a model as plainly as it can be written: double precision, one token after
 * the other, straight from its specs and weight views. Slow; what faster paths are tested against.
 */
#ifndef EM_TESTS_MODEL_REFERENCE_FORWARD_H
#define EM_TESTS_MODEL_REFERENCE_FORWARD_H

#include "model/model.h"

/* One row: ids, positions, lo, hi, labels: [length]; keys lo <= k < hi are seen, a layer's window
 * on top. nll[i] is set where labels[i] >= 0. false: out of memory. */
bool reference_score(const em_model *m, int length, const int32_t *ids, const int32_t *positions,
                     const int32_t *lo, const int32_t *hi, const int32_t *labels, double *nll);

#endif
