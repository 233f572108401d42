/* One data set at one row length: rows come, are scored in super-batches, counted, and go into the
 * journal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "eval/process/interrupt.h"
#include "eval/run/protocol.h"
#include "eval/run/run_parts.h"

/* ---- opening ---- */

static void name_results(em_run *r, em_stream *s) {
    for (int c = 0; c < r->plan.n_combinations; c++)
        for (int side = 0; side < r->plan.n_sides; side++) {
            em_cell cell = {c, side};
            em_result *x = &s->results[em_plan_cell(&r->plan, cell)];
            snprintf(x->data_set, sizeof x->data_set, "%s", r->setup.datasets[s->data_set].shown);
            em_protocol_result(x, &r->plan, cell, r->setup.row_lengths[s->length], &r->setup,
                               r->backend);
        }
    for (int i = 0; i < r->plan.n_pairs; i++) {
        const em_planned_pair *p = &r->plan.pairs[i];
        em_protocol_comparison(&s->comparisons[i], p->kind,
                               &s->results[em_plan_cell(&r->plan, p->before)],
                               &s->results[em_plan_cell(&r->plan, p->after)]);
    }
}

bool em_stream_packer(em_run *r, em_stream *s, em_error *err) {
    em_pack_options pack = {.mode = r->settings->protocol.pack,
                            .row_tokens = r->setup.row_lengths[s->length],
                            .stride = r->settings->protocol.stride,
                            .max_tokens = r->settings->data.max_tokens};
    return (s->loader = em_setup_loader(&r->setup, &r->settings->data,
                                        &r->setup.datasets[s->data_set], err)) &&
           (s->packer = em_packer_open(s->loader, &pack, err));
}

static int stream_number(const em_run *r, const em_stream *s) {
    return s->data_set * r->setup.n_row_lengths + s->length;
}

static void name_data_set(em_run *r, const em_stream *s) {
    em_data_set *d = &r->results.data_sets[s->data_set];
    snprintf(d->name, sizeof d->name, "%s", r->setup.datasets[s->data_set].shown);
    snprintf(d->pack, sizeof d->pack, "%s", s->results[0].pack);
}

static bool open_results(em_run *r, em_stream *s, em_error *err) {
    int at = stream_number(r, s);
    s->results = r->results.results + at * em_plan_cells(&r->plan);
    s->comparisons = r->results.comparisons + at * r->plan.n_pairs;
    name_results(r, s);
    name_data_set(r, s);
    s->tally = em_tally_new(&r->plan, r->setup.n_row_lengths > 1, err);
    return s->tally != NULL;
}

static bool open_reading(em_run *r, em_stream *s, em_error *err) {
    int32_t t = r->setup.row_lengths[s->length], named = r->setup.n_row_lengths > 1 ? t : 0;
    return em_stream_packer(r, s, err) &&
           (s->feed = em_feed_open(s->packer, &r->settings->protocol, t, err)) &&
           (!r->outputs.documents ||
            (s->sidecar = em_sidecar_new(r->outputs.documents, r->setup.datasets[s->data_set].shown,
                                         named, em_plan_cells(&r->plan), err)));
}

void em_stream_close(em_stream *s) {
    em_sidecar_free(s->sidecar);
    em_feed_close(s->feed);
    em_packer_close(s->packer);
    em_loader_close(s->loader);
    s->sidecar = NULL;
    s->feed = NULL;
    s->packer = NULL;
    s->loader = NULL;
}

static bool note_documents(em_stream *s, const em_row *row, em_error *err) {
    for (int i = 0; s->sidecar && i < row->n_segments; i++) {
        const em_segment *g = &row->segments[i];
        if (!em_sidecar_document(s->sidecar, g->document, em_loader_group_name(s->loader, g->group),
                                 g->document_bytes, err))
            return false;
    }
    return true;
}

