/* Ranks that talk by MPI. Only the main thread does; rows are run by a thread of their own
 * (eval/cluster/worker.h), so that a rank answers while it computes. Each rank has up to
 * EM_WORKER_JOBS jobs: while it runs one, the next is on its way. */
#include <limits.h>
#include <mpi.h>
#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/size.h"
#include "eval/cluster/worker.h"
#include "eval/process/clock.h"
#include "eval/cluster/ranks_mpi.h"

enum { ROOT = 0, ANSWER_MILLISECONDS = 500 };

typedef enum tag {
    NOTHING,
    JOB,
    END,
    PING, /* from rank 0: rows; no more of them; are you there? */
    DIGEST,
    FAILED,
    BYE,
    PONG /* to it: of the oldest job's next row; an em_error; the last message; yes */
} tag;

typedef struct given {
    em_job *job;
    bool *done;
} given;

/* What rank 0 knows of a rank. */
typedef struct peer {
    char host[64];
    given jobs[EM_WORKER_JOBS]; /* a ring of n, the oldest first */
    int first, n;
    em_buffer messages[EM_WORKER_JOBS]; /* of those jobs, until they are sent */
    MPI_Request sent[EM_WORKER_JOBS];
    bool answered, gone;
} peer;

typedef struct mpi_ranks {
    em_ranks base;
    em_buffer in; /* the message received last */
    const em_setup *setup;
    em_worker *worker;
    peer *peers;  /* [n] of rank 0, itself among them */
    given *queue; /* [queue_n], to be given from queue_first on */
    size_t queue_first, queue_n, queue_capacity;
    bool agreed, lost; /* lost: a rank is gone, and MPI cannot be ended in order */
} mpi_ranks;

/* ---- messages ---- */

/* The next message that is there, into m->in. A rank without memory for it cannot go on, and the
 * others not without it. */
static tag receive(mpi_ranks *m, int *from) {
    em_error err = EM_ERROR_INIT;
    MPI_Status status;
    int there = 0, bytes = 0;
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &there, &status);
    if (!there) return NOTHING;
    MPI_Get_count(&status, MPI_BYTE, &bytes);
    em_buffer_clear(&m->in);
    if (!em_buffer_reserve(&m->in, (size_t)bytes + 1, &err)) {
        fprintf(stderr, "evalmask: rank %d: %s\n", m->base.rank, err.text);
        MPI_Abort(MPI_COMM_WORLD, EM_MACHINE);
    }
    MPI_Recv(m->in.data, bytes, MPI_BYTE, status.MPI_SOURCE, status.MPI_TAG, MPI_COMM_WORLD,
             MPI_STATUS_IGNORE);
    m->in.length = (size_t)bytes;
    *from = status.MPI_SOURCE;
    return (tag)status.MPI_TAG;
}

static void tell(int rank, tag what, const void *data, size_t n) {
    MPI_Send(data, (int)n, MPI_BYTE, rank, (int)what, MPI_COMM_WORLD);
}

/* MPI counts a message's bytes in an int. */
static bool fits(const em_buffer *message, const char *what, em_error *err) {
    return message->length <= INT_MAX ||
           em_fail(err, EM_MACHINE,
                   "%s of %zu bytes does not fit into one message between ranks: lower -T, or ask "
                   "for fewer alphas, depths "
                   "and label schemes at once",
                   what, message->length);
}

/* ---- agreeing ---- */

typedef struct verdict {
    em_error err;
    int64_t capacity, job;
} verdict;

