/* The values of options. Errors: EM_USAGE, with the option, what was given and what can be. */
#ifndef EM_EVAL_OPTION_VALUES_H
#define EM_EVAL_OPTION_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"
#include "eval/settings/options.h"

/* NAME=PATH, unless the whole of it is a file's name. Cuts text at the equals sign; *out points
 * into it. */
bool em_value_named_path(const char *option, char *text, em_named_path *out, em_error *err);
/* Decimal, all of the text, in [least, most]. */
bool em_value_whole_number(const char *option, const char *text, int64_t least, int64_t most,
                           int64_t *out, em_error *err);
/* "4G", "512M", "1.5GiB", "800000000": bytes, units of 1024. */
bool em_value_byte_count(const char *option, const char *text, size_t *out, em_error *err);
/* Levenshtein's, of word, [n] bytes, and name; for "did you mean". 99: one is too long to be a
 * name. */
int em_word_distance(const char *word, size_t n, const char *name);

/* One of the words, which a NULL ends; *out is its index. A misspelt one is answered with the
 * nearest. */
bool em_value_choice(const char *option, const char *text, const char *const *words, int *out,
                     em_error *err);

#endif
