/* One interface, several engines: SentencePiece models (tokenizer.model, protobuf),
 * Hugging Face tokenizer.json (BPE), llama2.c's tok*.bin. The engine is chosen by the
 * first bytes, never by the name. A component that we do not support is refused by name.
 *
 * A tokenizer is immutable after opening and may be shared by threads; what a thread
 * needs to work (word cache, heaps, match data) lives in its own em_tokenizer_scratch. */
#ifndef EM_TOKENIZE_TOKENIZER_H
#define EM_TOKENIZE_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"

typedef struct em_tokenizer em_tokenizer;
typedef struct em_tokenizer_scratch em_tokenizer_scratch;

/* Token ids and, for each, the bytes of the *input* text that it covers. The bytes sum to
 * the text's length (bits per byte rests on it): a dummy-prefix space that the tokenizer
 * invents counts 0; text that a normalizer rewrites is counted as it was in the input; bytes
 * that normalization removes go to the token that follows (the last token at the end). */
typedef struct em_tokens {
    int32_t *ids;    /* owned */
    uint32_t *bytes; /* owned, parallel to ids */
    size_t n, ids_capacity, bytes_capacity;
} em_tokens;

void em_tokens_free(em_tokens *t); /* frees and zeroes; em_tokens t = {0} is empty and ready */
bool em_tokens_push(em_tokens *t, int32_t id, uint32_t bytes, em_error *err);

/* The tokenizer in these bytes; data need not outlive the call. source names it in errors.
 * config: the bytes of tokenizer_config.json or NULL; its add_bos_token / add_eos_token
 * override what the model file says, and its bos_token / eos_token name those tokens.
 * Errors: EM_INPUT with the component's or field's name. */
em_tokenizer *em_tokenizer_open(const char *source, const void *data, size_t size,
                                const void *config, size_t config_size, em_error *err);
void em_tokenizer_close(em_tokenizer *t);

em_tokenizer_scratch *em_tokenizer_scratch_new(const em_tokenizer *t, em_error *err);
void em_tokenizer_scratch_free(em_tokenizer_scratch *s);

/* Appends the text's own tokens to out: added tokens inside the text are found, nothing is
 * put before or after (see prefix and suffix). text: UTF-8, may hold NUL bytes, length 0 gives
 * no token. On failure out is back as it was. */
bool em_tokenize(const em_tokenizer *t, em_tokenizer_scratch *s, const char *text, size_t length,
                 em_tokens *out, em_error *err);

/* What the tokenizer adds by itself before and after a text (BOS for Llama); n may be 0. */
const int32_t *em_tokenizer_prefix(const em_tokenizer *t, size_t *n);
const int32_t *em_tokenizer_suffix(const em_tokenizer *t, size_t *n);

/* tokenizer.json may ask for texts to be cut: GPT-2's published file does, at 50 tokens, added ones
 * counted. em_tokenize never cuts (transformers switches it off too: no one means a loss on the
 * first 50 tokens of each document); the tokenize command does, since it prints what the tokenizers
 * library gives for the file. */
typedef struct em_truncation {
    size_t max_tokens; /* 0: texts are not cut */
    bool left;         /* the beginning is cut off, not the end */
} em_truncation;
em_truncation em_tokenizer_truncation(const em_tokenizer *t);

int32_t em_tokenizer_size(const em_tokenizer *t); /* highest id + 1, added tokens included */
int32_t em_tokenizer_eos(
    const em_tokenizer *t); /* by tokenizer_config.json, else the SentencePiece model's; -1: none */

/* The id whose vocabulary string (or added token) is exactly this, or -1. */
int32_t em_tokenizer_id(const em_tokenizer *t, const char *token);

/* The text that a token stands for, as bytes (byte-level alphabet decoded, U+2581 as a space,
 * <0xNN> as its byte), for people to read. Returns the length; out is always NUL-terminated
 * within n bytes; a longer text is cut. An id outside the vocabulary gives "". */
size_t em_tokenizer_text(const em_tokenizer *t, int32_t id, char *out, size_t n);

/* "SentencePiece BPE, 4096 tokens" for reports. Owned by the tokenizer. */
const char *em_tokenizer_describe(const em_tokenizer *t);

#endif
