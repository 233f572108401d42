/* The main job: rows through the model, figures out. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/size.h"
#include "eval/checkpoint.h"
#include "eval/commands.h"
#include "eval/device.h"
#include "eval/feed.h"
#include "eval/interrupt.h"
#include "eval/outputs.h"
#include "eval/pipeline.h"
#include "eval/plan.h"
#include "eval/profile.h"
#include "eval/progress.h"
#include "eval/protocol.h"
#include "eval/setup.h"
#include "eval/sidecar.h"
#include "eval/tally.h"
#include "eval/tokens_file.h"

/* Padded tokens in a super-batch at most: where layers are packed anew for each, rows share the cost. */
enum { SUPER_BATCH_TOKENS = 65536 };

typedef struct run {
    em_settings in_force;               /* a copy: its packing is that of the data set at hand */
    const em_settings *settings;        /* in_force */
    em_setup setup;
    em_plan plan;
    em_backend *backend;
    em_network *networks[EM_MAX_MODELS];
    em_ranks *ranks;                    /* NULL: this process is alone */
    em_pipeline *pipeline;
    em_checkpoints *journal;            /* NULL: none */
    em_outputs outputs;
    em_results results;
    em_buffer line;
    em_progress progress;
    double seconds_started, seconds_opened;
    int64_t tokens_done, padded_tokens;
    em_loader_counts loading;           /* of all data sets: the seconds */
} run;

/* One data set at one row length. */
typedef struct stream {
    int data_set, length;               /* indices */
    em_loader *loader;
    em_packer *packer;
    em_feed *feed;
    em_tally *tally;
    em_sidecar *sidecar;
    int64_t rows;                       /* of the feed, that are counted */
    bool counted;                       /* its results have figures */
    em_result *results;                 /* [the plan's cells], inside run.results */
    em_comparison *comparisons;         /* [the plan's pairs], likewise */
} stream;

/* ---- opening ---- */

static bool open_backend(run *r, em_error *err) {
    r->backend = em_device_open_backend(r->settings, &r->setup, err);
    return r->backend != NULL;
}

static bool is_root(const run *r) { return !r->ranks || r->ranks->rank == 0; }

/* Whose arrays are there at once: on rank 0 the pipeline's, beside messages; on others a job's at work, the next one's
 * and a message. */
static int batches_held(const run *r) {
    if (!r->ranks) return 1;
    return is_root(r) ? em_pipeline_depth(r->ranks->n) + r->ranks->n : 3;
}

static bool open_networks(run *r, em_error *err) {
    em_network_options needs = {.row_tokens = r->setup.row_tokens, .want_tokens = SUPER_BATCH_TOKENS, .batches = batches_held(r),
                                .n_labels = r->settings->n_labels, .vocab = r->plan.vocab};
    for (int i = 0; i < r->plan.n_models; i++) {
        needs.n_depths = r->plan.models[i].n_scored;
        r->networks[i] = em_setup_network(&r->setup, r->settings, i, r->backend, &needs, err);
        if (!r->networks[i]) return false;
    }
    return true;
}

static void describe_models(run *r) {
    r->results.n_models = r->setup.n_named;
    for (int i = 0; i < r->setup.n_named; i++) {
        const em_model_spec *spec = em_model_spec_of(r->setup.models[i]);
        em_model_line *line = &r->results.models[i];
        snprintf(line->name, sizeof line->name, "%s", r->setup.names[i]);
        snprintf(line->group, sizeof line->group, "%s", r->setup.groups[i]);
        snprintf(line->family, sizeof line->family, "%s", spec->family);
        line->parameters = spec->parameters;
        line->layers = spec->layers;
        line->vocab = spec->vocab;
    }
}

/* How many streams there are: each data set at each row length. */
static int streams(const run *r) {
    return r->setup.n_datasets * r->setup.n_row_lengths;
}