static bool agree(em_ranks *r, em_rank_info *info, bool mixed, em_buffer *devices, em_error *err) {
    mpi_ranks *m = (mpi_ranks *)r;
    verdict v = {.err = EM_ERROR_INIT};
    gethostname(info->host, sizeof info->host - 1);
    snprintf(info->version, sizeof info->version, "%s", EM_VERSION);
    em_rank_info *infos = r->rank == ROOT ? em_alloc((size_t)r->n, sizeof *infos, "ranks", &v.err)
                                          : NULL;
    if (r->rank == ROOT && !infos) MPI_Abort(MPI_COMM_WORLD, EM_MACHINE);
    MPI_Gather(info, sizeof *info, MPI_BYTE, infos, sizeof *info, MPI_BYTE, ROOT, MPI_COMM_WORLD);
    if (r->rank == ROOT) {
        for (int i = 0; i < r->n; i++)
            memcpy(m->peers[i].host, infos[i].host, sizeof infos[i].host);
        if (em_rank_infos_check(infos, r->n, mixed, devices, &v.err))
            v.capacity = infos[0].capacity, v.job = infos[0].job;
        free(infos);
    }
    MPI_Bcast(&v, sizeof v, MPI_BYTE, ROOT, MPI_COMM_WORLD);
    if (v.err.status != EM_OK) return *err = v.err, false;
    info->capacity = v.capacity;
    info->job = v.job;
    m->agreed = true;
    return true;
}

/* ---- rank 0 ---- */

static bool start(em_ranks *r, const em_tools *tools, em_error *err) {
    mpi_ranks *m = (mpi_ranks *)r;
    m->setup = tools->setup;
    return (m->worker = em_worker_start(em_runner_new(tools, err), err)) != NULL;
}

static bool send_job(mpi_ranks *m, int rank, const given *g, em_error *err) {
    peer *p = &m->peers[rank];
    int slot = (p->first + p->n) % EM_WORKER_JOBS;
    p->jobs[slot] = *g;
    p->n++;
    if (rank == ROOT) return em_worker_give(m->worker, g->job), true;
    MPI_Wait(&p->sent[slot], MPI_STATUS_IGNORE); /* its digests are back, so it has been received */
    em_buffer *message = &p->messages[slot];
    em_buffer_clear(message);
    if (!em_job_write_rows(g->job, m->setup, message, err) || !fits(message, "a super-batch", err))
        return false;
    MPI_Isend(message->data, (int)message->length, MPI_BYTE, rank, JOB, MPI_COMM_WORLD,
              &p->sent[slot]);
    return true;
}

/* The rank with the fewest jobs, rank 0 last: it reads and counts beside. */
static int least_busy(const mpi_ranks *m) {
    int best = m->base.n - 1;
    for (int i = m->base.n - 1; i >= 0; i--)
        if (m->peers[i].n < m->peers[best].n) best = i;
    return best;
}

static bool give_out(mpi_ranks *m, em_error *err) {
    while (m->queue_first < m->queue_n) {
        int rank = least_busy(m);
        if (m->peers[rank].n == EM_WORKER_JOBS) return true;
        if (!send_job(m, rank, &m->queue[m->queue_first++], err)) return false;
    }
    m->queue_first = m->queue_n = 0;
    return true;
}

static bool give(em_ranks *r, em_job *j, bool *done, em_error *err) {
    mpi_ranks *m = (mpi_ranks *)r;
    if (!em_grow(&m->queue, &m->queue_capacity, m->queue_n + 1, sizeof *m->queue,
                 "rows that wait for a rank", err))
        return false;
    m->queue[m->queue_n++] = (given){j, done};
    return give_out(m, err);
}

static void oldest_done(peer *p) {
    *p->jobs[p->first].done = true;
    p->first = (p->first + 1) % EM_WORKER_JOBS;
    p->n--;
}

static bool take_digest(mpi_ranks *m, int from, em_error *err) {
    peer *p = &m->peers[from];
    em_job *j = p->jobs[p->first].job;
    if (!em_job_read_digest(j, &m->in, err)) return false;
    if (j->n_digests == em_passes_rows(j->passes)) oldest_done(p);
    return true;
}

static bool worker_failed(const mpi_ranks *m, int from, em_error *err) {
    em_error theirs = EM_ERROR_INIT;
    if (m->in.length == sizeof theirs) memcpy(&theirs, m->in.data, sizeof theirs);
    if (theirs.status != EM_MACHINE) return *err = theirs, false;
    return em_fail_at(err, EM_MACHINE, theirs.source, theirs.line, theirs.byte,
                      "%s (rank %d on %s)", theirs.text, from, m->peers[from].host);
}

