/* One part of a network as a backend loads it: the embedding (-1), a layer (0 …) or the head
 * (layers). Where a model is made of others (model/compose.h) the tensors that differ are made
 * here, in f32, just before they are loaded, from the mapped files; no copy of the whole exists. */
#ifndef EM_MODEL_PART_H
#define EM_MODEL_PART_H

#include "model/model.h"

/* Only the member of the part that was opened is to be read. */
typedef struct em_part {
    em_embedding embedding;
    em_layer_weights layer;
    em_head_spec head;
    void *scratch; /* owned; NULL where nothing had to be made */
} em_part;

/* Makes what has to be made, on so many threads (the bits do not depend on them). Errors:
 * EM_MACHINE. Release: em_part_close, also after an error. */
bool em_part_open(const em_model *m, int part, int threads, em_part *out, em_error *err);
/* Frees what was made; the views into it are void then. */
void em_part_close(em_part *p);

/* Bytes that em_part_open takes for the part, and pages that it reads of other files than the
 * model's own. */
size_t em_part_bytes(const em_model *m, int part);

/* The part's views of the model's own file, whatever the model is made of; nothing is owned. */
void em_part_as_stored(const em_model *m, int part, em_part *out);

/* The weights of a part one after another; absent ones are among them. */
typedef struct em_part_views {
    em_weight *of[EM_LAYER_WEIGHTS]; /* [n], into the em_part */
    int n;
} em_part_views;

/* layers: of the model. */
em_part_views em_part_views_of(em_part *p, int part, int layers);

#endif
