#include "eval/pipeline.h"

#include <stdlib.h>

#include "common/size.h"

typedef struct slot { em_passes *passes; int left; } slot;     /* left: stretches that are not scored yet */

struct em_pipeline {
    em_pipeline_options options;
    int64_t enough, capacity;           /* padded tokens of a super-batch, and of a batch at most */
    slot *slots;                        /* [n], a ring */
    int n, oldest, under_way;           /* the one after those under way is being filled */
};

/* With two jobs at every rank, a third for each waits for an older one to be scored, so that a slow rank stops nobody. */
int em_pipeline_depth(int ranks) {
    return ranks < 2 ? 1 : 3 * ranks + 1;
}

em_pipeline *em_pipeline_open(const em_pipeline_options *o, em_error *err) {
    em_pipeline *p = em_alloc(1, sizeof *p, "super-batches", err);
    if (!p) return NULL;
    p->options = *o;
    p->capacity = o->ranks ? o->capacity : em_block_capacity(o->plan, o->networks);
    p->enough = o->ranks ? o->job : p->capacity;
    p->n = em_pipeline_depth(o->ranks ? o->ranks->n : 1);
    p->slots = em_alloc((size_t)p->n, sizeof *p->slots, "super-batches", err);
    for (int i = 0; p->slots && i < p->n; i++)
        if (!(p->slots[i].passes = em_passes_new(o->plan, err))) break;
    if (p->slots && p->slots[p->n - 1].passes) return p;
    em_pipeline_close(p);
    return NULL;
}

void em_pipeline_close(em_pipeline *p) {
    if (!p) return;
    for (int i = 0; p->slots && i < p->n; i++) em_passes_free(p->slots[i].passes);
    free(p->slots);
    free(p);
}

static slot *filling(const em_pipeline *p) { return &p->slots[(p->oldest + p->under_way) % p->n]; }

em_passes *em_pipeline_filling(em_pipeline *p) { return filling(p)->passes; }

bool em_pipeline_full(const em_pipeline *p) { return em_passes_padded(filling(p)->passes) >= p->enough; }

em_fed_row *em_pipeline_take_excess(em_pipeline *p) {
    em_passes *passes = filling(p)->passes;
    return em_passes_padded(passes) > p->capacity && em_passes_rows(passes) > 1 ? em_passes_take_last(passes) : NULL;
}

static bool give(em_pipeline *p, slot *s, em_error *err) {
    em_ranks *r = p->options.ranks;
    em_block *b = em_passes_block(s->passes);
    em_stretch next;
    for (size_t first = 0; first < b->n_rows; first += next.n) {
        next = em_block_cut(b, first, p->capacity);
        s->left++;
        if (!r->ops->give(r, b, next, &s->left, err)) return false;
    }
    return true;
}

bool em_pipeline_push(em_pipeline *p, em_error *err) {
    slot *s = filling(p);
    if (em_passes_rows(s->passes) == 0) return true;
    p->under_way++;
    return !p->options.ranks || give(p, s, err);
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
        if (s->left == 0) return 1;
        if (!wait) return 0;
        em_ranks_nap();
    }
}

int em_pipeline_next(em_pipeline *p, bool all, em_passes **out, em_error *err) {
    if (p->under_way == 0) return 0;
    slot *s = &p->slots[p->oldest];
    *out = s->passes;
    if (!p->options.ranks) return em_passes_run(s->passes, p->options.networks, err) ? 1 : -1;
    return wait_for_oldest(p, all || p->under_way == p->n, err);
}

void em_pipeline_release(em_pipeline *p) {
    em_passes_clear(p->slots[p->oldest].passes);
    p->oldest = (p->oldest + 1) % p->n;
    p->under_way--;
}

void em_pipeline_drop(em_pipeline *p) {
    while (p->under_way > 0) em_pipeline_release(p);
    em_passes_clear(filling(p)->passes);
}