static bool hear(mpi_ranks *m, em_error *err) {
    int from;
    for (tag what; (what = receive(m, &from)) != NOTHING;) {
        if (what == DIGEST && !take_digest(m, from, err)) return false;
        if (what == FAILED) return worker_failed(m, from, err);
    }
    return true;
}

static bool poll(em_ranks *r, em_error *err) {
    mpi_ranks *m = (mpi_ranks *)r;
    if (!hear(m, err)) return false;
    int got;
    while ((got = em_worker_take(m->worker, err)) > 0) oldest_done(&m->peers[ROOT]);
    return got == 0 && give_out(m, err);
}

/* Whether all are there; what else comes meanwhile is of a run that ends anyway. */
static bool all_answered(mpi_ranks *m) {
    int from, n = 1;
    for (tag what; (what = receive(m, &from)) != NOTHING;)
        if (what == PONG) m->peers[from].answered = true;
    for (int i = 1; i < m->base.n; i++) n += m->peers[i].answered;
    return n == m->base.n;
}

static bool check(em_ranks *r, em_error *err) {
    mpi_ranks *m = (mpi_ranks *)r;
    MPI_Request asked;
    for (int i = 1; i < r->n; i++) {
        MPI_Isend(NULL, 0, MPI_BYTE, i, PING, MPI_COMM_WORLD, &asked);
        MPI_Request_free(&asked);
    }
    double until = em_seconds() + ANSWER_MILLISECONDS * 1e-3;
    while (!all_answered(m))
        if (em_seconds() < until) em_pause();
        else break;
    for (int i = 1; i < r->n; i++) {
        if (m->peers[i].answered) continue;
        m->lost = true;
        return em_fail(err, EM_MACHINE,
                       "rank %d on %s died: was it killed, or did it run out of memory? What a "
                       "--journal has is kept, and the same command goes on",
                       i, m->peers[i].host);
    }
    return true;
}

/* ---- the other ranks ---- */

typedef struct workplace {
    mpi_ranks *m;
    em_job jobs[EM_WORKER_JOBS];
    unsigned given, taken;
    bool failed; /* rank 0 knows, and ends the run */
} workplace;

static void report_failure(workplace *b, const em_error *err) {
    tell(ROOT, FAILED, err, sizeof *err);
    b->failed = true;
}

static bool begin_job(workplace *b, em_error *err) {
    em_job *j = &b->jobs[b->given % EM_WORKER_JOBS];
    em_job_clear(j);
    if (!em_job_read_rows(j, b->m->setup, &b->m->in, err)) return false;
    em_worker_give(b->m->worker, j);
    b->given++;
    return true;
}

static bool end_job(workplace *b, em_error *err) {
    em_job *j = &b->jobs[b->taken++ % EM_WORKER_JOBS];
    for (int i = 0; i < j->n_digests; i++) {
        if (!fits(&j->digests[i], "what a row comes to", err)) return false;
        tell(ROOT, DIGEST, j->digests[i].data, j->digests[i].length);
    }
    return true;
}

/* Until rank 0 has no more. */
static void serve(workplace *b) {
    em_error err = EM_ERROR_INIT;
    for (int from;;) {
        tag what = receive(b->m, &from);
        if (what == END) return;
        if (what == PING) tell(ROOT, PONG, NULL, 0);
        if (what == JOB && !b->failed) begin_job(b, &err);
        int got = b->failed ? 0 : em_worker_take(b->m->worker, &err);
        if (got > 0) end_job(b, &err);
        if (err.status != EM_OK && !b->failed) report_failure(b, &err);
        if (what == NOTHING && got == 0) em_pause();
    }
}

static bool open_workplace(workplace *b, const em_tools *tools, em_error *err) {
    b->m->setup = tools->setup;
    for (int i = 0; i < EM_WORKER_JOBS; i++)
        if (!em_job_open(&b->jobs[i], tools->plan, err)) return false;
    return (b->m->worker = em_worker_start(em_runner_new(tools, err), err)) != NULL;
}

