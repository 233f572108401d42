/* What an engine must give to be a tokenizer. */
#ifndef EM_TOKENIZE_ENGINE_H
#define EM_TOKENIZE_ENGINE_H

#include "common/notes.h"
#include "tokenize/tokenizer.h"

#define EM_MAX_AFFIX 16

/* A token that is found in a text before all others; text is borrowed. */
typedef struct em_extra {
    const char *text;
    size_t n; /* bytes */
    bool single_word, lstrip, rstrip, normalized, special;
} em_extra;

typedef struct em_prefix_space {
    bool there;      /* a space is put before a text */
    bool byte_level; /* by a byte-level pre-tokenizer */
} em_prefix_space;

/* The model is the engine's own type, behind a pointer: SentencePiece's lies in C++. */
typedef struct em_engine {
    /* Appends the tokens of text (n > 0 bytes of valid UTF-8) to out; a failure may leave some. */
    bool (*encode)(const void *model, void *scratch, const char *text, size_t n, em_tokens *out,
                   em_error *err);
    /* Working memory of one thread; NULL with EM_MACHINE. */
    void *(*scratch_new)(const void *model, em_error *err);
    void (*scratch_free)(void *scratch);
    void (*close)(void *model);
    /* The id of exactly this string, or -1. */
    int32_t (*id)(const void *model, const char *token);
    /* What a token stands for: at most n - 1 bytes in out, without a NUL; returns their number. */
    size_t (*text)(const void *model, int32_t id, char *out, size_t n);

    /* Of engines that can have tokens added; NULL in others. */
    /* Whether text is an added token; its flags then. */
    bool (*added)(const void *model, const char *text, em_extra *flags);
    /* Makes it one, or gives it these flags. A string that the vocabulary has keeps its id; a new
     * one gets the next after the vocabulary and the added tokens, as in Hugging Face tokenizers.
     */
    bool (*add)(void *model, const em_extra *token, int32_t *id, em_error *err);
    /* Adds what the model itself has of tokens that transformers finds in texts: of a bare
     * SentencePiece model, unlike the library, its control pieces and the unknown one. NULL:
     * nothing. */
    bool (*add_own)(void *model, em_error *err);
    /* To be called after the last add. EM_INPUT: the model cannot follow what was asked of it. */
    bool (*ready)(void *model, em_error *err);

    /* Of engines that may put a space before a text; NULL in others. */
    em_prefix_space (*prefix_space)(const void *model);
    bool (*set_prefix_space)(void *model, bool there, em_error *err);
    /* Whether that space goes before each stretch between added tokens, or before the first. */
    void (*space_each)(void *model, bool each);

    /* Whether what cuts and rewrites texts is what transformers' class LlamaTokenizer would make
     * for the model instead: U+2581 for spaces and, by prepend (em_prepend), before the text. */
    bool (*like_llama)(const void *model, int prepend);

    bool own_affixes; /* the file itself says what goes before and after a text */
} em_engine;

typedef struct em_affix {
    int32_t ids[EM_MAX_AFFIX];
    size_t n;
} em_affix;

/* What a name such as eos_token stands for by the files beside the tokenizer. */
typedef struct em_named {
    const char *key, *file; /* static */
    int32_t id;             /* -1: nothing, or no token of the vocabulary */
} em_named;

#define EM_NAMED 7

struct em_tokenizer {
    const em_engine *engine;
    void *model;      /* owned */
    const char *file; /* "tokenizer.json", …: what the notes call it; static */
    em_affix prefix, suffix;
    int32_t size, bos, eos;
    int32_t own_size; /* without what the files beside it add */
    int32_t rows;     /* ids from here on are refused; 0: none */
    em_named named[EM_NAMED];
    const char *template_bos; /* see tokenizer.h */
    em_truncation truncation;
    em_notes notes; /* what the files disagree on */
    char describe[96];
};

/* Each opens its format and fills t, which em_tokenizer_close then frees, after a failure too.
 * source names the file in errors: EM_INPUT, EM_MACHINE. */
bool em_open_json(em_tokenizer *t, const char *source, const void *data, size_t size,
                  em_error *err);
/* A serialized SentencePiece model. Errors: EM_INPUT, EM_MACHINE. */
bool em_open_sentencepiece(em_tokenizer *t, const char *source, const void *data, size_t size,
                           em_error *err);
/* llama2.c's tokenizer.bin. Errors: EM_INPUT, EM_MACHINE. */
bool em_open_llama2c(em_tokenizer *t, const char *source, const void *data, size_t size,
                     em_error *err);
/* Whether the bytes are laid out as llama2.c's tok*.bin to their end. */
bool em_is_llama2c(const void *data, size_t size);

/* Appends one byte to a text that is cut at n bytes; for em_engine.text. */
static inline void em_text_byte(char *out, size_t n, size_t *length, char byte) {
    if (*length + 1 < n) out[(*length)++] = byte;
}

/* A SentencePiece-like piece of length bytes for people: U+2581 as a space, <0xNN> as its byte. At
 * most n - 1 bytes in out, without a NUL; returns their number. */
size_t em_piece_text(const char *piece, size_t length, char *out, size_t n);

#endif
