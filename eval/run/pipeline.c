#include "eval/run/pipeline.h"

#include <stdlib.h>

#include "common/size.h"
#include "eval/process/clock.h"

typedef struct slot {
    em_job job;
    bool done;
} slot;

struct em_pipeline {
    em_pipeline_options options;
    em_runner *runner;        /* NULL: ranks do it */
    int64_t enough, capacity; /* padded tokens of a super-batch, and of a batch at most */
    em_origin origin;
    slot *slots; /* [n], a ring */
    bool dropped;
    int n, oldest, under_way; /* the one after those under way is being filled */
};

/* With two jobs at every rank, a third for each waits for an older one to come back, so that a slow
 * rank stops nobody. */
int em_pipeline_depth(int ranks) { return ranks < 2 ? 1 : 3 * ranks + 1; }

em_pipeline *em_pipeline_open(const em_pipeline_options *o, em_error *err) {
    em_pipeline *p = em_alloc(1, sizeof *p, "super-batches", err);
    if (!p) return NULL;
    p->options = *o;
    p->capacity = o->ranks ? o->capacity
                           : em_forward_batch_capacity(o->tools.plan, o->tools.networks);
    p->enough = o->ranks ? o->job : p->capacity;
    p->n = em_pipeline_depth(o->ranks ? o->ranks->n : 1);
    p->slots = em_alloc((size_t)p->n, sizeof *p->slots, "super-batches", err);
    bool good = p->slots && (o->ranks || (p->runner = em_runner_new(&o->tools, err)));
    for (int i = 0; good && i < p->n; i++) good = em_job_open(&p->slots[i].job, o->tools.plan, err);
    if (good) return p;
    em_pipeline_close(p);
    return NULL;
}

void em_pipeline_close(em_pipeline *p) {
    if (!p) return;
    for (int i = 0; p->slots && i < p->n; i++) em_job_free(&p->slots[i].job);
    free(p->slots);
    em_runner_free(p->runner);
    free(p);
}

static slot *filling(const em_pipeline *p) { return &p->slots[(p->oldest + p->under_way) % p->n]; }

void em_pipeline_origin(em_pipeline *p, const em_origin *origin) { p->origin = *origin; }

em_passes *em_pipeline_filling(em_pipeline *p) { return filling(p)->job.passes; }

bool em_pipeline_full(const em_pipeline *p) {
    return em_passes_padded(filling(p)->job.passes) >= p->enough;
}

em_fed_row *em_pipeline_take_excess(em_pipeline *p) {
    em_passes *passes = filling(p)->job.passes;
    return em_passes_padded(passes) > p->capacity && em_passes_rows(passes) > 1
               ? em_passes_take_last(passes)
               : NULL;
}

bool em_pipeline_push(em_pipeline *p, em_error *err) {
    em_ranks *r = p->options.ranks;
    slot *s = filling(p);
    if (p->dropped || em_passes_rows(s->job.passes) == 0) return true;
    s->job.origin = p->origin;
    s->done = false;
    p->under_way++;
    return !r || r->ops->give(r, &s->job, &s->done, err);
}

/* A signal may mean that a rank died. */
static int interrupted(em_pipeline *p, em_error *err) {
    em_ranks *r = p->options.ranks;
    em_fail(err, EM_INTERRUPTED, "interrupted");
    if (!r) return -1;
    em_error lost = EM_ERROR_INIT;
    if (!r->ops->check(r, &lost)) *err = lost;
    return -1;
}

static int wait_for_oldest(em_pipeline *p, bool wait, em_error *err) {
    em_ranks *r = p->options.ranks;
    const slot *s = &p->slots[p->oldest];
    for (;;) {
        if (*p->options.stop) return interrupted(p, err);
        if (!r->ops->poll(r, err)) return err->status == EM_INTERRUPTED ? interrupted(p, err) : -1;
        if (s->done) return 1;
        if (!wait) return 0;
        em_pause();
    }
}

int em_pipeline_next(em_pipeline *p, bool all, em_job **out, em_error *err) {
    if (p->dropped || p->under_way == 0) return 0;
    *out = &p->slots[p->oldest].job;
    if (p->runner) return em_runner_run(p->runner, *out, err) ? 1 : -1;
    return wait_for_oldest(p, all || p->under_way == p->n, err);
}

void em_pipeline_release(em_pipeline *p) {
    em_job_clear(&p->slots[p->oldest].job);
    p->oldest = (p->oldest + 1) % p->n;
    p->under_way--;
}

/* Some of it may be at work in another thread. */
void em_pipeline_drop(em_pipeline *p) { p->dropped = true; }
