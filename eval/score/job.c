#include "eval/score/job.h"

#include <stdlib.h>

#include "common/size.h"
#include "eval/score/row_message.h"

struct em_runner {
    em_tools tools;
    em_score_buffers scores;
};

/* ---- what a job holds ---- */

bool em_job_open(em_job *j, const em_plan *plan, em_error *err) {
    *j = (em_job){.plan = plan, .passes = em_passes_new(plan, err)};
    return j->passes != NULL;
}

void em_job_clear(em_job *j) {
    for (int i = 0; i < j->n_digests; i++) em_buffer_free(&j->digests[i]);
    j->n_digests = 0;
    em_passes_clear(j->passes);
}

void em_job_free(em_job *j) {
    if (j->passes) em_job_clear(j);
    em_passes_free(j->passes);
    free(j->digests);
    *j = (em_job){0};
}

static bool reserve_digests(em_job *j, size_t n, em_error *err) {
    return em_grow(&j->digests, &j->digests_capacity, n, sizeof *j->digests, "a super-batch", err);
}

/* ---- running ---- */

em_runner *em_runner_new(const em_tools *tools, em_error *err) {
    em_runner *r = em_alloc(1, sizeof *r, "forward passes", err);
    if (!r) return NULL;
    r->tools = *tools;
    if (em_score_buffers_open(&r->scores, tools->plan, err)) return r;
    free(r);
    return NULL;
}

void em_runner_free(em_runner *r) {
    if (!r) return;
    em_score_buffers_free(&r->scores);
    free(r);
}

/* What the digests of a job depend on beside its rows. */
typedef struct context {
    em_common_predictions common;
    em_tokens_source tokens;
    em_digest_source source;
} context;

static void describe(const em_runner *r, const em_job *j, context *c) {
    const em_setup *s = r->tools.setup;
    const em_dataset *data = &s->datasets[j->origin.data_set];
    bool several = s->n_row_lengths > 1;
    *c = (context){.source = {.passes = j->passes, .scores = &r->scores}};
    if (several) {
        em_common_predictions_make(&c->common, r->tools.plan->protocol, data->pack, s->row_lengths,
                                   s->n_row_lengths, j->origin.total);
        c->source.common = &c->common;
    }
    if (r->tools.plan->tokens) {
        c->tokens = (em_tokens_source){.plan = r->tools.plan,
                                       .tokenizer = s->tokenizer,
                                       .names = s->names,
                                       .data_set = data->shown,
                                       .seq_len = several ? s->row_lengths[j->origin.length] : 0};
        c->source.tokens = &c->tokens;
    }
}

static bool digest_row(em_digest *d, const context *c, int row, em_buffer *out, em_error *err) {
    return em_digest_make(d, &c->source, row, err) &&
           em_digest_state(d, &(em_state){.into = out, .err = err});
}

/* Rows are shared out among threads; an error is that of any of them. */
static bool digest_rows(const em_runner *r, em_job *j, em_error *err) {
    context c;
    describe(r, j, &c);
#pragma omp parallel num_threads(r->tools.setup->threads)
    {
        em_error own = EM_ERROR_INIT;
        em_digest *d = em_digest_new(r->tools.plan, &own);
#pragma omp for schedule(dynamic, 1)
        for (int i = 0; i < j->n_digests; i++)
            if (own.status == EM_OK) digest_row(d, &c, i, &j->digests[i], &own);
        em_digest_free(d);
#pragma omp critical
        if (own.status != EM_OK && err->status == EM_OK) *err = own;
    }
    return err->status == EM_OK;
}

bool em_runner_run(em_runner *r, em_job *j, em_error *err) {
    int rows = em_passes_rows(j->passes);
    if (!em_passes_run(j->passes, r->tools.networks, &r->scores, err) ||
        !reserve_digests(j, (size_t)rows, err))
        return false;
    for (; j->n_digests < rows; j->n_digests++) j->digests[j->n_digests] = (em_buffer){0};
    return digest_rows(r, j, err);
}

/* Bytes from another process are not a file's: the run cannot go on. */
static bool bad_message(size_t bytes, const em_error *cause, em_error *err) {
    if (cause->status == EM_MACHINE) return *err = *cause, false;
    return em_fail(err, EM_MACHINE,
                   "a message of %zu bytes between ranks does not hold what it must; do all run "
                   "the same evalmask?",
                   bytes);
}

bool em_job_digest(const em_job *j, int row, em_digest *d, em_error *err) {
    const em_buffer *b = &j->digests[row];
    em_error cause = EM_ERROR_INIT;
    em_state io = {.from = (const unsigned char *)b->data, .left = b->length, .err = &cause};
    return (em_digest_state(d, &io) && em_state_end(&io)) || bad_message(b->length, &cause, err);
}

/* ---- between processes ---- */

static bool origin_state(em_origin *o, const em_setup *setup, em_state *io) {
    int64_t data_set = o->data_set, length = o->length;
    if (!em_state_within(io, &data_set, 0, setup->n_datasets - 1) ||
        !em_state_within(io, &length, 0, setup->n_row_lengths - 1))
        return false;
    o->data_set = (int)data_set;
    o->length = (int)length;
    return em_state_within(io, &o->total, 0, EM_UNKNOWN_TOTAL);
}

bool em_job_write_rows(const em_job *j, const em_setup *setup, em_buffer *out, em_error *err) {
    em_state io = {.into = out, .err = err};
    em_origin origin = j->origin;
    size_t rows = (size_t)em_passes_rows(j->passes);
    if (!origin_state(&origin, setup, &io) || !em_state_length(&io, &rows, 1)) return false;
    for (size_t i = 0; i < rows; i++) {
        em_fed_row *f = (em_fed_row *)em_passes_row(j->passes,
                                                    (int)i); /* writing leaves it as it is */
        if (!em_row_message(&f, j->plan->protocol, &io)) return false;
    }
    return true;
}

/* Passes take a row over. */
static bool read_row(em_job *j, em_state *io, em_error *err) {
    em_fed_row *f;
    if (em_row_message(&f, j->plan->protocol, io)) return em_passes_add(j->passes, f, err);
    em_fed_row_free(f);
    return false;
}

bool em_job_read_rows(em_job *j, const em_setup *setup, const em_buffer *in, em_error *err) {
    em_error cause = EM_ERROR_INIT;
    em_state io = {.from = (const unsigned char *)in->data, .left = in->length, .err = &cause};
    size_t rows = 0;
    bool good = origin_state(&j->origin, setup, &io) && em_state_length(&io, &rows, 1);
    for (size_t i = 0; good && i < rows; i++) good = read_row(j, &io, &cause);
    return (good && em_state_end(&io)) || bad_message(in->length, &cause, err);
}

bool em_job_read_digest(em_job *j, const em_buffer *in, em_error *err) {
    if (!reserve_digests(j, (size_t)j->n_digests + 1, err)) return false;
    j->digests[j->n_digests] = (em_buffer){0};
    return em_buffer_append(&j->digests[j->n_digests++], in->data, in->length, err);
}
