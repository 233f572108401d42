/* The pre-tokenizer patterns of the well-known families, by hand. Each equals its regular
 * expression match for match (tested against PCRE2 on random text). */
#ifndef EM_TOKENIZE_WORDS_H
#define EM_TOKENIZE_WORDS_H

#include <stddef.h>

#define EM_GPT2_PATTERN \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define EM_LLAMA3_PATTERN \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|" \
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define EM_QWEN2_PATTERN \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|" \
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* Where the match that begins at s[i] ends (i < n, valid UTF-8; every character is in a match). */
size_t em_gpt2_word(const char *s, size_t n, size_t i);
size_t em_llama3_word(const char *s, size_t n, size_t i, int digits); /* \p{N}{1,digits} */

#endif
