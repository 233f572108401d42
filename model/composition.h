/* What a composed model is made of: the tensors that are not as its base stores them, and the
 * making of one. For the files that compose, load, hash and convert models. */
#ifndef EM_MODEL_COMPOSITION_H
#define EM_MODEL_COMPOSITION_H

#include "model/adapter_files.h"

struct em_model;

/* A tensor to be made: values, then whatever of the rest is there. Matrices are [rows, columns] as
 * stored; a vector is one row. */
typedef struct em_made {
    int part; /* the part of the network that needs it: see em_model_hash_part */
    const em_tensor
        *place; /* the base's tensor that it stands for; for `fresh`, the module's weight */
    bool fresh; /* a bias of a module that has none in the base */
    const em_tensor *values; /* the base's own or the adapter's instead; NULL: zeros (fresh) */
    const em_tensor *after;  /* of the same shape: (1 + alpha) * after - alpha * values */
    const em_tensor *a, *b;  /* [rank, in], [out, rank]: + scale * B A */
    bool transposed;         /* stored [in, out]: Conv1D, and embeddings with in = vocabulary */
    const em_tensor *shift;  /* + scale * shift: the bias of B */
    int64_t rank;
    double scale;
    int64_t rows, columns;
} em_made;

typedef struct em_composition {
    struct em_model *sources[2]; /* the base; or before and after; not owned */
    em_adapter adapter;          /* owned; empty where there are two sources */
    double alpha;                /* where there are two: the point on the line through them */
    em_made *made; /* [n], by place in the base's file, the head's copy of a tied matrix last */
    size_t n, capacity;
} em_composition;

/* The tensor of this part as it is: nothing to be made yet. */
em_made em_made_of(int part, const em_tensor *t);
/* Adds a copy of *made. Errors: EM_MACHINE. */
bool em_composition_add(em_composition *c, const em_made *made, em_error *err);
/* Frees c and its adapter, not the sources; NULL may be freed. */
void em_composition_free(em_composition *c);

/* Floats of room that making the tensor needs besides the result. */
int64_t em_made_room(const em_made *t);
/* Makes the tensor into out, [rows, columns] in f32, on so many threads (the bits do not depend on
 * them). room: [em_made_room]. */
void em_made_make(const em_composition *c, const em_made *t, float *room, int threads, float *out);
/* The same with room of its own. Errors: EM_MACHINE. */
bool em_made_values(const em_composition *c, const em_made *made, int threads, float *out,
                    em_error *err);

#endif
