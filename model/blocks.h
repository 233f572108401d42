/* Weights in blocks, as GGUF stores them: a few bits a weight and scales that a block shares. A row
 * of a matrix is whole blocks; every value is exact in f32, and equal to the bit to what ggml's
 * to_float and gguf-py's dequantize give (ggml/src/ggml-quants.c, gguf-py/gguf/quants.py). */
#ifndef EM_MODEL_BLOCKS_H
#define EM_MODEL_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct em_block_type {
    uint32_t id;      /* ggml's number of it */
    const char *name; /* "Q4_K"; em_tensor.type spells it so */
    int weights;      /* of a block */
    size_t bytes;     /* of a block */
    /* Writes n weights to out, n a multiple of `weights`, from blocks that need not be aligned.
     * NULL: the type is known by its name and not read. */
    void (*values)(const void *blocks, int64_t n, float *out);
} em_block_type;

/* The type of ggml's number; NULL: there is none. */
const em_block_type *em_block_type_of(uint32_t id);
/* The type of that name; NULL: there is none. */
const em_block_type *em_block_type_named(const char *name);

/* The names of the types that are read, comma-separated, in out, which has n bytes; returns out. */
char *em_block_type_list(char *out, size_t n);

#endif
