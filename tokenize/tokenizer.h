/* One interface, several engines: SentencePiece models (tokenizer.model, protobuf),
 * Hugging Face tokenizer.json (BPE, Unigram), llama2.c's tok*.bin. The engine is chosen by the
 * first bytes, never by the name. A component that we do not support is refused by name.
 *
 * A tokenizer is immutable after opening and may be shared by threads; what a thread
 * needs to work (word cache, heaps, match data) lives in its own em_tokenizer_scratch. */
#ifndef EM_TOKENIZE_TOKENIZER_H
#define EM_TOKENIZE_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/notes.h"

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
/* Appends a token. Errors: EM_MACHINE. */
bool em_tokens_push(em_tokens *t, int32_t id, uint32_t bytes, em_error *err);

typedef struct em_tokenizer_bytes {
    const void *data; /* NULL: there is no such file */
    size_t size;
} em_tokenizer_bytes;

/* A tokenizer's own file, and those beside it that may name more tokens. source names the first in
 * errors. */
typedef struct em_tokenizer_files {
    const char *source;
    em_tokenizer_bytes model;              /* tokenizer.json, tokenizer.model, tok*.bin */
    em_tokenizer_bytes config;             /* tokenizer_config.json */
    em_tokenizer_bytes added_tokens;       /* added_tokens.json */
    em_tokenizer_bytes special_tokens_map; /* special_tokens_map.json */
    em_tokenizer_bytes chat_template;      /* chat_template.jinja */
} em_tokenizer_files;

/* The tokenizer in these files; their bytes need not outlive the call. Where they contradict each
 * other, what transformers 5 does is done and noted (docs/model.md). Release: em_tokenizer_close.
 * Errors: EM_INPUT with the component's or field's name; EM_MACHINE. */
em_tokenizer *em_tokenizer_open_files(const em_tokenizer_files *files, em_error *err);
/* The same of a tokenizer's own file and, where config is not NULL, tokenizer_config.json. */
em_tokenizer *em_tokenizer_open(const char *source, const void *data, size_t size,
                                const void *config, size_t config_size, em_error *err);
void em_tokenizer_close(em_tokenizer *t); /* t may be NULL */

/* What the files disagree on and which of them counts. Owned by the tokenizer. */
const em_notes *em_tokenizer_notes(const em_tokenizer *t);

/* The file (static) whose chat_template writes the BOS itself, so that a text made by it has two
 * where one is put before it; NULL: none does. */
const char *em_tokenizer_template_bos(const em_tokenizer *t);

/* The id of what key ("bos_token", "eos_token", "unk_token", "pad_token", …) stands for by the
 * files beside the tokenizer, and in *file (not NULL) which of them says so (static); -1: none
 * does. */
int32_t em_tokenizer_named(const em_tokenizer *t, const char *key, const char **file);

/* Working memory of one thread for this tokenizer, which must outlive it; NULL: EM_MACHINE. */
em_tokenizer_scratch *em_tokenizer_scratch_new(const em_tokenizer *t, em_error *err);
void em_tokenizer_scratch_free(em_tokenizer_scratch *s); /* s may be NULL */

/* Appends the text's own tokens to out: added tokens inside the text are found, nothing is
 * put before or after (see prefix and suffix). text: UTF-8, may hold NUL bytes, length 0 gives
 * no token. On failure out is back as it was. Errors: EM_INPUT (not UTF-8, with the byte; longer
 * than 2 GiB; a regular expression that needs too many steps), EM_MACHINE. */
bool em_tokenize(const em_tokenizer *t, em_tokenizer_scratch *s, const char *text, size_t length,
                 em_tokens *out, em_error *err);

/* What the tokenizer adds by itself before and after a text (BOS for Llama): n ids, owned by the
 * tokenizer; *n may be 0. */
const int32_t *em_tokenizer_prefix(const em_tokenizer *t, size_t *n);
/* Ids that the tokenizer itself puts behind a text; [*n], its own. */
const int32_t *em_tokenizer_suffix(const em_tokenizer *t, size_t *n);

/* tokenizer.json may ask for texts to be cut: GPT-2's published file does, at 50 tokens, added ones
 * counted. em_tokenize never cuts (transformers switches it off too: no one means a loss on the
 * first 50 tokens of each document); the tokenize command does, since it prints what the tokenizers
 * library gives for the file. */
typedef struct em_truncation {
    size_t max_tokens; /* 0: texts are not cut */
    bool left;         /* the beginning is cut off, not the end */
} em_truncation;
/* What its truncation section says; it is never applied in runs. */
em_truncation em_tokenizer_truncation(const em_tokenizer *t);

int32_t em_tokenizer_size(const em_tokenizer *t); /* highest id + 1, added tokens included */
/* The same of the tokenizer's own file, without what the files beside it add. */
int32_t em_tokenizer_own_size(const em_tokenizer *t);
/* To be called before t is shared: the model has rows for ids below rows only. A text that holds an
 * added token beyond is then refused by em_tokenize, and a note says so. Errors: EM_MACHINE. */
bool em_tokenizer_limit(em_tokenizer *t, int32_t rows, em_error *err);
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
