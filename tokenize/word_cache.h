/* Words seen before and their tokens: a bounded table that starts over when it is full. */
#ifndef EM_TOKENIZE_WORD_CACHE_H
#define EM_TOKENIZE_WORD_CACHE_H

#include <stdint.h>
#include "tokenize/bpe.h"

#define EM_CACHED_WORD 128 /* longer words are not kept, bytes */

em_word_cache *em_word_cache_new(em_error *err); /* NULL: EM_MACHINE */
void em_word_cache_free(em_word_cache *c);       /* c may be NULL */
/* What the next two want of a word of n bytes. */
uint64_t em_word_hash(const char *word, size_t n);
/* True and the tokens (valid until the next put), or false. */
bool em_word_cache_get(const em_word_cache *c, uint64_t hash, const char *word, size_t n,
                       em_word *out);
/* Keeps a word of at most EM_CACHED_WORD bytes that is not there, with its tokens; all is copied.
 */
void em_word_cache_put(em_word_cache *c, uint64_t hash, const char *word, size_t n,
                       const em_word *tokens);

#endif
