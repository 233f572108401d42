/* What a composed model is made of; for the files that make, load and hash one. */
#ifndef EM_MODEL_COMPOSITION_H
#define EM_MODEL_COMPOSITION_H

#include "model/adapter_config.h"
#include "model/mapping.h"
#include "model/model_parts.h"
#include "model/tensors.h"

/* A tensor to be made: values, then whatever of the rest is there. Matrices are [rows, columns] as
 * stored; a vector is one row. */
typedef struct em_made {
    int part;
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

typedef struct em_adapter {
    em_mapping config_file, weights_file;
    em_adapter_config config;
    em_tensors tensors;
    char *path, *name;
} em_adapter;

struct em_composition {
    em_model *sources[2]; /* the base; or before and after */
    em_adapter adapter;   /* empty where there are two sources */
    double alpha;
    em_made *made; /* [n], by place in the base's file, the head's copy of a tied matrix last */
    size_t n, capacity;
};

/* Fills made from adapter: em_model_with_adapter's rules. m is the composed model, which looks like
 * the base. */
bool em_adapter_apply(em_model *m, em_composition *c, em_error *err);
bool em_adapter_open(em_adapter *a, const char *path, em_error *err);
void em_adapter_close(em_adapter *a);

/* The tensor as it is, of a part. */
em_made em_made_of(int part, const em_tensor *t);
bool em_composition_add(em_composition *c, const em_made *made, em_error *err);
void em_composition_free(em_composition *c);
/* The tensor's values, [rows, columns], on so many threads. */
bool em_made_values(const em_composition *c, const em_made *made, int threads, float *out,
                    em_error *err);
/* em_model_hash_part of a composed model. */
bool em_composition_hash_part(em_model *m, int part);
/* madvise for what a part reads of other files than the model's own. */
void em_composition_advise(const em_model *m, int part,
                           void (*what)(const em_bundle *, const em_tensor *));

#endif
