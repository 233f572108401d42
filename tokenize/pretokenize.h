/* The pre-tokenizers of tokenizer.json: stages that cut words, or rewrite them. */
#ifndef EM_TOKENIZE_PRETOKENIZE_H
#define EM_TOKENIZE_PRETOKENIZE_H

#include "tokenize/regex.h"
#include "tokenize/text.h"

typedef enum em_matcher_kind {
    EM_MATCH_GPT2,
    EM_MATCH_LLAMA3, /* with digits */
    EM_MATCH_REGEX,
    EM_MATCH_STRING,
    EM_MATCH_CHARACTERS, /* each character of which is() is true */
    EM_MATCH_WORDS       /* \w+|[^\w\s]+ */
} em_matcher_kind;

typedef struct em_matcher {
    em_matcher_kind kind;
    int digits;
    em_regex *regex; /* owned */
    char *string;    /* owned */
    size_t string_n;
    bool (*is)(int32_t c);
} em_matcher;

typedef enum em_split_behavior {
    EM_SPLIT_ISOLATED,
    EM_SPLIT_REMOVED,
    EM_SPLIT_MERGED_WITH_PREVIOUS,
    EM_SPLIT_MERGED_WITH_NEXT,
    EM_SPLIT_CONTIGUOUS
} em_split_behavior;

typedef enum em_stage_kind {
    EM_STAGE_SPLIT,
    EM_STAGE_PREFIX_SPACE, /* a space before each word that has none */
    EM_STAGE_BYTE_LEVEL,   /* each byte becomes a character of the byte-level alphabet */
    EM_STAGE_METASPACE /* spaces become another character, one is put before; cuts before each */
} em_stage_kind;

typedef enum em_prepend { EM_PREPEND_ALWAYS, EM_PREPEND_FIRST, EM_PREPEND_NEVER } em_prepend;

typedef struct em_stage {
    em_stage_kind kind;
    em_matcher matcher; /* of EM_STAGE_SPLIT */
    em_split_behavior behavior;
    bool invert;
    char replacement[5]; /* of EM_STAGE_METASPACE, NUL-terminated UTF-8 */
    em_prepend prepend;
    bool cut;
} em_stage;

void em_stage_free(em_stage *s); /* frees what its matcher owns */

typedef struct em_pretokenize_scratch {
    em_text texts[2];
    em_pieces pieces[2];
    em_regex_scratch *regex; /* borrowed */
} em_pretokenize_scratch;

void em_pretokenize_scratch_free(em_pretokenize_scratch *s); /* all but the borrowed regex */

/* Cuts *text into words. *text may be rewritten (it then lies in s); the words, in s, are of the
 * text that comes out and valid until the next call. Errors as em_normalize's. */
bool em_pretokenize(const em_stage *stages, size_t n_stages, em_pretokenize_scratch *s,
                    em_view *text, const em_pieces **words, em_error *err);

/* GPT-2's bytes_to_unicode: printable bytes are themselves, the rest begin at U+0100. */
int32_t em_byte_character(uint8_t byte);
/* The byte that c stands for, or -1. */
int em_character_byte(int32_t c);

#endif
