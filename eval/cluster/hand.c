#include "eval/cluster/hand.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"

typedef struct task {
    em_job *job;
    em_error err;
} task;

struct em_hand {
    em_runner *runner;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    task tasks[EM_HAND_JOBS]; /* a ring; the first `done` of the n are done */
    int first, n, done;
    bool stop;
};

static task *at(em_hand *h, int i) { return &h->tasks[(h->first + i) % EM_HAND_JOBS]; }

static void *work(void *hand) {
    em_hand *h = hand;
    pthread_mutex_lock(&h->lock);
    for (;;) {
        while (h->done == h->n && !h->stop) pthread_cond_wait(&h->changed, &h->lock);
        if (h->stop) break;
        task *t = at(h, h->done);
        pthread_mutex_unlock(&h->lock);
        em_runner_run(h->runner, t->job, &t->err);
        pthread_mutex_lock(&h->lock);
        h->done++;
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

em_hand *em_hand_start(em_runner *runner, em_error *err) {
    em_hand *h = runner ? em_alloc(1, sizeof *h, "a thread", err) : NULL;
    if (!h) return em_runner_free(runner), NULL;
    h->runner = runner;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->changed, NULL);
    int failed = pthread_create(&h->thread, NULL, work, h);
    if (!failed) return h;
    em_fail(err, EM_MACHINE, "no thread can be started: %s", strerror(failed));
    em_runner_free(runner);
    free(h);
    return NULL;
}

void em_hand_give(em_hand *h, em_job *j) {
    pthread_mutex_lock(&h->lock);
    *at(h, h->n++) = (task){.job = j, .err = EM_ERROR_INIT};
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
    em_runner_free(h->runner);
    free(h);
}
