/* Added tokens inside a text: the leftmost match, the longest of those, as the added vocabulary
 * of Hugging Face tokenizers finds them. */
#ifndef EM_TOKENIZE_ADDED_H
#define EM_TOKENIZE_ADDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"

typedef struct em_added_token {
    int32_t id;
    bool single_word, lstrip, rstrip;
} em_added_token;

typedef struct em_added_edge {
    uint32_t key, to;
} em_added_edge; /* node << 8 | byte; to 0: empty */

/* A trie; {0} holds nothing. */
typedef struct em_added {
    em_added_token *tokens;
    size_t n_tokens, tokens_capacity;
    int32_t *ends; /* by node: index into tokens, or -1 */
    size_t n_nodes, ends_capacity;
    em_added_edge *edges; /* open addressing */
    size_t n_edges, n_slots;
    bool first[256]; /* bytes that a token begins with */
} em_added;

void em_added_free(em_added *a); /* frees and zeroes */
/* Adds a token by its text, n bytes of UTF-8 (an empty one is left out); both are copied. The first
 * of equal texts stays. Errors: EM_MACHINE, EM_INPUT where all texts together pass 16 MiB. */
bool em_added_insert(em_added *a, const char *text, size_t n, const em_added_token *token,
                     em_error *err);

/* The next token in s (n bytes of UTF-8) at or after *from: true, its stretch [*start, *end) with
 * the white space that it strips, its id, and *from behind the token itself. done: where the
 * stretch before it ended, beyond which nothing is stripped. false: there is none. */
bool em_added_next(const em_added *a, const char *s, size_t n, size_t done, size_t *from,
                   size_t *start, size_t *end, int32_t *id);

/* The trie's own steps: the node that byte leads to from node (0: the root), 0 where none does; and
 * the id of the token that ends at a node, or -1. */
uint32_t em_added_child(const em_added *a, uint32_t node, unsigned char byte);
int32_t em_added_at(const em_added *a, uint32_t node);

/* The bytes of the longest token that s begins with, flags disregarded; 0: none. */
size_t em_added_prefix(const em_added *a, const char *s, size_t n);

#endif
