/* Regular expressions as tokenizer.json files write them (Oniguruma's Ruby syntax), run by PCRE2.
 * Constructs that mean the same in both pass through; those that differ are rewritten (classes to
 * Unicode 16, \s to White_Space, ^ and $ to lines, X{n,m}+ to (?:X{n,m})+); others are refused. */
#ifndef EM_TOKENIZE_REGEX_H
#define EM_TOKENIZE_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include "common/buffer.h"
#include "common/error.h"

typedef struct em_regex em_regex;
typedef struct em_regex_scratch em_regex_scratch; /* one a thread, for any number of patterns */

/* Compiles a pattern of n bytes. NULL: EM_INPUT with what is not supported or broken in it,
 * EM_MACHINE. Release: em_regex_free. Threads may share it. */
em_regex *em_regex_new(const char *pattern, size_t n, em_error *err);
void em_regex_free(em_regex *r); /* r may be NULL */

/* NULL: EM_MACHINE. Release: em_regex_scratch_free. */
em_regex_scratch *em_regex_scratch_new(em_error *err);
void em_regex_scratch_free(em_regex_scratch *s); /* s may be NULL */

/* The first match in text[from, n) (valid UTF-8; a look-behind sees what is before from):
 * 1 and its place, 0: none, -1: err (the pattern needs too many steps on this text). Never empty.
 */
int em_regex_next(const em_regex *r, em_regex_scratch *s, const char *text, size_t n, size_t from,
                  size_t *start, size_t *end, em_error *err);

/* Appends the pattern in PCRE2's syntax to out; for em_regex_new and for tests. Errors as
 * em_regex_new's. */
bool em_regex_translate(const char *pattern, size_t n, em_buffer *out, em_error *err);

#endif