static bool reserve_results(run *r, em_error *err) {
    em_results *x = &r->results;
    x->n_results = streams(r) * em_plan_cells(&r->plan);
    x->n_comparisons = streams(r) * r->plan.n_pairs;
    x->n_data_sets = r->setup.n_datasets;
    x->results = em_alloc((size_t)x->n_results, sizeof *x->results, "results", err);
    x->comparisons = em_alloc((size_t)x->n_comparisons, sizeof *x->comparisons, "results", err);
    x->data_sets = em_alloc((size_t)x->n_data_sets, sizeof *x->data_sets, "results", err);
    return x->results && x->comparisons && x->data_sets;
}

/* Several row lengths read the data anew for each. */
static bool check_rereading(const run *r, em_error *err) {
    int readings = r->setup.n_row_lengths * (r->settings->n_packs > 1 ? r->settings->n_packs : 1);
    if (readings < 2) return true;
    for (int i = 0; i < r->settings->n_data; i++)
        if (!strcmp(r->settings->data[i].path, "-"))
            return em_fail(err, EM_USAGE, "--data -: stdin can be read once, and row lengths and packings read the data %d times; give a file",
                           readings);
    bool alone = false;
    for (int i = 0; i < r->setup.n_datasets; i++) alone |= r->setup.datasets[i].pack == EM_PACK_NONE;
    if (r->setup.n_row_lengths > 1 && r->settings->tail == EM_TAIL_DROP && alone)
        return em_fail(err, EM_USAGE, "--pack none with --tail drop and several row lengths: which documents are dropped would differ from "
                       "length to length; use --tail pad");
    return true;
}

/* The files that grow, from where a journal says that they count. */
static bool open_outputs(run *r, em_error *err) {
    em_outputs_journal journal;
    if (!r->settings->journal) return em_outputs_open(&r->outputs, r->settings, NULL, err);
    return (r->journal = em_checkpoints_open(r->settings, &r->setup, r->backend, err)) &&
           em_checkpoints_outputs(r->journal, streams(r), &journal, err) && em_outputs_open(&r->outputs, r->settings, &journal, err);
}

/* What every rank opens; rank 0 has the outputs. */
static bool open_run(run *r, em_error *err) {
    r->seconds_started = em_seconds();
    if (!em_setup_open(&r->setup, r->settings, err) || !check_rereading(r, err)) return false;
    if (r->ranks) r->setup.node_rank = r->ranks->node_rank, r->setup.node_ranks = r->ranks->node_n;
    if (!open_backend(r, err)) return false;
    if (is_root(r) && !open_outputs(r, err)) return false;
    r->setup.stop = &em_interrupted;
    return em_plan_make(&r->plan, r->settings, &r->setup, err) && open_networks(r, err);
}

static void record_devices(run *r, const em_buffer *devices) {
    if (!devices->length) return;
    em_results_protocol(&r->results, "mixed", "%s", devices->data);
    em_results_note(&r->results, "Ranks computed on unlike devices (--mixed): %s. Last digits depend on which of them a row met.", devices->data);
}

/* Whether this rank and all others are open. */
static bool agree(run *r, bool opened, em_pipeline_options *pipeline, em_error *err) {
    em_rank_card card = {.err = *err};
    em_buffer devices = {0};
    if (!r->ranks) return opened;
    if (opened) em_rank_card_fill(&card, &r->setup, &r->plan, r->backend, r->networks);
    bool good = r->ranks->ops->agree(r->ranks, &card, r->settings->mixed, &devices, err);
    pipeline->capacity = card.capacity;
    pipeline->job = card.job;
    if (good) record_devices(r, &devices);
    em_buffer_free(&devices);
    return good && (!is_root(r) || r->ranks->ops->start(r->ranks, r->networks, err));
}

