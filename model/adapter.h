/* A PEFT LoRA over a base model: which tensors of the base it changes, and how. */
#ifndef EM_MODEL_ADAPTER_H
#define EM_MODEL_ADAPTER_H

#include "model/model_parts.h"

/* Adds to c what c->adapter, which is open, makes of the tensors of m, the composed model, which
 * still looks like the base. Every tensor of the adapter must be used and every module that its
 * config names must have its tensors. Errors: EM_INPUT naming the tensor or the key, EM_MACHINE. */
bool em_adapter_apply(em_model *m, em_composition *c, em_error *err);

#endif
