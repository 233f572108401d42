#include "eval/run/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/size.h"
#include "eval/setup/identity.h"
#include "eval/process/clock.h"

enum {
    SECONDS = 10
}; /* between records: what a crash costs at most, beside the super-batch at hand */

struct em_checkpoints {
    em_journal *journal;
    int64_t every;  /* rows; 0: by the clock */
    double written; /* when, and with how many rows, the last record was */
    int64_t rows;
    em_buffer record;
};

/* ---- one record ---- */

void em_checkpoint_free(em_checkpoint *c) {
    for (size_t i = 0; i < c->n_groups; i++) free(c->groups[i]);
    free(c->groups);
    c->groups = NULL;
    c->n_groups = 0;
}

static bool groups_state(em_checkpoint *c, em_state *io) {
    size_t n = c->n_groups;
    if (!em_state_length(io, &n, 8)) return false;
    if (!io->into) {
        if (!(c->groups = em_alloc(n, sizeof *c->groups, "subsets", io->err)))
            return io->failed = true, false;
        c->n_groups = n;
    }
    for (size_t i = 0; i < n; i++)
        if (!em_state_string(io, &c->groups[i])) return false;
    return true;
}

static bool data_set_state(em_data_set *d, em_state *io) {
    em_data_totals *t = &d->totals;
    bool good = EM_STATE(io, d->first_bad) && EM_STATE(io, t->documents) &&
                EM_STATE(io, t->empty_documents) && EM_STATE(io, t->bad_records) &&
                EM_STATE(io, t->filtered_records) && EM_STATE(io, t->tokens) &&
                EM_STATE(io, t->bytes) && EM_STATE(io, t->rows);
    return good && (!d->first_bad[sizeof d->first_bad - 1] || em_state_bad(io));
}

bool em_checkpoint_state(em_checkpoint *c, em_state *io) {
    if (!em_state_flag(io, &c->finished) || !em_state_within(io, &c->rows, 0, INT64_MAX) ||
        !em_tally_state(c->tally, io))
        return false;
    if (c->finished) return data_set_state(c->data_set, io) && groups_state(c, io);
    return !c->sidecar || em_sidecar_state(c->sidecar, io);
}

static bool outputs_state(em_outputs_point *p, em_state *io) {
    return em_state_within(io, &p->tokens.length, 0, INT64_MAX) &&
           em_state_within(io, &p->documents.length, 0, INT64_MAX) &&
           EM_STATE(io, p->tokens.check) && EM_STATE(io, p->documents.check);
}

/* ---- the run's ---- */

em_input_paths em_checkpoints_inputs(const em_settings *settings) {
    return (em_input_paths){.tokenizer = settings->models.tokenizer,
                            .config = settings->experiment ? settings->experiment->path : NULL,
                            .baseline = settings->output.baseline};
}

em_checkpoints *em_checkpoints_open(const em_settings *settings, const em_setup *setup,
                                    const em_backend *backend, em_error *err) {
    em_checkpoints *c = em_alloc(1, sizeof *c, "the journal", err);
    if (!c) return NULL;
    em_buffer identity = {0};
    c->every = settings->output.journal_rows;
    c->written = em_seconds();
    em_identity_source source = {settings->given.data, em_checkpoints_inputs(settings)};
    if (em_identity_make(&identity, &source, setup, backend, err))
        c->journal = em_journal_open(settings->output.journal, &identity, err);
    em_buffer_free(&identity);
    if (c->journal) return c;
    em_checkpoints_close(c);
    return NULL;
}

void em_checkpoints_close(em_checkpoints *c) {
    if (!c) return;
    em_journal_close(c->journal);
    em_buffer_free(&c->record);
    free(c);
}

bool em_checkpoints_remove(em_checkpoints *c, em_error *err) {
    bool good = em_journal_remove(c->journal, err);
    c->journal = NULL;
    em_checkpoints_close(c);
    return good;
}

bool em_checkpoints_empty(const em_checkpoints *c) { return em_journal_empty(c->journal); }
bool em_checkpoints_finished(const em_checkpoints *c, int stream) {
    return stream < em_journal_streams(c->journal);
}

static em_state reading(const em_buffer *b, em_error *err) {
    return (em_state){.from = (const unsigned char *)b->data, .left = b->length, .err = err};
}

bool em_checkpoints_outputs(em_checkpoints *c, int streams, em_outputs_journal *out,
                            em_error *err) {
    int n = em_journal_streams(c->journal);
    *out = (em_outputs_journal){.id = em_journal_id(c->journal), .complete = n == streams};
    if (em_journal_empty(c->journal)) return true;
    if (!em_journal_read(c->journal, em_journal_has_point(c->journal) ? n : n - 1, &c->record, err))
        return false;
    em_state io = reading(&c->record, err);
    return outputs_state(&out->point, &io);
}

int em_checkpoints_restore(em_checkpoints *c, int stream, em_checkpoint *into, em_error *err) {
    int n = em_journal_streams(c->journal);
    if (stream > n || (stream == n && !em_journal_has_point(c->journal))) return 0;
    if (!em_journal_read(c->journal, stream, &c->record, err)) return -1;
    em_outputs_point ignored;
    em_state io = reading(&c->record, err);
    if (!outputs_state(&ignored, &io) || !em_checkpoint_state(into, &io) || !em_state_end(&io))
        return -1;
    if (into->finished != (stream < n)) return em_state_bad(&io), -1;
    c->rows = into->rows;
    return 1;
}

bool em_checkpoints_due(const em_checkpoints *c, int64_t rows) {
    return c->every ? rows - c->rows >= c->every : em_seconds() - c->written >= SECONDS;
}

bool em_checkpoints_write(em_checkpoints *c, em_checkpoint *now, em_outputs *outputs,
                          em_error *err) {
    em_outputs_point point;
    if (!em_outputs_sync(outputs, &point, err)) return false;
    em_buffer_clear(&c->record);
    em_state io = {.into = &c->record, .err = err};
    if (!outputs_state(&point, &io) || !em_checkpoint_state(now, &io) ||
        !em_journal_append(c->journal, now->finished ? EM_RECORD_STREAM : EM_RECORD_POINT,
                           &c->record, err))
        return false;
    c->rows = now->finished ? 0 : now->rows;
    c->written = em_seconds();
    return true;
}