static bool open_counting(run *r, const em_pipeline_options *pipeline, em_error *err) {
    if (!(r->pipeline = em_pipeline_open(pipeline, err)) || !reserve_results(r, err)) return false;
    describe_models(r);
    if (r->settings->experiment) {
        snprintf(r->results.table, sizeof r->results.table, "%s", r->settings->experiment->table);
        snprintf(r->results.title, sizeof r->results.title, "%s", r->settings->experiment->title);
    }
    em_protocol_shared(&r->results, r->settings, &r->setup, r->backend);
    r->progress = em_progress_start(r->settings->quiet);
    r->seconds_opened = em_seconds();
    return true;
}

static bool open_all(run *r, em_error *err) {
    em_pipeline_options pipeline = {.plan = &r->plan, .networks = r->networks, .ranks = r->ranks, .stop = &em_interrupted};
    return agree(r, open_run(r, err), &pipeline, err) && (!is_root(r) || open_counting(r, &pipeline, err));
}

/* A journal without anything to go on from goes, and what was written with it. */
static void close_journal(run *r) {
    em_error ignored = EM_ERROR_INIT;
    if (!r->journal) return;
    r->outputs.keep = !em_checkpoints_empty(r->journal);
    if (r->outputs.keep) em_checkpoints_close(r->journal);
    else em_checkpoints_remove(r->journal, &ignored);
}

static void close_run(run *r) {
    close_journal(r);
    em_outputs_close(&r->outputs);
    if (r->ranks) r->ranks->ops->close(r->ranks);
    em_pipeline_close(r->pipeline);
    for (int i = 0; i < r->plan.n_models; i++) em_network_close(r->networks[i]);
    if (r->backend) r->backend->ops->close(r->backend);
    em_plan_free(&r->plan);
    em_setup_close(&r->setup);
    em_results_free(&r->results);
    em_buffer_free(&r->line);
}

/* ---- one stream ---- */

static void name_results(run *r, stream *s) {
    for (int c = 0; c < r->plan.n_combinations; c++)
        for (int side = 0; side < r->plan.n_sides; side++) {
            em_cell cell = {c, side};
            em_result *x = &s->results[em_plan_cell(&r->plan, cell)];
            snprintf(x->data_set, sizeof x->data_set, "%s", r->setup.datasets[s->data_set].shown);
            em_protocol_result(x, &r->plan, cell, r->setup.row_lengths[s->length], &r->setup, r->backend);
        }
    for (int i = 0; i < r->plan.n_pairs; i++) {
        const em_planned_pair *p = &r->plan.pairs[i];
        em_protocol_comparison(&s->comparisons[i], p->kind, &s->results[em_plan_cell(&r->plan, p->before)],
                               &s->results[em_plan_cell(&r->plan, p->after)]);
    }
}

static bool open_packer(run *r, stream *s, em_error *err) {
    em_pack_options pack = {.mode = r->settings->pack, .row_tokens = r->setup.row_lengths[s->length], .max_tokens = r->settings->max_tokens};
    return (s->loader = em_setup_loader(&r->setup, r->settings, &r->setup.datasets[s->data_set], err)) &&
           (s->packer = em_packer_open(s->loader, &pack, err));
}

static int stream_number(const run *r, const stream *s) { return s->data_set * r->setup.n_row_lengths + s->length; }

static void name_data_set(run *r, const stream *s) {
    em_data_set *d = &r->results.data_sets[s->data_set];
    snprintf(d->name, sizeof d->name, "%s", r->setup.datasets[s->data_set].shown);
    snprintf(d->pack, sizeof d->pack, "%s", s->results[0].pack);
}

static bool open_results(run *r, stream *s, const em_everywhere *everywhere, em_error *err) {
    int at = stream_number(r, s);
    s->results = r->results.results + at * em_plan_cells(&r->plan);
    s->comparisons = r->results.comparisons + at * r->plan.n_pairs;
    name_results(r, s);
    name_data_set(r, s);
    s->tally = em_tally_new(&r->plan, everywhere, err);
    return s->tally != NULL;
}

