#include "loader/loader.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/size.h"
#include "loader/groups.h"
#include "loader/reader.h"

/* A ring of slots. The reading thread fills slot `produced`, a worker takes slot `claimed`, the
 * caller gets slot `delivered`: three counters that follow one another round the ring, so order is
 * kept without sorting. */
#define SLOTS 256
#define BYTES_IN_FLIGHT \
    ((size_t)16 << 20) /* texts and tokens in the ring; a longer document travels alone */
#define KEEP_BYTES ((size_t)64 << 10) /* a slot's buffers that grew beyond this are given back */

typedef struct slot {
    em_record record;
    em_place place;
    em_tokens tokens;
    int32_t group;
    uint64_t bytes;                  /* of the text */
    size_t cost;                     /* counted in bytes_in_flight */
    int64_t bad, filtered, position; /* up to this document */
    bool done;                       /* tokenized, or failed */
    em_error error;
} slot;

typedef struct worker {
    em_loader *loader;
    em_tokenizer_scratch *scratch;
    pthread_t thread;
} worker;

struct em_loader {
    em_loader_options options;
    em_reader *reader;
    em_groups groups; /* grown by the reading thread */
    pthread_t reading;
    worker *workers;
    int n_running; /* workers whose thread was started */
    bool reading_started;

    pthread_mutex_t lock; /* guards what follows, and slots' ownership */
    pthread_cond_t work, done, room;
    int64_t produced, claimed, delivered;
    size_t bytes_in_flight;
    bool stop;                             /* the caller closes */
    bool ended;                            /* nothing more will be produced */
    double read_seconds, tokenize_seconds; /* of the threads' processor time */
    em_error end_error;                    /* why, or EM_OK */
    int64_t end_bad, end_filtered, end_position;
    slot slots[SLOTS];

    /* the caller's side */
    bool holding; /* slot `delivered` is the caller's */
    em_document document;
    em_loader_counts counts;
    int32_t groups_seen;
    em_error failed;
};

static slot *slot_of(em_loader *l, int64_t sequence) { return &l->slots[sequence % SLOTS]; }

static double clock_seconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double thread_seconds(void) { return clock_seconds(CLOCK_THREAD_CPUTIME_ID); }
static double wall_seconds(void) { return clock_seconds(CLOCK_MONOTONIC); }

/* ---- the reading thread ---- */

static bool is_wanted(const em_loader *l, const em_record *r) {
    for (int i = 0; i < l->options.n_subsets; i++) {
        size_t n = strlen(l->options.subsets[i]);
        if (n == r->group.length && (n == 0 || !memcmp(l->options.subsets[i], r->group.data, n)))
            return true;
    }
    return l->options.n_subsets == 0;
}

static bool has_room(const em_loader *l, size_t cost) {
    if (l->produced == l->delivered) return true;
    return l->produced - l->delivered < SLOTS && l->bytes_in_flight + cost <= BYTES_IN_FLIGHT;
}

/* Puts the record into the ring and takes that slot's old buffers in exchange. false: the loader
 * stops. */
static bool publish(em_loader *l, em_record *record, const em_place *place, int32_t group,
                    int64_t filtered) {
    size_t cost = record->text.length;
    int64_t position = em_reader_position(l->reader);
    double seconds = thread_seconds();
    pthread_mutex_lock(&l->lock);
    l->read_seconds = seconds;
    while (!l->stop && !has_room(l, cost)) pthread_cond_wait(&l->room, &l->lock);
    bool go_on = !l->stop;
    if (go_on) {
        slot *s = slot_of(l, l->produced++);
        em_record old = s->record;
        s->record = *record;
        *record = old;
        s->place = *place;
        s->group = group;
        s->bytes = s->record.text.length;
        s->cost = cost;
        s->bad = em_reader_bad(l->reader);
        s->filtered = filtered;
        s->position = position;
        l->bytes_in_flight += cost;
        pthread_cond_signal(&l->work);
    }
    pthread_mutex_unlock(&l->lock);
    return go_on;
}

static void read_records(em_loader *l, int64_t *filtered, em_error *err) {
    em_record record = {0};
    em_place place;
    int64_t accepted = 0;
    while (em_reader_next(l->reader, &record, &place, err) > 0) {
        if (!is_wanted(l, &record)) {
            ++*filtered;
            continue;
        }
        size_t n = record.group.length;
        int32_t group = em_groups_add(&l->groups, n ? record.group.data : "", n, err);
        if (group < 0) {
            em_error_place(err, place.path, place.record, place.byte);
            break;
        }
        if (record.group.capacity > KEEP_BYTES)
            em_buffer_free(&record.group); /* held what a later duplicate replaced */
        if (!publish(l, &record, &place, group, *filtered) || ++accepted == l->options.max_docs)
            break;
    }
    em_record_free(&record);
}

