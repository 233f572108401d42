/* Where a model's files say different things: what counts, as in transformers 5, and a note that
 * names both sides (docs/model.md has the rules). */
#ifndef EM_MODEL_CONTRADICTIONS_H
#define EM_MODEL_CONTRADICTIONS_H

#include "model/model_parts.h"

/* Whether two plain matrices hold the same numbers, whatever their dtypes. */
bool em_same_values(const em_tensor *a, const em_tensor *b);

/* Adds m's notes: config.json against the tensors and against generation_config.json. The weights
 * are found already. Errors: EM_MACHINE. */
bool em_model_contradictions(em_model *m, em_error *err);

#endif