static bool open_reading(run *r, stream *s, em_error *err) {
    int32_t t = r->setup.row_lengths[s->length], named = r->setup.n_row_lengths > 1 ? t : 0;
    return open_packer(r, s, err) &&
           (s->feed = em_feed_open(s->packer, r->settings, t, err)) &&
           (!r->outputs.documents || (s->sidecar = em_sidecar_new(r->outputs.documents, r->setup.datasets[s->data_set].shown, named,
                                                                  em_plan_cells(&r->plan), err)));
}

static void close_reading(stream *s) {
    em_sidecar_free(s->sidecar);
    em_feed_close(s->feed);
    em_packer_close(s->packer);
    em_loader_close(s->loader);
    s->sidecar = NULL;
    s->feed = NULL;
    s->packer = NULL;
    s->loader = NULL;
}

static bool count_row(run *r, stream *s, const em_passes *passes, int row, em_error *err) {
    const em_row *w = em_passes_row(passes, row)->row;
    for (int i = 0; s->sidecar && i < w->n_segments; i++) {
        const em_segment *g = &w->segments[i];
        if (!em_sidecar_document(s->sidecar, g->document, em_loader_group_name(s->loader, g->group), g->document_bytes, err))
            return false;
    }
    if (!em_tally_row(s->tally, passes, row, err)) return false;
    r->tokens_done += w->tokens;
    em_tokens_source source = {.plan = &r->plan, .tokenizer = r->setup.tokenizer, .names = r->setup.names, .data_set = s->results->data_set, .passes = passes,
                               .seq_len = r->setup.n_row_lengths > 1 ? r->setup.row_lengths[s->length] : 0};
    return !r->outputs.tokens || em_tokens_write_row(r->outputs.tokens, &r->line, &source, row, err);
}

/* ---- the journal ---- */

static bool list_groups(em_checkpoint *c, const em_loader *loader, em_error *err) {
    size_t n = (size_t)em_loader_groups(loader);
    if (!(c->groups = em_alloc(n, sizeof *c->groups, "subsets", err))) return false;
    for (; c->n_groups < n; c->n_groups++)
        if (!(c->groups[c->n_groups] = strdup(em_loader_group_name(loader, (int32_t)c->n_groups)))) return em_fail_memory(err, 64, "subsets");
    return true;
}

static bool write_record(run *r, stream *s, bool finished, em_error *err) {
    em_checkpoint c = {.finished = finished, .rows = s->rows, .tally = s->tally, .sidecar = s->sidecar,
                       .data_set = &r->results.data_sets[s->data_set]};
    bool good = (!finished || list_groups(&c, s->loader, err)) && em_checkpoints_write(r->journal, &c, &r->outputs, err);
    em_checkpoint_free(&c);
    return good;
}

/* The rows that the journal has are made once more and passed over, so that documents and subsets get the same numbers. */
static bool pass_over(run *r, stream *s, em_error *err) {
    for (int64_t i = 0; i < s->rows; i++) {
        em_fed_row *f;
        int got = em_interrupted ? 0 : em_feed_next(s->feed, &f, err);
        if (got < 0) return false;
        if (em_interrupted) return em_fail(err, EM_INTERRUPTED, "interrupted on the way back to row %lld", (long long)s->rows);
        if (got == 0)
            return em_fail_at(err, EM_INPUT, r->settings->journal, 0, -1, "its data had %lld rows, now there are %lld; delete it to start over",
                              (long long)s->rows, (long long)i);
        em_fed_row_free(f);
    }
    em_loader_counts counts;
    em_loader_counts_get(s->loader, &counts);
    em_progress_from(&r->progress, counts.position);
    return true;
}

