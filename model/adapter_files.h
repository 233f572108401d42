/* The files of a PEFT LoRA: adapter_config.json and adapter_model.safetensors, mapped and checked
 * by themselves. What they do to a base model: model/adapter.h. */
#ifndef EM_MODEL_ADAPTER_FILES_H
#define EM_MODEL_ADAPTER_FILES_H

#include "model/adapter_config.h"
#include "model/mapping.h"
#include "model/tensors.h"

typedef struct em_adapter {
    em_mapping config_file, weights_file;
    em_adapter_config config;
    em_tensors tensors; /* of weights_file, by name */
    char *path, *name;  /* the directory and what the model is called by it; owned */
} em_adapter;

/* Opens the adapter in the directory `path` (or ORG/NAME of the local Hugging Face cache); *a is
 * zeroed before. Errors: EM_INPUT where a file is missing, is no adapter, or holds a weight that is
 * not finite; also then em_adapter_close releases what was opened. */
bool em_adapter_open(em_adapter *a, const char *path, em_error *err);
/* Releases what *a owns, not *a itself; a zeroed adapter may be closed. */
void em_adapter_close(em_adapter *a);

#endif