static bool count_row(em_run *r, em_stream *s, const em_job *job, int row, em_error *err) {
    const em_fed_row *f = em_passes_row(job->passes, row);
    if (!note_documents(s, f->row, err) || !em_job_digest(job, row, r->digest, err) ||
        !em_tally_row(s->tally, f, r->digest, err))
        return false;
    r->tokens_done += f->row->tokens;
    const em_buffer *lines = &r->digest->lines;
    return !lines->length || em_output_write(r->outputs.tokens, lines->data, lines->length, err);
}

/* ---- the journal ---- */

static bool list_groups(em_checkpoint *c, const em_loader *loader, em_error *err) {
    size_t n = (size_t)em_loader_groups(loader);
    if (!(c->groups = em_alloc(n, sizeof *c->groups, "subsets", err))) return false;
    for (; c->n_groups < n; c->n_groups++)
        if (!(c->groups[c->n_groups] = strdup(em_loader_group_name(loader, (int32_t)c->n_groups))))
            return em_fail_memory(err, 64, "subsets");
    return true;
}

static bool write_record(em_run *r, em_stream *s, bool finished, em_error *err) {
    em_checkpoint c = {.finished = finished,
                       .rows = s->rows,
                       .tally = s->tally,
                       .sidecar = s->sidecar,
                       .data_set = &r->results.data_sets[s->data_set]};
    bool good = (!finished || list_groups(&c, s->loader, err)) &&
                em_checkpoints_write(r->journal, &c, &r->outputs, err);
    em_checkpoint_free(&c);
    return good;
}

/* The rows that the journal has are made once more and passed over, so that documents and subsets
 * get the same numbers. */
static bool pass_over(em_run *r, em_stream *s, em_error *err) {
    for (int64_t i = 0; i < s->rows; i++) {
        em_fed_row *f;
        int got = em_interrupted ? 0 : em_feed_next(s->feed, &f, err);
        if (got < 0) return false;
        if (em_interrupted)
            return em_fail(err, EM_INTERRUPTED, "interrupted on the way back to row %lld",
                           (long long)s->rows);
        if (got == 0)
            return em_fail_at(err, EM_INPUT, r->settings->output.journal, 0, -1,
                              "its data had %lld rows, now there are %lld; delete it to start over",
                              (long long)s->rows, (long long)i);
        em_fed_row_free(f);
    }
    em_loader_counts counts;
    em_loader_counts_get(s->loader, &counts);
    em_progress_from(&r->progress, counts.position);
    return true;
}

static bool go_on(em_run *r, em_stream *s, em_error *err) {
    em_checkpoint c = {.tally = s->tally, .sidecar = s->sidecar};
    int found = r->journal ? em_checkpoints_restore(r->journal, stream_number(r, s), &c, err) : 0;
    if (found <= 0) return found == 0;
    s->rows = c.rows;
    if (!r->settings->output.quiet)
        fprintf(stderr, "%s: going on after row %lld\n", r->settings->output.journal,
                (long long)c.rows);
    return pass_over(r, s, err);
}

static void show_progress(em_run *r, const em_stream *s) {
    em_loader_counts counts;
    em_loader_counts_get(s->loader, &counts);
    em_progress_show(&r->progress, em_packer_documents(s->packer), r->tokens_done,
                     em_tally_running_loss(s->tally), counts.position, counts.size);
}

static bool count_super_batch(em_run *r, em_stream *s, const em_job *job, em_error *err) {
    int rows = em_passes_rows(job->passes);
    for (int i = 0; i < rows; i++)
        if (!count_row(r, s, job, i, err)) return false;
    const em_row *last = em_passes_row(job->passes, rows - 1)->row;
    if (!em_tally_settle(s->tally, s->sidecar, last->segments[last->n_segments - 1].document, err))
        return false;
    em_pipeline_release(r->pipeline);
    s->rows += rows;
    show_progress(r, s);
    return !r->journal || !em_checkpoints_due(r->journal, s->rows) ||
           write_record(r, s, false, err);
}

/* An interrupted super-batch leaves no trace: the figures are those of the rows before it. */
static bool pass_failed(em_run *r, em_error *err) {
    if (err->status != EM_INTERRUPTED) return false;
    em_interrupted = 1;
    em_error_init(err);
    em_pipeline_drop(r->pipeline);
    return true;
}

