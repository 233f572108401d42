/* A GGUF file as a checkpoint of its family: tensors under the family's names, a config.json made
 * of the keys, and the tokenizer's files. */
#ifndef EM_MODEL_GGUF_MODEL_H
#define EM_MODEL_GGUF_MODEL_H

#include "model/gguf_tokenizer.h"

/* config: config.json of what the keys say; tensors: as em_gguf_read gave them, of all shards, and
 * then under the family's names (rope_freqs goes into the config). Errors (EM_INPUT): an
 * architecture or key that is not supported, by name. notes: what the file does not say. */
bool em_gguf_model_make(const em_gguf *g, em_tensors *tensors, em_buffer *config, em_notes *notes,
                        em_error *err);

#endif
