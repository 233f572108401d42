/* llama2.c's legacy checkpoint (export.py, version 0; https://github.com/karpathy/llama2.c):
 * seven int32 (dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len; a negative
 * vocab_size says that the classifier is not shared), then f32 tensors, each kind for all
 * layers in a row. Nothing else is in the file, so its size says whether it is one. */
#ifndef EM_MODEL_LLAMA2C_H
#define EM_MODEL_LLAMA2C_H

#include "common/buffer.h"
#include "model/tensors.h"

/* True where the first bytes could be that header. */
bool em_llama2c_looks(const void *data, size_t size);

/* Adds the tensors under the names that Hugging Face gives them in a Llama, and writes a
 * config.json that says the same as the header, with "rope_interleaved": true (llama2.c rotates
 * neighbours, Hugging Face halves). file outlives the tensors. */
bool em_llama2c_read(const void *data, size_t size, const char *file, em_tensors *out,
                     em_buffer *config, em_error *err);

#endif