static bool go_on(run *r, stream *s, em_error *err) {
    em_checkpoint c = {.tally = s->tally, .sidecar = s->sidecar};
    int found = r->journal ? em_checkpoints_restore(r->journal, stream_number(r, s), &c, err) : 0;
    if (found <= 0) return found == 0;
    s->rows = c.rows;
    if (!r->settings->quiet) fprintf(stderr, "%s: going on after row %lld\n", r->settings->journal, (long long)c.rows);
    return pass_over(r, s, err);
}

static void show_progress(run *r, const stream *s) {
    em_loader_counts counts;
    em_loader_counts_get(s->loader, &counts);
    em_progress_show(&r->progress, em_packer_documents(s->packer), r->tokens_done, em_tally_running_loss(s->tally),
                     counts.position, counts.size);
}

static bool count_super_batch(run *r, stream *s, const em_passes *passes, em_error *err) {
    int rows = em_passes_rows(passes);
    for (int i = 0; i < rows; i++)
        if (!count_row(r, s, passes, i, err)) return false;
    const em_row *last = em_passes_row(passes, rows - 1)->row;
    if (!em_tally_settle(s->tally, s->sidecar, last->segments[last->n_segments - 1].document, err)) return false;
    em_pipeline_release(r->pipeline);
    s->rows += rows;
    show_progress(r, s);
    return !r->journal || !em_checkpoints_due(r->journal, s->rows) || write_record(r, s, false, err);
}

/* An interrupted super-batch leaves no trace: the figures are those of the rows before it. */
static bool pass_failed(run *r, em_error *err) {
    if (err->status != EM_INTERRUPTED) return false;
    em_interrupted = 1;
    em_error_init(err);
    em_pipeline_drop(r->pipeline);
    return true;
}

/* What has been scored is counted; all: until everything has. */
static bool count_scored(run *r, stream *s, bool all, em_error *err) {
    em_passes *passes;
    int got;
    while ((got = em_pipeline_next(r->pipeline, all, &passes, err)) > 0)
        if (!count_super_batch(r, s, passes, err)) return false;
    return got == 0 || pass_failed(r, err);
}

static bool push(run *r, em_error *err) {
    r->padded_tokens += em_passes_padded(em_pipeline_filling(r->pipeline));
    return em_pipeline_push(r->pipeline, err);
}

/* So many rows make a super-batch: as many as fit, and no more than the journal may lose. */
static bool enough(const run *r) {
    int64_t rows = r->journal ? r->settings->journal_rows : 0;
    return em_pipeline_full(r->pipeline) || (rows && em_passes_rows(em_pipeline_filling(r->pipeline)) >= rows);
}

/* A row for which the super-batch has no room begins the next one. */
static bool add_row(run *r, stream *s, em_fed_row *f, em_error *err) {
    if (!em_passes_add(em_pipeline_filling(r->pipeline), f, err)) return false;
    if (!(f = em_pipeline_take_excess(r->pipeline))) return true;
    if (push(r, err) && count_scored(r, s, false, err) && !em_interrupted) return em_passes_add(em_pipeline_filling(r->pipeline), f, err);
    em_fed_row_free(f);
    return err->status == EM_OK;
}

static bool score_all(run *r, stream *s, em_error *err) {
    while (!em_interrupted) {
        em_fed_row *f;
        int got = em_feed_next(s->feed, &f, err);
        if (got < 0 && err->status == EM_INTERRUPTED) em_error_init(err), got = 0;     /* a partial report follows */
        if (got < 0) return false;
        if (got == 0) break;
        if (!add_row(r, s, f, err)) return false;
        if (enough(r) && !push(r, err)) return false;
        if (!count_scored(r, s, false, err)) return false;
    }
    return push(r, err) && count_scored(r, s, true, err);
}

