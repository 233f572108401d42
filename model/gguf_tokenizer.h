/* The tokenizer that a GGUF file carries, as the files that a checkpoint would have beside it: a
 * serialized SentencePiece model, or a tokenizer.json of byte-level BPE. */
#ifndef EM_MODEL_GGUF_TOKENIZER_H
#define EM_MODEL_GGUF_TOKENIZER_H

#include "common/buffer.h"
#include "common/notes.h"
#include "model/gguf.h"

typedef struct em_gguf_tokenizer {
    em_buffer json, model, config; /* tokenizer.json or tokenizer.model; tokenizer_config.json */
} em_gguf_tokenizer;               /* empty: the file has none that can be used */

/* Makes the files. Where the tokenizer's kind or pre-tokenizer is not known, or its merges were
 * lost in the making of the file, none is made and a note says why. Errors: EM_INPUT naming the
 * key, EM_MACHINE. Release: em_gguf_tokenizer_free, also after an error. */
bool em_gguf_tokenizer_make(const em_gguf *g, em_gguf_tokenizer *out, em_notes *notes,
                            em_error *err);
/* Frees the three files and zeroes *t. */
void em_gguf_tokenizer_free(em_gguf_tokenizer *t);

#endif
