/* The normalizers of tokenizer.json, one step after another. */
#ifndef EM_TOKENIZE_NORMALIZE_H
#define EM_TOKENIZE_NORMALIZE_H

#include "tokenize/charsmap.h"
#include "tokenize/regex.h"
#include "tokenize/text.h"

typedef enum em_normalizer_kind {
    EM_NORMALIZE_UNICODE, /* NFC, NFD, NFKC, NFKD */
    EM_NORMALIZE_LOWERCASE,
    EM_NORMALIZE_STRIP,
    EM_NORMALIZE_PREPEND, /* unless the text is empty */
    EM_NORMALIZE_REPLACE,
    EM_NORMALIZE_PRECOMPILED /* SentencePiece's rules, as Hugging Face tokenizers follow them */
} em_normalizer_kind;

typedef struct em_normalizer {
    em_normalizer_kind kind;
    bool compose, compatible; /* of EM_NORMALIZE_UNICODE */
    bool left, right;         /* of EM_NORMALIZE_STRIP */
    char *pattern, *content;  /* owned; pattern NULL: regex */
    size_t pattern_n, content_n;
    em_regex *regex;      /* owned */
    em_charsmap charsmap; /* of EM_NORMALIZE_PRECOMPILED, in content */
} em_normalizer;

void em_normalizer_free(em_normalizer *n); /* frees what it owns and zeroes */

/* Working memory of one thread. */
typedef struct em_normal_item {
    int32_t c;
    uint32_t bytes;    /* of the input */
    uint32_t order;    /* place before canonical ordering */
    uint8_t combining; /* canonical combining class */
} em_normal_item;

typedef struct em_normalize_scratch {
    em_text texts[2];
    em_normal_item *items;
    size_t n_items, items_capacity;
    em_regex_scratch *regex; /* borrowed */
} em_normalize_scratch;

void em_normalize_scratch_free(em_normalize_scratch *s); /* all but the borrowed regex */

/* Applies the steps in order: *text becomes the normalized text, in s until the next call (or as it
 * was where nothing changes). Errors: EM_INPUT (a regular expression that needs too many steps, a
 * text of more than 2 GiB), EM_MACHINE. */
bool em_normalize(const em_normalizer *steps, size_t n_steps, em_normalize_scratch *s,
                  em_view *text, em_error *err);

#endif