/* The totals of a data set are those at its shortest row length. */
static void add_totals(run *r, stream *s) {
    em_data_set *d = &r->results.data_sets[s->data_set];
    em_loader_counts counts;
    em_loader_counts_get(s->loader, &counts);
    r->loading.read_seconds += counts.read_seconds;
    r->loading.tokenize_seconds += counts.tokenize_seconds;
    r->loading.wait_seconds += counts.wait_seconds;
    if (s->length > 0) return;
    snprintf(d->first_bad, sizeof d->first_bad, "%s", counts.first_bad);
    d->totals = (em_data_totals){
        .documents = em_packer_documents(s->packer), .empty_documents = counts.empty, .bad_records = counts.bad,
        .filtered_records = counts.filtered, .tokens = em_packer_tokens(s->packer), .bytes = em_packer_bytes(s->packer),
        .rows = em_feed_rows(s->feed)};
}

static bool any_prediction(const run *r, const stream *s, em_error *err) {
    int64_t n = 0;
    for (int i = 0; i < em_plan_cells(&r->plan); i++) n += s->results[i].predictions;
    if (n || em_interrupted) return true;
    const em_data_totals *t = &r->results.data_sets[s->data_set].totals;
    if (r->settings->n_subsets && t->documents == 0)
        return em_fail_at(err, EM_INPUT, r->setup.datasets[s->data_set].paths[0], 0, -1,
                          "no record is of --subset %s%s: %lld are of other groups, by --group-by %s", r->settings->subsets[0],
                          r->settings->n_subsets > 1 ? " or the others" : "", (long long)t->filtered_records, r->settings->group_by);
    return em_fail_at(err, EM_INPUT, r->setup.datasets[s->data_set].paths[0], 0, -1,
                      "no prediction to score: %lld documents, %lld tokens, %lld rows%s", (long long)t->documents,
                      (long long)t->tokens, (long long)t->rows,
                      r->settings->tail == EM_TAIL_DROP && t->rows ? ", all in an incomplete batch that --tail drop leaves out" : "");
}

static bool make_figures(run *r, stream *s, const em_tally *shortest, const char *(*group_name)(const void *, int32_t),
                         const void *names, em_error *err) {
    if (!em_tally_finish(s->tally, shortest, s->results, s->comparisons, group_name, names, err)) return false;
    em_protocol_fingerprints(s->results, &r->plan, &r->setup);
    if (s->length == 0) r->results.data_sets[s->data_set].totals.batches = s->results[0].batches;
    s->counted = true;
    return any_prediction(r, s, err);
}

static const char *loader_group(const void *loader, int32_t group) {
    return em_loader_group_name(loader, group);
}

