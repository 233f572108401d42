#include "eval/cluster/worker.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"

typedef struct task {
    em_job *job;
    em_error err;
} task;

struct em_worker {
    em_runner *runner;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    task tasks[EM_WORKER_JOBS]; /* a ring; the first `done` of the n are done */
    int first, n, done;
    bool stop;
};

static task *at(em_worker *w, int i) { return &w->tasks[(w->first + i) % EM_WORKER_JOBS]; }

static void *work(void *arg) {
    em_worker *w = arg;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (w->done == w->n && !w->stop) pthread_cond_wait(&w->changed, &w->lock);
        if (w->stop) break;
        task *t = at(w, w->done);
        pthread_mutex_unlock(&w->lock);
        em_runner_run(w->runner, t->job, &t->err);
        pthread_mutex_lock(&w->lock);
        w->done++;
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

em_worker *em_worker_start(em_runner *runner, em_error *err) {
    em_worker *w = runner ? em_alloc(1, sizeof *w, "a thread", err) : NULL;
    if (!w) return em_runner_free(runner), NULL;
    w->runner = runner;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    int failed = pthread_create(&w->thread, NULL, work, w);
    if (!failed) return w;
    em_fail(err, EM_MACHINE, "no thread can be started: %s", strerror(failed));
    em_runner_free(runner);
    free(w);
    return NULL;
}

void em_worker_give(em_worker *w, em_job *j) {
    pthread_mutex_lock(&w->lock);
    *at(w, w->n++) = (task){.job = j, .err = EM_ERROR_INIT};
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

int em_worker_take(em_worker *w, em_error *err) {
    pthread_mutex_lock(&w->lock);
    int got = w->done > 0;
    if (got) {
        if (at(w, 0)->err.status != EM_OK) {
            *err = at(w, 0)->err;
            got = -1;
        }
        w->first = (w->first + 1) % EM_WORKER_JOBS;
        w->n--;
        w->done--;
    }
    pthread_mutex_unlock(&w->lock);
    return got;
}

void em_worker_stop(em_worker *w) {
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->changed);
    em_runner_free(w->runner);
    free(w);
}
