/* The normalization rules inside a SentencePiece model. The library follows them without looking
 * whether they stay inside their own bytes, so a damaged or hostile file must be refused before. */
#ifndef EM_TOKENIZE_CHARSMAP_H
#define EM_TOKENIZE_CHARSMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"

/* model: a serialized ModelProto. True where every precompiled_charsmap in it is safe to follow.
 * EM_INPUT where one is not, or where the fields cannot all be looked at. */
bool em_charsmap_check(const void *model, size_t size, em_error *err);

/* Rules by themselves: a uint32 length, a double array of that length, replacements. */
typedef struct em_charsmap {
    const unsigned char *units; /* of 4 bytes, little-endian; the replacements follow; borrowed */
    uint32_t n_units;
} em_charsmap;

/* Finds the parts in n bytes of rules, whose memory must outlive out and hold 4 bytes more, zeros.
 * EM_INPUT where following them is not safe. n 0: no rules, *out is {0}. */
bool em_charsmap_open(em_charsmap *out, const void *rules, size_t n, em_error *err);

/* The longest (or, for Hugging Face's Precompiled, the shortest) rule that text begins with: its
 * bytes, 0: none, and in *becomes what it makes of them, NUL-terminated. */
size_t em_charsmap_longest(const em_charsmap *c, const char *text, size_t n, const char **becomes);
size_t em_charsmap_shortest(const em_charsmap *c, const char *text, size_t n, const char **becomes);

#endif