/* What an interrupted run has of the stream goes into the journal before it is closed for the partial report. */
static bool finish_stream(run *r, stream *s, const em_tally *shortest, em_error *err) {
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
static bool restore_stream(run *r, stream *s, const em_tally *shortest, em_error *err) {
    em_checkpoint c = {.tally = s->tally, .data_set = &r->results.data_sets[s->data_set]};
    bool good = em_checkpoints_restore(r->journal, stream_number(r, s), &c, err) > 0 &&
                make_figures(r, s, shortest, journal_group, c.groups, err);
    em_checkpoint_free(&c);
    return good;
}

static bool read_stream(run *r, stream *s, const em_tally *shortest, em_error *err) {
    bool good = open_reading(r, s, err) && go_on(r, s, err) && score_all(r, s, err) && finish_stream(r, s, shortest, err);
    close_reading(s);
    if (!good && !s->counted && err->status == EM_INTERRUPTED) {        /* the streams before it are reported */
        em_error_init(err);
        return true;
    }
    return good;
}

static bool in_journal(const run *r, const stream *s) {
    return r->journal && em_checkpoints_finished(r->journal, stream_number(r, s));
}

static bool score_stream(run *r, stream *s, const em_everywhere *everywhere, const em_tally *shortest, em_error *err) {
    if (!open_results(r, s, everywhere, err)) return false;
    return in_journal(r, s) ? restore_stream(r, s, shortest, err) : read_stream(r, s, shortest, err);
}

/* ---- one data set ---- */

/* Tokens of the stream: which batches are whole depends on it. Interrupted, nothing of the data set is scored. */
static bool count_tokens(run *r, int data_set, int64_t *total, em_error *err) {
    stream s = {.data_set = data_set};
    em_row *row;
    int got = 0;
    bool good = open_packer(r, &s, err);
    while (good && (got = em_packer_next(s.packer, &row, err)) > 0) em_row_free(row);
    if (good) *total = em_packer_tokens(s.packer);
    close_reading(&s);
    if ((!good || got < 0) && err->status == EM_INTERRUPTED) return em_error_init(err), true;
    return good && got == 0;
}

/* Row length after row length, the shortest first: the others' growth is against it. *done: results that are there. */
static bool score_data_set(run *r, int data_set, int *done, em_error *err) {
    em_everywhere everywhere;
    em_tally *shortest = NULL;
    int64_t total = EM_UNKNOWN_TOTAL;
    bool several = r->setup.n_row_lengths > 1, good = true;
    r->in_force.pack = r->setup.datasets[data_set].pack;
    stream last = {.data_set = data_set, .length = r->setup.n_row_lengths - 1};
    if (several && r->settings->tail == EM_TAIL_DROP && !in_journal(r, &last) && !count_tokens(r, data_set, &total, err)) return false;
    if (several) em_everywhere_make(&everywhere, r->settings, r->setup.row_lengths, r->setup.n_row_lengths, total);
    for (int length = 0; good && !em_interrupted && length < r->setup.n_row_lengths; length++) {
        stream s = {.data_set = data_set, .length = length};
        good = score_stream(r, &s, several ? &everywhere : NULL, shortest, err);
        *done += s.counted;
        if (length == 0) shortest = s.tally;
        else em_tally_free(s.tally);
    }
    em_tally_free(shortest);
    return good;
}

/* ---- together ---- */

/* The results are of the streams that an interrupted run came to. */
static bool score_data_sets(run *r, em_error *err) {
    int done = 0, lengths = r->setup.n_row_lengths;
    for (int d = 0; d < r->setup.n_datasets && !em_interrupted; d++)
        if (!score_data_set(r, d, &done, err)) return false;
    r->results.n_data_sets = (done + lengths - 1) / lengths;
    r->results.n_results = done * em_plan_cells(&r->plan);
    r->results.n_comparisons = done * r->plan.n_pairs;
    return done > 0 || em_fail(err, EM_INTERRUPTED, "interrupted before the first row");
}

static void average(const run *r, int which, em_mean *mean) {
    int sets = r->results.n_data_sets, n = r->setup.n_row_lengths * em_plan_cells(&r->plan);
    double losses = 0, nll = 0, predictions = 0;
    for (int d = 0; d < sets; d++) {
        const em_result *x = &r->results.results[d * n + which];
        losses += x->loss;
        if (x->predictions) nll += x->loss * (double)x->predictions;
        predictions += (double)x->predictions;
    }
    const em_result *x = &r->results.results[which];
    *mean = (em_mean){.has_alpha = x->has_alpha, .alpha = x->alpha, .depth = x->depth, .seq_len = x->seq_len,
                      .macro = losses / sets, .micro = nll / predictions};
    memcpy(mean->model, x->model, sizeof mean->model);
    memcpy(mean->mask, x->mask, sizeof mean->mask);
    memcpy(mean->labels, x->labels, sizeof mean->labels);
    memcpy(mean->positions, x->positions, sizeof mean->positions);
}

/* Only of whole data sets (an interrupted run may lack row lengths of its last one), and not where they are the same
 * data packed twice. */
static bool average_data_sets(run *r, em_error *err) {
    int n = r->setup.n_row_lengths * em_plan_cells(&r->plan);
    if (r->settings->n_packs > 1 || r->results.n_data_sets < 2 || r->results.n_results < r->results.n_data_sets * n) return true;
    r->results.means = em_alloc((size_t)n, sizeof *r->results.means, "means", err);
    if (!r->results.means) return false;
    r->results.n_means = n;
    for (int i = 0; i < n; i++) average(r, i, &r->results.means[i]);
    return true;
}

static em_profile profile_of(const run *r) {
    double now = em_seconds();
    em_profile p = {.ranks = r->ranks ? r->ranks->n : 1, .threads = r->setup.threads, .seconds = now - r->seconds_started,
                    .open_seconds = r->seconds_opened - r->seconds_started, .read_seconds = r->loading.read_seconds,
                    .tokenize_seconds = r->loading.tokenize_seconds, .wait_seconds = r->loading.wait_seconds,
                    .tokens = r->tokens_done, .padded_tokens = r->padded_tokens, .peak_memory_bytes = em_peak_memory(),
                    .processor_seconds = em_processor_seconds(),
                    .stages = r->backend->times};
    snprintf(p.isa, sizeof p.isa, "%s", r->backend->isa);
    for (int i = 0; i < r->plan.n_models; i++) em_flops_add(&p.flops, em_network_flops(r->networks[i]));
    return p;
}

static bool write_profile(const run *r, em_error *err) {
    em_buffer b = {0};
    em_profile p = profile_of(r);
    em_profile_print(&p, &b);
    em_output *out = em_output_open(r->settings->profile_file, err);
    bool good = out && em_output_write(out, b.data, b.length, err);
    em_buffer_free(&b);
    if (!good) return em_output_abort(out), false;
    return em_output_commit(out, err);
}

/* The outputs have their names: nothing is left to go on with. */
static bool end_journal(run *r, em_error *err) {
    em_checkpoints *journal = r->journal;
    r->journal = NULL;
    return !journal || em_checkpoints_remove(journal, err);
}

static bool report(run *r, em_error *err) {
    if (!em_outputs_judge(&r->outputs, &r->results, err) || !em_outputs_write(&r->outputs, &r->results, err)) return false;
    if (r->results.partial) return true;
    if (r->settings->profile_file && !write_profile(r, err)) return false;
    return em_outputs_commit(&r->outputs, err) && end_journal(r, err);
}

static bool measure(run *r, em_error *err) {
    em_setup_notes(&r->setup, r->settings);
    bool good = score_data_sets(r, err);
    em_progress_end(&r->progress);
    if (!good) return false;
    r->results.partial = em_interrupted;
    if (!average_data_sets(r, err)) return false;
    em_protocol_notes(&r->results, r->settings, &r->setup);
    return report(r, err);
}

/* Ranks of a node share its cores, and one of all speaks. */
static void share_node(em_settings *s, const em_ranks *ranks) {
    if (!ranks) return;
    if (!s->threads) s->threads = ranks->threads;
    if (ranks->rank > 0) s->quiet = true;
}

int em_command_run(const em_settings *settings, em_error *err) {
    run r = {0};
    r.in_force = *settings;
    r.settings = &r.in_force;
    em_catch_interrupt();
    bool good = em_ranks_open(&r.ranks, err);
    share_node(&r.in_force, r.ranks);
    good = good && open_all(&r, err);
    if (is_root(&r)) good = good && measure(&r, err);
    else good = good && r.ranks->ops->work(r.ranks, &r.plan, r.networks, &em_interrupted, err);
    if (good && r.outputs.verdict.status != EM_OK) good = false, *err = r.outputs.verdict;
    bool partial = r.results.partial;
    if (good && partial && r.journal && !em_checkpoints_empty(r.journal) && !settings->quiet)
        fprintf(stderr, "%s has what is done; the same command goes on\n", settings->journal);
    if (!good) em_interrupted = 1;         /* what still computes ends before its next layer */
    close_run(&r);
    if (!good) return err->status;
    return partial ? EM_INTERRUPTED : EM_OK;
}