static void *run_reading(void *argument) {
    em_loader *l = argument;
    em_error err = EM_ERROR_INIT;
    int64_t filtered = 0;
    read_records(l, &filtered, &err);
    double seconds = thread_seconds();
    pthread_mutex_lock(&l->lock);
    l->read_seconds = seconds;
    l->ended = true;
    l->end_error = err;
    l->end_bad = em_reader_bad(l->reader);
    l->end_filtered = filtered;
    l->end_position = em_reader_position(l->reader);
    pthread_cond_broadcast(&l->work);
    pthread_cond_signal(&l->done);
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* ---- the workers ---- */

static bool push_added(em_tokens *t, const int32_t *ids, int n, em_error *err) {
    for (int i = 0; i < n; i++)
        if (!em_tokens_push(t, ids[i], 0, err)) return false;
    return true;
}

static void tokenize_slot(const em_loader *l, em_tokenizer_scratch *scratch, slot *s) {
    const em_loader_options *o = &l->options;
    const em_buffer *text = &s->record.text;
    em_error_init(&s->error);
    s->tokens.n = 0;
    bool good = push_added(&s->tokens, o->before, o->n_before, &s->error) &&
                em_tokenize(o->tokenizer, scratch, text->data, text->length, &s->tokens,
                            &s->error) &&
                push_added(&s->tokens, o->after, o->n_after, &s->error);
    if (!good) em_error_place(&s->error, s->place.path, s->place.record, s->place.byte);
    if (text->capacity > KEEP_BYTES) em_buffer_free(&s->record.text);
}

static void *run_worker(void *argument) {
    worker *w = argument;
    em_loader *l = w->loader;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!l->stop && !l->ended && l->claimed == l->produced)
            pthread_cond_wait(&l->work, &l->lock);
        if (l->stop || l->claimed == l->produced) break;
        int64_t sequence = l->claimed++;
        slot *s = slot_of(l, sequence);
        pthread_mutex_unlock(&l->lock);
        double begin = thread_seconds();
        tokenize_slot(l, w->scratch, s);
        double seconds = thread_seconds() - begin;
        size_t cost = s->tokens.n * (sizeof *s->tokens.ids + sizeof *s->tokens.bytes);
        pthread_mutex_lock(&l->lock);
        l->tokenize_seconds += seconds;
        s->done = true;
        l->bytes_in_flight += cost - s->cost;
        if (cost < s->cost) pthread_cond_signal(&l->room);
        s->cost = cost;
        if (sequence == l->delivered) pthread_cond_signal(&l->done);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* ---- opening and closing ---- */

static em_reader *open_reader(const em_loader_options *o, em_error *err) {
    em_reader_options r = {.paths = o->paths,
                           .n_paths = o->n_paths,
                           .keys = o->keys,
                           .skip_bad_records = o->skip_bad_records,
                           .source = o->source};
    return em_reader_open(&r, err);
}

/* Signals are for the thread that conducts, which knows what to do about them. */
static bool start_threads(em_loader *l, em_error *err) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    l->reading_started = !pthread_create(&l->reading, NULL, run_reading, l);
    for (bool good = l->reading_started; good && l->n_running < l->options.workers;
         l->n_running += good)
        good = !pthread_create(&l->workers[l->n_running].thread, NULL, run_worker,
                               &l->workers[l->n_running]);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return l->n_running == l->options.workers ||
           em_fail(err, EM_MACHINE,
                   "cannot start %d threads to tokenize: ask for fewer with --threads",
                   l->options.workers);
}

static bool prepare(em_loader *l, em_error *err) {
    const em_loader_options *o = &l->options;
    if (!em_groups_init(&l->groups, err) || !(l->reader = open_reader(o, err))) return false;
    l->counts.size = em_reader_size(l->reader);
    l->workers = em_alloc((size_t)o->workers, sizeof *l->workers, "tokenizer threads", err);
    if (!l->workers) return false;
    for (int i = 0; i < o->workers; i++) {
        l->workers[i].loader = l;
        if (!(l->workers[i].scratch = em_tokenizer_scratch_new(o->tokenizer, err))) return false;
    }
    return start_threads(l, err);
}

em_loader *em_loader_open(const em_loader_options *options, em_error *err) {
    if (options->workers < 1) {
        em_fail(err, EM_USAGE, "the loader needs at least one thread to tokenize");
        return NULL;
    }
    em_loader *l = em_alloc(1, sizeof *l, "the loader", err);
    if (!l) return NULL;
    l->options = *options;
    em_error_init(&l->failed);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->work, NULL);
    pthread_cond_init(&l->done, NULL);
    pthread_cond_init(&l->room, NULL);
    if (prepare(l, err)) return l;
    em_loader_close(l);
    return NULL;
}

static void stop_threads(em_loader *l) {
    if (!l->reading_started) return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->work);
    pthread_cond_broadcast(&l->room);
    pthread_mutex_unlock(&l->lock);
    em_reader_interrupt(l->reader);
    pthread_join(l->reading, NULL);
    for (int i = 0; i < l->n_running; i++) pthread_join(l->workers[i].thread, NULL);
}

