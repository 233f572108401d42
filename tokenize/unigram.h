/* Unigram models of tokenizer.json: the path of pieces with the highest sum of scores, as Hugging
 * Face tokenizers find it (encode_optimized of models/unigram/model.rs), word by word. */
#ifndef EM_TOKENIZE_UNIGRAM_H
#define EM_TOKENIZE_UNIGRAM_H

#include "tokenize/added.h"
#include "tokenize/bpe.h"

typedef struct em_unigram {
    em_added pieces; /* the trie of all of them */
    double *scores;  /* by id; owned */
    size_t scores_capacity;
    double least;    /* of the scores */
    int32_t unknown; /* id; -1: none */
    bool byte_fallback;
    int32_t byte_ids[256]; /* of <0x00> to <0xFF>; -1: none */
} em_unigram;

/* The best path to a byte of the word: its last piece, and where that starts. */
typedef struct em_unigram_node {
    double score;
    int32_t id;
    uint32_t start, next;
} em_unigram_node;

/* Working memory of one thread; {0} is empty and ready. */
typedef struct em_unigram_scratch {
    em_unigram_node *nodes;
    size_t nodes_capacity;
    int32_t *ids; /* of the last word */
    uint32_t *lengths;
    size_t n, ids_capacity, lengths_capacity;
} em_unigram_scratch;

void em_unigram_free(em_unigram *u);                 /* frees and zeroes */
void em_unigram_scratch_free(em_unigram_scratch *s); /* frees and zeroes */

/* Adds a piece of n bytes; ids ascend from 0. Errors: EM_MACHINE. */
bool em_unigram_add(em_unigram *u, const char *piece, size_t n, double score, int32_t id,
                    em_error *err);

/* Gives the word's tokens (n bytes of UTF-8) to sink, all at once, as em_bpe_encode does. cache: of
 * this thread and this model. Errors: EM_INPUT where a character has no token, EM_MACHINE, sink's.
 */
bool em_unigram_encode(const em_unigram *u, em_unigram_scratch *s, em_word_cache *cache,
                       const char *word, size_t n, em_word_sink *sink, void *context,
                       em_error *err);

#endif
