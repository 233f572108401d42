/* What an engine must give to be a tokenizer. */
#ifndef EM_TOKENIZE_ENGINE_H
#define EM_TOKENIZE_ENGINE_H

#include "tokenize/tokenizer.h"

#define EM_MAX_AFFIX 16

/* The model is the engine's own type, behind a pointer: SentencePiece's lies in C++. */
typedef struct em_engine {
    bool (*encode)(const void *model, void *scratch, const char *text, size_t n, em_tokens *out,
                   em_error *err);
    void *(*scratch_new)(const void *model, em_error *err);
    void (*scratch_free)(void *scratch);
    void (*close)(void *model);
    int32_t (*id)(const void *model, const char *token);
    size_t (*text)(const void *model, int32_t id, char *out, size_t n);
} em_engine;

typedef struct em_affix {
    int32_t ids[EM_MAX_AFFIX];
    size_t n;
} em_affix;

struct em_tokenizer {
    const em_engine *engine;
    void *model;
    em_affix prefix, suffix;
    int32_t size, bos, eos;
    em_truncation truncation;
    char describe[96];
};

/* Each opens its format and fills t. source names the file in errors. */
bool em_open_json(em_tokenizer *t, const char *source, const void *data, size_t size,
                  em_error *err);
bool em_open_sentencepiece(em_tokenizer *t, const char *source, const void *data, size_t size,
                           em_error *err);
bool em_open_llama2c(em_tokenizer *t, const char *source, const void *data, size_t size,
                     em_error *err);
/* Whether the bytes are laid out as llama2.c's tok*.bin to their end. */
bool em_is_llama2c(const void *data, size_t size);

/* Appends one byte to a text that is cut at n bytes; for em_engine.text. */
static inline void em_text_byte(char *out, size_t n, size_t *length, char byte) {
    if (*length + 1 < n) out[(*length)++] = byte;
}

/* A SentencePiece-like piece for people: U+2581 as a space, <0xNN> as its byte. */
size_t em_piece_text(const char *piece, size_t length, char *out, size_t n);

#endif
