/* Token strings and ids, both ways. */
#ifndef EM_TOKENIZE_VOCAB_H
#define EM_TOKENIZE_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"

/* An id above this is refused: no real vocabulary comes near, and tables are as long as it. */
#define EM_MAX_TOKEN_ID ((1 << 24) - 1)

enum {
    EM_TOKEN_MODEL = 1,   /* of the model's own vocabulary */
    EM_TOKEN_LITERAL = 2, /* an added token: its string is its text, no alphabet to decode */
    EM_TOKEN_USER = 8,    /* of a SentencePiece model: user-defined */
    EM_TOKEN_BYTE = 4 /* of a SentencePiece model: <0xNN>, a byte of a character without a piece */
};

typedef struct em_vocab_entry {
    uint32_t offset, length; /* in text */
    uint8_t flags;           /* 0: the id is unused */
} em_vocab_entry;

typedef struct em_vocab {
    char *text; /* all strings, one after another, each with a NUL */
    size_t text_n, text_capacity;
    em_vocab_entry *tokens; /* by id */
    size_t tokens_capacity;
    int32_t size;   /* highest id + 1 */
    int32_t count;  /* ids in use */
    int32_t *slots; /* open addressing: id, or -1 */
    size_t n_slots; /* power of two */
} em_vocab;

void em_vocab_free(em_vocab *v); /* frees and zeroes; {0} is empty and ready */
/* Adds a token, n bytes that are copied. EM_INPUT: an id that is taken or out of range, a string
 * that is there already; EM_MACHINE. */
bool em_vocab_add(em_vocab *v, const char *s, size_t n, int64_t id, uint8_t flags, em_error *err);
/* The id of exactly this string, or -1. */
int32_t em_vocab_find(const em_vocab *v, const char *s, size_t n);

/* Whether a token has this id. */
static inline bool em_vocab_has(const em_vocab *v, int64_t id) {
    return id >= 0 && id < v->size && v->tokens[id].flags;
}
/* The string of an id in use, NUL-terminated; valid until a token is added. */
static inline const char *em_vocab_text(const em_vocab *v, int32_t id) {
    return v->text + v->tokens[id].offset;
}

#endif