/* What has been scored is counted; all: until everything has. */
static bool count_scored(em_run *r, em_stream *s, bool all, em_error *err) {
    em_job *job;
    int got;
    while ((got = em_pipeline_next(r->pipeline, all, &job, err)) > 0)
        if (!count_super_batch(r, s, job, err)) return false;
    return got == 0 || pass_failed(r, err);
}

static bool push(em_run *r, em_error *err) {
    r->padded_tokens += em_passes_padded(em_pipeline_filling(r->pipeline));
    return em_pipeline_push(r->pipeline, err);
}

/* So many rows make a super-batch: as many as fit, and no more than the journal may lose. */
static bool enough(const em_run *r) {
    int64_t rows = r->journal ? r->settings->output.journal_rows : 0;
    return em_pipeline_full(r->pipeline) ||
           (rows && em_passes_rows(em_pipeline_filling(r->pipeline)) >= rows);
}

/* A row for which the super-batch has no room begins the next one. */
static bool add_row(em_run *r, em_stream *s, em_fed_row *f, em_error *err) {
    if (!em_passes_add(em_pipeline_filling(r->pipeline), f, err)) return false;
    if (!(f = em_pipeline_take_excess(r->pipeline))) return true;
    if (push(r, err) && count_scored(r, s, false, err) && !em_interrupted)
        return em_passes_add(em_pipeline_filling(r->pipeline), f, err);
    em_fed_row_free(f);
    return err->status == EM_OK;
}

static bool score_all(em_run *r, em_stream *s, em_error *err) {
    while (!em_interrupted) {
        em_fed_row *f;
        int got = em_feed_next(s->feed, &f, err);
        if (got < 0 && err->status == EM_INTERRUPTED)
            em_error_init(err), got = 0; /* a partial report follows */
        if (got < 0) return false;
        if (got == 0) break;
        if (!add_row(r, s, f, err)) return false;
        if (enough(r) && !push(r, err)) return false;
        if (!count_scored(r, s, false, err)) return false;
    }
    return push(r, err) && count_scored(r, s, true, err);
}

static void note_twice(em_run *r, const em_data_set *d, int64_t twice, int64_t documents,
                       int32_t id, const char *does, const char *where) {
    char text[64];
    if (!twice) return;
    em_tokenizer_text(r->setup.tokenizer, id, text, sizeof text);
    em_results_note(&r->results,
                    "%s%s%lld of %lld texts %s %s themselves, and one is put %s every text: they "
                    "have it twice (--bos none, --eos none leave ours out).",
                    d->name, *d->name ? ": " : "", (long long)twice, (long long)documents, does,
                    text, where);
}

static void note_twice_around(em_run *r, const em_data_set *d, const em_loader_counts *c) {
    const em_setup *s = &r->setup;
    if (s->n_before)
        note_twice(r, d, c->twice_before, c->documents, s->before[s->n_before - 1], "begin with",
                   "before");
    if (s->n_after)
        note_twice(r, d, c->twice_after, c->documents, s->after[0], "end with", "after");
}

/* The totals of a data set are those at its shortest row length. */
static void add_totals(em_run *r, em_stream *s) {
    em_data_set *d = &r->results.data_sets[s->data_set];
    em_loader_counts counts;
    em_loader_counts_get(s->loader, &counts);
    r->loading.read_seconds += counts.read_seconds;
    r->loading.tokenize_seconds += counts.tokenize_seconds;
    r->loading.wait_seconds += counts.wait_seconds;
    if (s->length > 0) return;
    note_twice_around(r, d, &counts);
    snprintf(d->first_bad, sizeof d->first_bad, "%s", counts.first_bad);
    d->totals = (em_data_totals){.documents = em_packer_documents(s->packer),
                                 .empty_documents = counts.empty,
                                 .bad_records = counts.bad,
                                 .filtered_records = counts.filtered,
                                 .tokens = em_packer_tokens(s->packer),
                                 .bytes = em_packer_bytes(s->packer),
                                 .rows = em_feed_rows(s->feed)};
}

