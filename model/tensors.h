/* Named tensors as a file holds them, and a list of them on its way into a bundle. */
#ifndef EM_MODEL_TENSORS_H
#define EM_MODEL_TENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"

#define EM_MAX_DIMS 8

/* How a tensor's rows are stored, where they are not as its shape says (GGUF). */
typedef enum em_layout {
    EM_LAYOUT_PLAIN,
    EM_LAYOUT_PAIRS,  /* [heads, size / 2, 2, …] for [heads, 2, size / 2, …]: rotary pairs are
                         neighbours */
    EM_LAYOUT_THIRDS, /* [3, heads, size, …] for [heads, 3, size, …] */
    EM_LAYOUT_TRANSPOSED, /* [out, in] for [in, out] */
    EM_LAYOUT_PLUS_ONE    /* 1 + w for w */
} em_layout;

typedef struct em_tensor {
    const char *name;
    const char *type; /* as the file spells it: "F32", "BF16", "I64", … */
    int n_dims;
    int64_t shape[EM_MAX_DIMS];
    const void *data; /* mapped, little-endian; not necessarily aligned */
    size_t bytes;
    em_layout layout;
    int32_t heads;    /* of PAIRS and THIRDS */
    const char *file; /* for errors */
} em_tensor;

typedef struct em_tensors {
    em_tensor *items; /* [n]; their names are owned by the list */
    size_t n, capacity;
} em_tensors;

/* Frees the list and its names, not the data; zeroes *t. */
void em_tensors_free(em_tensors *t);
/* Adds a copy of *t with its own copy of the name. Errors: EM_MACHINE. */
bool em_tensors_add(em_tensors *list, const em_tensor *t, em_error *err);
/* Sorts by name. Errors (EM_INPUT): the same name twice; both files are named. */
bool em_tensors_sort(em_tensors *list, em_error *err);
/* The tensor of that name in a sorted list, which owns it; NULL: none. */
const em_tensor *em_tensors_find(const em_tensors *sorted, const char *name);

/* "[64, 16]" in out, which has n bytes; returns out. */
char *em_shape_text(int n_dims, const int64_t *shape, char *out, size_t n);

#endif
