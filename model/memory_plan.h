/* How much of a network's weights and of its batches fits into --memory at once. */
#ifndef EM_MODEL_MEMORY_PLAN_H
#define EM_MODEL_MEMORY_PLAN_H

#include "model/model.h"
#include "model/network_options.h"

typedef struct em_memory_plan {
    int64_t capacity; /* padded tokens of a batch */
    bool keep;        /* all packed weights fit beside a batch of a useful size and may stay;
                         otherwise each is packed anew for each batch, which takes all the room that
                         the largest of them leaves */
} em_memory_plan;

/* Fills *plan. head: the model's, its vocabulary cut where the run cuts it. Errors: EM_MACHINE
 * where memory cannot hold one row and one layer, naming what would be enough. */
bool em_memory_plan_make(em_memory_plan *plan, const em_model *m, const em_backend *b,
                         const em_head_spec *head, const em_network_options *o, em_error *err);

/* Layer 0 with dimensions that no layer of the model exceeds. */
em_layer_spec em_widest_layer(const em_model *m);

#endif
