/* A list of tensors on its way into a bundle. */
#ifndef EM_MODEL_TENSORS_H
#define EM_MODEL_TENSORS_H

#include "model/bundle.h"

typedef struct em_tensors {
    em_tensor *items; /* their names are owned by the list */
    size_t n, capacity;
} em_tensors;

void em_tensors_free(em_tensors *t); /* frees and zeroes */
/* Adds a copy of *t with its own copy of the name. */
bool em_tensors_add(em_tensors *list, const em_tensor *t, em_error *err);
/* Sorts by name; the same name twice is an error that names both files. */
bool em_tensors_sort(em_tensors *list, em_error *err);
const em_tensor *em_tensors_find(const em_tensors *sorted, const char *name);

/* "[64, 16]" in out; returns out. */
char *em_shape_text(int n_dims, const int64_t *shape, char *out, size_t n);

#endif
