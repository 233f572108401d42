/* The GGUF container (ggml's docs/gguf.md), versions 2 and 3, little-endian: keys with typed
 * values, then tensors. Every size is checked before it is used; no weight is read. */
#ifndef EM_MODEL_GGUF_H
#define EM_MODEL_GGUF_H

#include "model/tensors.h"

typedef enum em_gguf_type {
    EM_GGUF_U8,
    EM_GGUF_I8,
    EM_GGUF_U16,
    EM_GGUF_I16,
    EM_GGUF_U32,
    EM_GGUF_I32,
    EM_GGUF_F32,
    EM_GGUF_BOOL,
    EM_GGUF_TEXT,
    EM_GGUF_ARRAY,
    EM_GGUF_U64,
    EM_GGUF_I64,
    EM_GGUF_F64,
    EM_GGUF_TYPES
} em_gguf_type;

/* Bytes of a text in the file: no NUL behind them. */
typedef struct em_gguf_text {
    const char *data;
    size_t n;
} em_gguf_text;

typedef struct em_gguf_key {
    em_gguf_text name;
    em_gguf_type type; /* of the value; of an array, that of its elements */
    bool array;
    uint64_t n;                /* elements; 1 where it is no array */
    const unsigned char *data; /* the first element */
} em_gguf_key;

typedef struct em_gguf {
    const unsigned char *data;
    size_t size;
    const char *file;  /* for errors; outlives the list */
    em_gguf_key *keys; /* [n], sorted by name; owned */
    size_t n;
} em_gguf;

/* True where the bytes start as a GGUF file of any version and byte order does. */
bool em_gguf_looks(const void *data, size_t size);

/* Fills *out with the keys and adds the tensors to `tensors` under their own names, dims slowest
 * first (as everywhere here) and type as em_block_type spells it; they point into data. Errors
 * (EM_INPUT) name the key or the tensor and the byte. Release: em_gguf_free, also after an error.
 */
bool em_gguf_read(const void *data, size_t size, const char *file, em_gguf *out,
                  em_tensors *tensors, em_error *err);
/* Frees the list of keys and zeroes *g; the tensors are the caller's. */
void em_gguf_free(em_gguf *g);

/* The key of that name; NULL: there is none. */
const em_gguf_key *em_gguf_find(const em_gguf *g, const char *name);

/* Typed reads: a key that is missing leaves *out as it is. Errors (EM_INPUT): a value of another
 * kind. A whole number, stored in any width (2.0 is none); also EM_INPUT outside [least, most]. */
bool em_gguf_int(const em_gguf *g, const char *name, int64_t least, int64_t most, int64_t *out,
                 em_error *err);
/* A finite number, whole ones too. */
bool em_gguf_number(const em_gguf *g, const char *name, double *out, em_error *err);
/* A bool. */
bool em_gguf_bool(const em_gguf *g, const char *name, bool *out, em_error *err);
/* A text; its bytes stay in the file. */
bool em_gguf_text_of(const em_gguf *g, const char *name, em_gguf_text *out, em_error *err);

/* Element i < key->n as a whole number, whatever its width; false: it is none. */
bool em_gguf_int_at(const em_gguf_key *key, uint64_t i, int64_t *out);
/* Element i < key->n as a number; false: it is none. */
bool em_gguf_number_at(const em_gguf_key *key, uint64_t i, double *out);
/* The text at *at, which moves to the next one; start with key->data of a list of texts. */
em_gguf_text em_gguf_next_text(const unsigned char **at);

#endif
