/* The clock of the CUDA engine's stages: the device's own. */
#include <stdlib.h>

#include "common/size.h"
#include "kernels/cuda/cuda.h"

void em_stage_begin(em_cuda *c, double *seconds) {
    size_t had = c->timed_capacity;
    em_error *err = &c->base.failure;
    if (!em_grow(&c->timed, &c->timed_capacity, c->n_timed + 1, sizeof *c->timed, "stage times",
                 err))
        return;
    for (size_t i = had; i < c->timed_capacity; i++)
        c->timed[i] = (em_timed){em_event_new(err), em_event_new(err), NULL};
    c->timed[c->n_timed].seconds = seconds;
    em_event_record(c->timed[c->n_timed].from, c->compute, err);
}

void em_stage_end(em_cuda *c) {
    em_launch_check(&c->base.failure);
    if (c->n_timed == c->timed_capacity) return;
    em_event_record(c->timed[c->n_timed++].to, c->compute, &c->base.failure);
}

void em_stages_settle(em_cuda *c) {
    for (size_t i = 0; i < c->n_timed; i++)
        *c->timed[i].seconds += em_event_seconds(c->timed[i].from, c->timed[i].to);
    c->n_timed = 0;
}

void em_stages_close(em_cuda *c) {
    for (size_t i = 0; i < c->timed_capacity; i++) {
        em_event_free(c->timed[i].from);
        em_event_free(c->timed[i].to);
    }
    free(c->timed);
}
