/* Byte-pair encoding (Sennrich et al., arXiv 1508.07909) as Hugging Face tokenizers do it: the
 * merge of lowest rank first, the leftmost of equal ones. */
#ifndef EM_TOKENIZE_BPE_H
#define EM_TOKENIZE_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"
#include "tokenize/vocab.h"

typedef struct em_merge {
    uint64_t pair; /* left id << 32 | right id; UINT64_MAX: empty slot */
    uint32_t rank;
    int32_t id; /* of the merged token */
} em_merge;

typedef struct em_bpe {
    const em_vocab *vocab; /* borrowed */
    em_merge *merges;      /* open addressing */
    size_t n_slots, n_merges;
    bool raw_bytes;         /* words are bytes, whose tokens stand in byte_ids */
    int32_t byte_ids[256];  /* raw_bytes: of the byte-level alphabet; else of <0x00> to <0xFF>; -1:
                               none */
    int32_t ascii_ids[128]; /* of single characters, -1: none */
    bool byte_fallback, fuse_unknown, ignore_merges;
    int32_t unknown; /* -1: unknown characters vanish */
    uint64_t
        *adjacent; /* bit set of hashed character pairs that some merge joins; NULL: do not cut */
} em_bpe;

void em_bpe_free(em_bpe *b); /* frees and zeroes; the vocabulary stays the caller's */
/* Room for n merges, to be called once. Errors: EM_MACHINE. */
bool em_bpe_reserve(em_bpe *b, size_t n, em_error *err);
/* Adds a merge of two ids, in order of rank; a later one replaces an equal one. id: of the merged
 * token. */
void em_bpe_add_merge(em_bpe *b, int32_t left, int32_t right, uint32_t rank, int32_t id);
/* Call when vocabulary, options and merges are in. Errors: EM_MACHINE. */
bool em_bpe_finish(em_bpe *b, em_error *err);

/* A token in the making: its id, and how many of the word's bytes it stands for. */
typedef struct em_symbol {
    int32_t id;
    int32_t previous, next; /* while merges go through the heap; -1: none */
    uint32_t length;        /* 0: merged away */
} em_symbol;

typedef struct em_candidate {
    uint32_t rank;
    int32_t at, id;
} em_candidate;
typedef struct em_word_cache em_word_cache;

/* Working memory of one thread. */
typedef struct em_bpe_scratch {
    em_symbol *symbols;
    size_t n_symbols, symbols_capacity;
    em_candidate *heap;
    size_t n_heap, heap_capacity;
    int32_t *ids; /* of the last word */
    uint32_t *lengths;
    size_t ids_capacity, lengths_capacity;
    em_word_cache *cache;
} em_bpe_scratch;

/* Fills s with an empty cache. Errors: EM_MACHINE. */
bool em_bpe_scratch_new(em_bpe_scratch *s, em_error *err);
void em_bpe_scratch_free(em_bpe_scratch *s); /* frees and zeroes */

/* The tokens of a stretch of text: ids, and lengths that sum to its bytes (but for characters
 * at its end that vanish). */
typedef struct em_word {
    const int32_t *ids;
    const uint32_t *lengths;
    size_t n;
} em_word;

/* Encodes a word: n bytes of UTF-8, or any bytes where b takes raw bytes. A long one falls apart
 * where no merge can ever join two characters; sink gets the tokens of each such stretch, in order,
 * and where it begins in the word. The tokens are valid until sink returns; it returns false to
 * stop. Errors: EM_MACHINE, and sink's. */
typedef bool em_word_sink(void *context, size_t from, const em_word *tokens, em_error *err);
bool em_bpe_encode(const em_bpe *b, em_bpe_scratch *s, const char *word, size_t n,
                   em_word_sink *sink, void *context, em_error *err);

#endif
