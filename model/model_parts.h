/* The inside of an em_model, for the files that fill, hash and convert one. */
#ifndef EM_MODEL_MODEL_PARTS_H
#define EM_MODEL_MODEL_PARTS_H

#include "common/hash.h"
#include "model/composition.h"
#include "model/families/family.h"
#include "model/model.h"

/* Which part of the network a tensor belongs to: a layer, or one of these. */
enum { EM_PART_UNUSED = -2, EM_PART_EMBEDDING = -1 }; /* the head is part `layers` */

struct em_model {
    const em_bundle *bundle;     /* of a composed model: its first source's */
    em_composition *composition; /* what it is made of, owned; NULL: it is as stored */
    em_bundle *owned;            /* the bundle, where closing the model closes it; else NULL */
    char source[320];            /* names config.json in errors */
    em_config config;
    em_model_spec spec;
    em_layer_spec *layers;     /* [spec.layers] */
    em_layer_weights *weights; /* [spec.layers] */
    em_embedding embedding;
    em_head_spec head;
    float *inv_freq[2]; /* of config.rope */
    em_notes notes;     /* the bundle's, then the model's own */
    const char *prefix,
        *output;  /* of this checkpoint's tensor names; the head's own, NULL: it is not stored */
    int *part_of; /* [tensors of the bundle] */
    XXH3_state_t *hash;
    int next_part; /* the first that was not hashed yet */
    char fingerprint[17];
};

/* A model over a bundle that stays the caller's. */
em_model *em_model_over(const em_bundle *b, em_error *err);

/* Finds every weight, checks its shape and that no tensor is left over; fills weights, embedding,
 * head, part_of. The layers' specs are there already. */
bool em_model_find_weights(em_model *m, em_error *err);

#endif