void em_loader_close(em_loader *l) {
    if (!l) return;
    stop_threads(l);
    for (int i = 0; l->workers && i < l->options.workers; i++)
        em_tokenizer_scratch_free(l->workers[i].scratch);
    for (int i = 0; i < SLOTS; i++) {
        em_record_free(&l->slots[i].record);
        em_tokens_free(&l->slots[i].tokens);
    }
    em_reader_close(l->reader);
    em_groups_free(&l->groups);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->work);
    pthread_cond_destroy(&l->done);
    pthread_cond_destroy(&l->room);
    free(l->workers);
    free(l);
}

/* ---- the caller's side ---- */

/* Gives the slot that the caller held back to the ring. */
static void release(em_loader *l) {
    slot *s = slot_of(l, l->delivered);
    const em_tokens *t = &s->tokens;
    size_t held = t->ids_capacity * sizeof *t->ids + t->bytes_capacity * sizeof *t->bytes;
    if (held > KEEP_BYTES) em_tokens_free(&s->tokens);
    pthread_mutex_lock(&l->lock);
    s->done = false;
    l->bytes_in_flight -= s->cost;
    l->delivered++;
    pthread_cond_signal(&l->room);
    pthread_mutex_unlock(&l->lock);
    l->holding = false;
}

static bool stopped(const em_loader *l) { return l->options.stop && *l->options.stop; }

/* A tenth of a second at most: a signal handler cannot wake a condition. */
static void wait_a_little(em_loader *l) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 100000000;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    pthread_cond_timedwait(&l->done, &l->lock, &until);
}

/* Waits for the next slot in order; NULL at the end, or when the caller was told to stop. */
static slot *wait_for_slot(em_loader *l) {
    slot *s = slot_of(l, l->delivered);
    double begin = wall_seconds();
    pthread_mutex_lock(&l->lock);
    while (!s->done && !(l->ended && l->delivered == l->produced) && !stopped(l)) wait_a_little(l);
    l->counts.wait_seconds += wall_seconds() - begin;
    bool done = s->done, ended = l->ended && l->delivered == l->produced;
    pthread_mutex_unlock(&l->lock);
    if (!done && !ended) em_fail(&l->failed, EM_INTERRUPTED, "interrupted while waiting for data");
    return done ? s : NULL;
}

static void set_progress(em_loader *l, int64_t bad, int64_t filtered, int64_t position) {
    l->counts.bad = bad;
    l->counts.filtered = filtered;
    l->counts.position = position;
}

static void count_twice(em_loader *l, const em_tokens *t) {
    const em_loader_options *o = &l->options;
    size_t around = (size_t)(o->n_before + o->n_after);
    if (t->n == around) return;
    l->counts.twice_before += o->n_before && t->ids[o->n_before] == o->before[o->n_before - 1];
    l->counts.twice_after += o->n_after && t->ids[t->n - (size_t)o->n_after - 1] == o->after[0];
}

static void hand_out(em_loader *l, slot *s) {
    const em_loader_options *o = &l->options;
    l->document = (em_document){.index = l->delivered,
                                .group = s->group,
                                .n_before = o->n_before,
                                .n_after = o->n_after,
                                .tokens = s->tokens,
                                .bytes = s->bytes};
    l->holding = true;
    l->counts.documents++;
    l->counts.empty += s->bytes == 0;
    l->counts.bytes += (int64_t)s->bytes;
    l->counts.tokens += (int64_t)s->tokens.n;
    count_twice(l, &s->tokens);
    set_progress(l, s->bad, s->filtered, s->position);
    if (s->group >= l->groups_seen) l->groups_seen = s->group + 1;
}

static int give_error(const em_loader *l, em_error *err) {
    if (err && err->status == EM_OK) *err = l->failed;
    return -1;
}

int em_loader_next(em_loader *l, const em_document **out, em_error *err) {
    if (l->failed.status != EM_OK) return give_error(l, err);
    if (l->holding) release(l);
    slot *s = wait_for_slot(l);
    if (l->failed.status != EM_OK) return give_error(l, err);
    if (!s) {
        set_progress(l, l->end_bad, l->end_filtered, l->end_position);
        l->failed = l->end_error;
    } else if (s->error.status != EM_OK) {
        l->failed = s->error;
    }
    if (l->failed.status != EM_OK) return give_error(l, err);
    if (!s) return 0;
    hand_out(l, s);
    *out = &l->document;
    return 1;
}

void em_loader_counts_get(em_loader *l, em_loader_counts *out) {
    *out = l->counts;
    pthread_mutex_lock(&l->lock);
    out->read_seconds = l->read_seconds;
    out->tokenize_seconds = l->tokenize_seconds;
    pthread_mutex_unlock(&l->lock);
    if (out->bad) memcpy(out->first_bad, em_reader_first_bad(l->reader), sizeof out->first_bad);
}

const char *em_loader_group_name(const em_loader *l, int32_t group) {
    return l->groups.names[group];
}
int32_t em_loader_groups(const em_loader *l) { return l->groups_seen; }
