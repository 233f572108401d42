#include "eval/hand.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"

typedef struct job { em_block *block; em_stretch rows; em_error err; } job;

struct em_hand {
    em_network *const *networks;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    job jobs[EM_HAND_JOBS];             /* a ring; the first `done` of the n are done */
    int first, n, done;
    bool stop;
};

static job *at(em_hand *h, int i) { return &h->jobs[(h->first + i) % EM_HAND_JOBS]; }

static void *work(void *hand) {
    em_hand *h = hand;
    pthread_mutex_lock(&h->lock);
    for (;;) {
        while (h->done == h->n && !h->stop) pthread_cond_wait(&h->changed, &h->lock);
        if (h->stop) break;
        job *j = at(h, h->done);
        pthread_mutex_unlock(&h->lock);
        em_block_run(j->block, j->rows, h->networks, &j->err);
        pthread_mutex_lock(&h->lock);
        h->done++;
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

em_hand *em_hand_start(em_network *const *networks, em_error *err) {
    em_hand *h = em_alloc(1, sizeof *h, "a thread", err);
    if (!h) return NULL;
    h->networks = networks;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->changed, NULL);
    int failed = pthread_create(&h->thread, NULL, work, h);
    if (!failed) return h;
    em_fail(err, EM_MACHINE, "no thread can be started: %s", strerror(failed));
    free(h);
    return NULL;
}

void em_hand_give(em_hand *h, em_block *b, em_stretch rows) {
    pthread_mutex_lock(&h->lock);
    *at(h, h->n++) = (job){.block = b, .rows = rows, .err = EM_ERROR_INIT};
    pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

int em_hand_take(em_hand *h, em_error *err) {
    pthread_mutex_lock(&h->lock);
    int got = h->done > 0;
    if (got) {
        if (at(h, 0)->err.status != EM_OK) {
            *err = at(h, 0)->err;
            got = -1;
        }
        h->first = (h->first + 1) % EM_HAND_JOBS;
        h->n--;
        h->done--;
    }
    pthread_mutex_unlock(&h->lock);
    return got;
}

void em_hand_stop(em_hand *h) {
    if (!h) return;
    pthread_mutex_lock(&h->lock);
    h->stop = true;
    pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->lock);
    pthread_join(h->thread, NULL);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->changed);
    free(h);
}