static bool any_prediction(const em_run *r, const em_stream *s, em_error *err) {
    int64_t n = 0;
    for (int i = 0; i < em_plan_cells(&r->plan); i++) n += s->results[i].predictions;
    if (n || em_interrupted) return true;
    const em_data_totals *t = &r->results.data_sets[s->data_set].totals;
    if (r->settings->data.n_subsets && t->documents == 0)
        return em_fail_at(
            err, EM_INPUT, r->setup.datasets[s->data_set].paths[0], 0, -1,
            "no record is of --subset %s%s: %lld are of other groups, by --group-by %s",
            r->settings->data.subsets[0], r->settings->data.n_subsets > 1 ? " or the others" : "",
            (long long)t->filtered_records, r->settings->data.group_by);
    return em_fail_at(err, EM_INPUT, r->setup.datasets[s->data_set].paths[0], 0, -1,
                      "no prediction to score: %lld documents, %lld tokens, %lld rows%s",
                      (long long)t->documents, (long long)t->tokens, (long long)t->rows,
                      r->settings->protocol.tail == EM_TAIL_DROP && t->rows
                          ? ", all in an incomplete batch that --tail drop leaves out"
                          : "");
}

static bool make_figures(em_run *r, em_stream *s, const em_tally *shortest,
                         const char *(*group_name)(const void *, int32_t), const void *names,
                         em_error *err) {
    if (!em_tally_finish(s->tally, shortest, s->results, s->comparisons, group_name, names, err))
        return false;
    em_protocol_fingerprints(s->results, &r->plan, &r->setup);
    if (s->length == 0) r->results.data_sets[s->data_set].totals.batches = s->results[0].batches;
    s->counted = true;
    return any_prediction(r, s, err);
}

static const char *loader_group(const void *loader, int32_t group) {
    return em_loader_group_name(loader, group);
}

/* What an interrupted run has of the stream goes into the journal before it is closed for the
 * partial report. */
static bool finish_stream(em_run *r, em_stream *s, const em_tally *shortest, em_error *err) {
    bool whole = !em_interrupted;
    add_totals(r, s);
    if (r->journal && !whole && s->rows && !write_record(r, s, false, err)) return false;
    if (!em_tally_settle(s->tally, s->sidecar, INT64_MAX, err)) return false;
    if (r->journal && whole && !write_record(r, s, true, err)) return false;
    return make_figures(r, s, shortest, loader_group, s->loader, err);
}

static const char *journal_group(const void *groups, int32_t group) {
    return ((char *const *)groups)[group];
}

/* A stream that the journal has as a whole. */
static bool restore_stream(em_run *r, em_stream *s, const em_tally *shortest, em_error *err) {
    em_checkpoint c = {.tally = s->tally, .data_set = &r->results.data_sets[s->data_set]};
    bool good = em_checkpoints_restore(r->journal, stream_number(r, s), &c, err) > 0 &&
                make_figures(r, s, shortest, journal_group, c.groups, err);
    em_checkpoint_free(&c);
    return good;
}

static bool read_stream(em_run *r, em_stream *s, const em_tally *shortest, em_error *err) {
    bool good = open_reading(r, s, err) && go_on(r, s, err) && score_all(r, s, err) &&
                finish_stream(r, s, shortest, err);
    em_stream_close(s);
    if (!good && !s->counted &&
        err->status == EM_INTERRUPTED) { /* the streams before it are reported */
        em_error_init(err);
        return true;
    }
    return good;
}

bool em_stream_in_journal(const em_run *r, const em_stream *s) {
    return r->journal && em_checkpoints_finished(r->journal, stream_number(r, s));
}

bool em_stream_score(em_run *r, em_stream *s, int64_t total, const em_tally *shortest,
                     em_error *err) {
    if (!open_results(r, s, err)) return false;
    em_pipeline_origin(r->pipeline, &(em_origin){s->data_set, s->length, total});
    return em_stream_in_journal(r, s) ? restore_stream(r, s, shortest, err)
                                      : read_stream(r, s, shortest, err);
}
