/* Models made from other models, layer by layer: a base with a LoRA adapter, or a point on the line
 * through two models. No copy of the weights exists: a part's tensors that differ are made in f32
 * while that part is loaded (model/part.h), from the mapped files; the others stay the mapped ones.
 */
#ifndef EM_MODEL_COMPOSE_H
#define EM_MODEL_COMPOSE_H

#include "model/model.h"

/* base with the PEFT LoRA in a directory (or ORG/NAME of the local Hugging Face cache): W + scale *
 * B A. The base may be used by itself too and is closed after what was made from it. Errors
 * (EM_INPUT) name the key of adapter_config.json or the tensor of adapter_model.safetensors; every
 * tensor of the latter is used, and every module that the former names has its tensors there. */
em_model *em_model_with_adapter(em_model *base, const char *path, em_error *err);

/* The adapter's own files, which are the model's and stay as long as it does. */
typedef struct em_adapter_files {
    const void *config; /* adapter_config.json */
    size_t config_bytes;
    const em_tensor *tensors; /* [n_tensors], by name */
    size_t n_tensors;
} em_adapter_files;

/* false: the model is none with an adapter. */
bool em_model_adapter(const em_model *m, em_adapter_files *out);

/* (1 + alpha) * after - alpha * before, weight by weight, in double and rounded to f32. Both are
 * closed after it. after may be before with an adapter. Errors (EM_INPUT): the configs or a
 * tensor's shape differ; the text says which. */
em_model *em_model_between(em_model *before, em_model *after, double alpha, em_error *err);

#endif