static bool work(em_ranks *r, const em_tools *tools, volatile sig_atomic_t *stop, em_error *err) {
    workplace b = {.m = (mpi_ranks *)r};
    bool good = open_workplace(&b, tools, err);
    if (!good) report_failure(&b, err);
    serve(&b);
    *stop = 1;
    em_worker_stop(b.m->worker);
    b.m->worker = NULL;
    for (int i = 0; i < EM_WORKER_JOBS; i++) em_job_free(&b.jobs[i]);
    return good;
}

/* ---- opening and closing ---- */

/* A core that k ranks of the node may use counts 1/k for each: whole nodes and bound ranks are
 * shared out alike. */
static int share_of_cores(MPI_Comm node) {
    enum { CORES = CPU_SETSIZE };
    cpu_set_t own;
    unsigned char mine[CORES] = {0};
    int users[CORES], counts[CORES];
    double share = 0;
    CPU_ZERO(&own);
    sched_getaffinity(0, sizeof own, &own);
    for (int i = 0; i < CORES; i++) counts[i] = mine[i] = CPU_ISSET(i, &own) != 0;
    MPI_Allreduce(counts, users, CORES, MPI_INT, MPI_SUM, node);
    for (int i = 0; i < CORES; i++)
        if (mine[i]) share += 1.0 / users[i];
    return share < 1 ? 1 : (int)(share + 1e-6);
}

static void find_node(em_ranks *r) {
    MPI_Comm node;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    MPI_Comm_rank(node, &r->node_rank);
    MPI_Comm_size(node, &r->node_n);
    r->threads = share_of_cores(node);
    if (getenv("OMP_NUM_THREADS")) r->threads = omp_get_max_threads();
    MPI_Comm_free(&node);
}

/* Takes in what the others still send until each has said its last. */
static void dismiss(mpi_ranks *m) {
    int from, there = m->base.n - 1;
    for (int i = 1; i < m->base.n; i++) tell(i, END, NULL, 0);
    while (there > 0) {
        tag what = receive(m, &from);
        there -= what == BYE;
        if (what == NOTHING) em_pause();
    }
    for (int i = 1; i < m->base.n; i++)
        MPI_Waitall(EM_WORKER_JOBS, m->peers[i].sent, MPI_STATUSES_IGNORE);
}

static void close_ranks(em_ranks *r) {
    mpi_ranks *m = (mpi_ranks *)r;
    em_worker_stop(m->worker);
    if (m->agreed && r->rank == ROOT && !m->lost) dismiss(m);
    if (m->agreed && r->rank != ROOT) tell(ROOT, BYE, NULL, 0);
    if (!m->lost) MPI_Finalize();
    for (int i = 0; m->peers && i < r->n; i++)
        for (int k = 0; k < EM_WORKER_JOBS; k++) em_buffer_free(&m->peers[i].messages[k]);
    em_buffer_free(&m->in);
    free(m->peers);
    free(m->queue);
    free(m);
}

static const em_ranks_ops ops = {.agree = agree,
                                 .start = start,
                                 .give = give,
                                 .poll = poll,
                                 .check = check,
                                 .work = work,
                                 .close = close_ranks};

em_ranks *em_ranks_mpi(em_error *err) {
    int provided;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS ||
        provided < MPI_THREAD_FUNNELED) {
        em_fail(err, EM_MACHINE, "MPI cannot be used beside threads (MPI_THREAD_FUNNELED)");
        return NULL;
    }
    mpi_ranks *m = em_alloc(1, sizeof *m, "ranks", err);
    if (!m) return NULL;
    m->base.ops = &ops;
    MPI_Comm_rank(MPI_COMM_WORLD, &m->base.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &m->base.n);
    find_node(&m->base);
    m->peers = em_alloc((size_t)m->base.n, sizeof *m->peers, "ranks", err);
    if (!m->peers) return free(m), NULL;
    for (int i = 0; i < m->base.n; i++)
        for (int k = 0; k < EM_WORKER_JOBS; k++) m->peers[i].sent[k] = MPI_REQUEST_NULL;
    return &m->base;
}
