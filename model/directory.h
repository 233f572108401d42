/* A Hugging Face directory as a bundle. */
#ifndef EM_MODEL_DIRECTORY_H
#define EM_MODEL_DIRECTORY_H

#include "model/bundle_parts.h"

/* Fills b, whose path is a directory, with its small files and the tensors of model.safetensors or
 * of the shards that its index names; tensors are not sorted yet. Errors: EM_INPUT naming the file,
 * or what the directory holds instead (a pickle, an adapter); EM_MACHINE. */
bool em_bundle_open_directory(em_bundle *b, em_error *err);

#endif
