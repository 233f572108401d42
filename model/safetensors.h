/* The safetensors format (https://github.com/huggingface/safetensors): u64 header length,
 * a JSON object name -> {dtype, shape, data_offsets}, the tensors' bytes. As strict as the
 * reference implementation: the tensors cover the rest of the file without overlap or hole. */
#ifndef EM_MODEL_SAFETENSORS_H
#define EM_MODEL_SAFETENSORS_H

#include "model/tensors.h"

#define EM_SAFETENSORS_MAX_HEADER 100000000
/* A key of __metadata__, ours: tensors may share bytes, and bytes may belong to none. Bench's
 * random checkpoints are such. */
#define EM_SAFETENSORS_SHARED "evalmask.shared_bytes"

/* True where the bytes start as a safetensors file does; they may still be broken. */
bool em_safetensors_looks(const void *data, size_t size);

/* Adds all tensors to out; they point into data. file: for errors, outlives the tensors. Errors
 * (EM_INPUT) name the tensor and the byte in the file. */
bool em_safetensors_read(const void *data, size_t size, const char *file, em_tensors *out,
                         em_error *err);

#endif
