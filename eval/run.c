/* The main job: rows through the model, figures out. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/output.h"
#include "common/size.h"
#include "eval/commands.h"
#include "eval/feed.h"
#include "eval/leak.h"
#include "eval/passes.h"
#include "eval/progress.h"
#include "eval/protocol.h"
#include "eval/setup.h"
#include "eval/sidecar.h"
#include "eval/statistics.h"
#include "eval/tokens_file.h"
#include "reports/reports.h"

/* Padded tokens in a super-batch at most: where layers are packed anew for each, rows share the cost. */
enum { SUPER_BATCH_TOKENS = 65536 };

typedef struct run {
    const em_settings *settings;
    em_setup setup;
    em_backend *backend;
    em_network *network;
    em_passes *passes;
    em_results results;
    int combinations;           /* results a data set */
    int32_t *windows;           /* [layers]: each layer's own window */
    uint8_t *leaks;             /* [T]: scratch */
    size_t leaks_capacity;
    em_output *tokens, *documents;      /* --tokens, the sidecar; NULL: not asked for */
    char documents_path[4200];
    em_buffer line;
    em_progress progress;
    double seconds_started, seconds_opened;
    int64_t tokens_done, passes_tokens;
} run;

/* What belongs to one data set's pass. */
typedef struct stream {
    em_loader *loader;
    em_packer *packer;
    em_feed *feed;
    em_statistics **statistics;         /* [combinations] */
    int64_t *batch;                     /* [combinations]: the batch that is open; -1: none */
    em_sidecar *sidecar;
    em_result *results;                 /* [combinations], inside run.results */
} stream;

/* ---- Ctrl-C ---- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number) {
    (void)signal_number;
    interrupted = 1;
}

/* The first Ctrl-C ends the run after the super-batch at hand; a second one ends it at once. */
static void catch_interrupt(void) {
    struct sigaction a = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

/* ---- opening ---- */

static bool open_network(run *r, em_error *err) {
    em_backend_options backend = {.threads = r->setup.threads,
                                  .compute = r->settings->dtype == EM_DTYPE_BF16 ? EM_BF16 : EM_F32};
    r->backend = em_backend_cpu_open(&backend, err);
    if (!r->backend) return false;
    r->network = em_setup_network(&r->setup, r->settings, r->backend, r->setup.row_tokens, SUPER_BATCH_TOKENS,
                                  r->settings->n_labels, err);
    return r->network != NULL;
}

static bool model_windows(run *r, em_error *err) {
    int layers = em_model_spec_of(r->setup.model)->layers;
    r->windows = em_alloc((size_t)layers, sizeof *r->windows, "layer windows", err);
    for (int i = 0; r->windows && i < layers; i++) r->windows[i] = em_model_layer_spec(r->setup.model, i)->window;
    return r->windows != NULL;
}

/* A file that is written at the end must be one that can be: said now, not after hours. */
static bool try_output(const char *path, em_error *err) {
    struct stat s;
    if (stat(path, &s) == 0 && !S_ISREG(s.st_mode) && !S_ISDIR(s.st_mode)) return true;    /* a pipe is opened once */
    em_output *out = em_output_open(path, err);
    em_output_abort(out);
    return out != NULL;
}

static bool written_once(const run *r, em_error *err) {
    const em_settings *s = r->settings;
    const char *paths[EM_MAX_LIST + 3] = {s->tokens_file, s->profile_file, r->documents ? r->documents_path : NULL};
    memcpy(paths + 3, s->outputs, (size_t)s->n_outputs * sizeof *paths);
    for (int i = 0; i < s->n_outputs + 3; i++)
        for (int k = 0; k < i; k++)
            if (paths[i] && paths[k] && !strcmp(paths[i], paths[k]))
                return em_fail(err, EM_USAGE, "%s: two outputs would be written to this file", paths[i]);
    return true;
}

/* By its name, or a pipe or device, whatever its name. */
static bool is_jsonl(const char *path) {
    struct stat s;
    const char *dot = strstr(path, ".jsonl");
    while (dot && strstr(dot + 1, ".jsonl")) dot = strstr(dot + 1, ".jsonl");
    return (dot && (!strcmp(dot, ".jsonl") || !strcmp(dot, ".jsonl.zst"))) || (stat(path, &s) == 0 && !S_ISREG(s.st_mode));
}

/* NAME.documents.jsonl.zst beside NAME.json. */
static bool open_outputs(run *r, em_error *err) {
    const em_settings *s = r->settings;
    for (int i = 0; i < s->n_outputs; i++)
        if (!em_report_format_of(s->outputs[i], err)) return false;
    for (int i = 0; i < s->n_outputs; i++)
        if (!try_output(s->outputs[i], err)) return false;
    if (s->profile_file && !try_output(s->profile_file, err)) return false;
    if (s->tokens_file && !is_jsonl(s->tokens_file))
        return em_fail(err, EM_USAGE, "--tokens %s: the name must end in .jsonl or .jsonl.zst", s->tokens_file);
    if (s->tokens_file && !(r->tokens = em_output_open(s->tokens_file, err))) return false;
    for (int i = 0; i < s->n_outputs; i++) {
        size_t n = strlen(s->outputs[i]);
        if (n < 6 || strcmp(s->outputs[i] + n - 5, ".json")) continue;
        if (r->documents) return em_fail(err, EM_USAGE, "-o %s: one .json a run is enough, copy it", s->outputs[i]);
        snprintf(r->documents_path, sizeof r->documents_path, "%.*s.documents.jsonl.zst", (int)(n - 5), s->outputs[i]);
        if (!(r->documents = em_output_open(r->documents_path, err))) return false;
    }
    return written_once(r, err);
}

static bool open_run(run *r, const em_settings *settings, em_error *err) {
    r->settings = settings;
    r->seconds_started = em_seconds();
    if (!em_setup_open(&r->setup, settings, err) || !open_outputs(r, err)) return false;
    r->setup.stop = &interrupted;
    const em_model_spec *spec = em_model_spec_of(r->setup.model);
    if (!open_network(r, err) || !model_windows(r, err)) return false;
    if (!(r->passes = em_passes_new(settings, err))) return false;
    r->combinations = settings->n_masks * settings->n_labels * settings->n_positions;
    size_t n = (size_t)(r->combinations * r->setup.n_datasets);
    r->results.results = em_alloc(n, sizeof *r->results.results, "results", err);
    r->results.data_sets = em_alloc((size_t)r->setup.n_datasets, sizeof *r->results.data_sets, "results", err);
    if (!r->results.results || !r->results.data_sets) return false;
    r->results.n_results = (int)n;
    r->results.n_data_sets = r->setup.n_datasets;
    snprintf(r->results.model, sizeof r->results.model, "%s", em_setup_model_name(&r->setup, settings));
    snprintf(r->results.family, sizeof r->results.family, "%s", spec->family);
    r->results.parameters = spec->parameters;
    r->results.layers = spec->layers;
    r->results.vocab = spec->vocab;
    em_protocol_shared(&r->results, settings, &r->setup, r->backend);
    r->progress = em_progress_start(settings->quiet);
    r->seconds_opened = em_seconds();
    return true;
}

static void close_run(run *r) {
    em_output_abort(r->tokens);
    em_output_abort(r->documents);
    em_passes_free(r->passes);
    em_network_close(r->network);
    if (r->backend) r->backend->ops->close(r->backend);
    em_setup_close(&r->setup);
    em_results_free(&r->results);
    em_buffer_free(&r->line);
    free(r->windows);
    free(r->leaks);
}

/* ---- one data set ---- */

/* Index of mask m, scheme l, positions q among a data set's results. */
static int combination(const em_settings *s, int m, int l, int q) {
    return (m * s->n_labels + l) * s->n_positions + q;
}

static bool open_statistics(run *r, stream *s, em_error *err) {
    const em_settings *o = r->settings;
    s->statistics = em_alloc((size_t)r->combinations, sizeof *s->statistics, "statistics", err);
    s->batch = em_alloc((size_t)r->combinations, sizeof *s->batch, "statistics", err);
    if (!s->statistics || !s->batch) return false;
    for (int m = 0; m < o->n_masks; m++)
        for (int l = 0; l < o->n_labels; l++)
            for (int q = 0; q < o->n_positions; q++) {
                int c = combination(o, m, l, q);
                bool by_document = em_mask_by_document(&o->masks[m]) || o->pack == EM_PACK_NONE;
                s->batch[c] = -1;
                if (!(s->statistics[c] = em_statistics_new(!by_document, err))) return false;
                em_protocol_result(&s->results[c], o, &r->setup, r->backend, &o->masks[m], o->labels[l],
                                   em_positions_resolve(o->positions[q], &o->masks[m]));
            }
    return true;
}

static bool open_stream(run *r, stream *s, int data_set, em_error *err) {
    const em_dataset *d = &r->setup.datasets[data_set];
    em_pack_options pack = {.mode = r->settings->pack, .row_tokens = r->setup.row_tokens, .max_tokens = r->settings->max_tokens};
    s->results = r->results.results + data_set * r->combinations;
    for (int i = 0; i < r->combinations; i++) snprintf(s->results[i].data_set, sizeof s->results[i].data_set, "%s", d->name);
    return open_statistics(r, s, err) && (s->loader = em_setup_loader(&r->setup, r->settings, d, err)) &&
           (s->packer = em_packer_open(s->loader, &pack, err)) &&
           (s->feed = em_feed_open(s->packer, r->settings, r->setup.row_tokens, err)) &&
           (!r->documents || (s->sidecar = em_sidecar_new(r->documents, d->name, r->combinations, err)));
}

static void close_stream(run *r, stream *s) {
    for (int i = 0; s->statistics && i < r->combinations; i++) em_statistics_free(s->statistics[i]);
    free(s->statistics);
    free(s->batch);
    em_sidecar_free(s->sidecar);
    em_feed_close(s->feed);
    em_packer_close(s->packer);
    em_loader_close(s->loader);
}

/* Which positions of the row can see their label, for from <= i < to of r->leaks. */
static bool find_leaks(run *r, const em_pass_view *v, const em_reading *reading, int offset, em_error *err) {
    return em_grow(&r->leaks, &r->leaks_capacity, (size_t)v->inputs, 1, "leaks", err) &&
           em_leak_row(v->lo, v->hi, v->inputs, r->windows, em_model_spec_of(r->setup.model)->layers, offset,
                       reading->from, reading->to, r->leaks, err);
}

static bool add_predictions(run *r, em_statistics *to, const em_fed_row *f, int l, const em_pass_view *v, em_error *err) {
    const em_reading *reading = &f->reading[l];
    const em_row *row = f->row;
    int offset = r->settings->labels[l]->offset;
    if (!find_leaks(r, v, reading, offset, err)) return false;
    int32_t own = em_row_segment(row, reading->from), other = em_row_segment(row, reading->from + offset);
    for (int32_t i = reading->from; i < reading->to; i++) {
        int32_t label = i + offset;
        while (row->segments[own].end <= i) own++;
        while (row->segments[other].end <= label) other++;
        bool boundary = own != other;
        if (boundary && r->settings->boundary == EM_BOUNDARY_DROP) continue;
        const em_segment *g = &row->segments[other];
        em_prediction p = {.nll = v->nll[(size_t)i * (size_t)v->stride], .label = row->ids[label],
                           .correct = v->argmax[i] == row->ids[label], .boundary = boundary,
                           .added = row->kind[label] == EM_TOKEN_ADDED, .leak = (em_leak)r->leaks[i], .bytes = row->bytes[label],
                           .group = g->group, .document = g->document, .place = g->place + (label - g->start),
                           .stream = row->stream + label};
        if (!em_statistics_add(to, &p, err)) return false;
    }
    return true;
}

static bool count_result(run *r, stream *s, int row, int m, int l, int q, em_error *err) {
    const em_fed_row *f = em_passes_row(r->passes, row);
    int c = combination(r->settings, m, l, q);
    if (f->reading[l].inputs < 1) return true;
    if (f->dropped[l]) {
        s->results[c].dropped_rows++;
        s->results[c].dropped_tokens += f->row->tokens;
        return true;
    }
    if (s->batch[c] >= 0 && s->batch[c] != f->batch[l]) em_statistics_end_batch(s->statistics[c]);
    s->batch[c] = f->batch[l];
    em_pass_view v = em_passes_view(r->passes, row, m, l, q);
    if (v.inputs && !add_predictions(r, s->statistics[c], f, l, &v, err)) return false;
    return em_statistics_end_row(s->statistics[c], err);
}

static bool count_row(run *r, stream *s, int row, em_error *err) {
    const em_settings *o = r->settings;
    const em_row *w = em_passes_row(r->passes, row)->row;
    for (int i = 0; s->sidecar && i < w->n_segments; i++) {
        const em_segment *g = &w->segments[i];
        if (!em_sidecar_document(s->sidecar, g->document, em_loader_group_name(s->loader, g->group), g->document_bytes, err))
            return false;
    }
    for (int m = 0; m < o->n_masks; m++)
        for (int l = 0; l < o->n_labels; l++)
            for (int q = 0; q < o->n_positions; q++)
                if (!count_result(r, s, row, m, l, q, err)) return false;
    r->tokens_done += w->tokens;
    const char *name = em_setup_model_name(&r->setup, o), *data_set = s->results->data_set;
    return !r->tokens || em_tokens_write_row(r->tokens, &r->line, o, name, data_set, r->passes, row, err);
}

/* Hands documents that no later row can add to on to the sidecar. */
static bool settle_documents(run *r, stream *s, int64_t before, em_error *err) {
    for (int c = 0; c < r->combinations; c++) {
        size_t n;
        const em_document_sum *sums = em_statistics_documents(s->statistics[c], before, &n, err);
        if (!sums) return false;
        for (size_t i = 0; s->sidecar && i < n; i++) em_sidecar_add(s->sidecar, c, &sums[i]);
        em_statistics_documents_taken(s->statistics[c]);
    }
    return !s->sidecar || em_sidecar_flush(s->sidecar, before, err);
}

/* An interrupted super-batch leaves no trace: the figures are those of the rows before it. */
static bool pass_failed(run *r, em_error *err) {
    if (err->status != EM_INTERRUPTED) return em_setup_blame_model(&r->setup, err);
    em_error_init(err);
    em_passes_clear(r->passes);
    return true;
}

static bool score_super_batch(run *r, stream *s, em_error *err) {
    int rows = em_passes_rows(r->passes);
    if (rows == 0) return true;
    r->passes_tokens += em_passes_padded(r->passes);
    if (!em_passes_run(r->passes, r->network, err)) return pass_failed(r, err);
    for (int i = 0; i < rows; i++)
        if (!count_row(r, s, i, err)) return false;
    const em_row *last = em_passes_row(r->passes, rows - 1)->row;
    if (!settle_documents(r, s, last->segments[last->n_segments - 1].document, err)) return false;
    em_passes_clear(r->passes);
    em_loader_counts counts;
    em_loader_counts_get(s->loader, &counts);
    em_progress_show(&r->progress, em_packer_documents(s->packer), r->tokens_done,
                     em_statistics_running_loss(s->statistics[0]), counts.position, counts.size);
    return true;
}

static bool score_all(run *r, stream *s, em_error *err) {
    int64_t enough = em_network_capacity(r->network);
    while (!interrupted) {
        em_fed_row *f;
        int got = em_feed_next(s->feed, &f, err);
        if (got < 0 && err->status == EM_INTERRUPTED) em_error_init(err), got = 0;     /* a partial report follows */
        if (got < 0) return false;
        if (got == 0) break;
        if (!em_passes_add(r->passes, f, err)) return false;
        if (em_passes_padded(r->passes) >= enough && !score_super_batch(r, s, err)) return false;
    }
    return score_super_batch(r, s, err);
}

static const char *group_name(const void *loader, int32_t group) {
    return em_loader_group_name(loader, group);
}

static bool finish_stream(run *r, stream *s, int data_set, em_error *err) {
    if (!settle_documents(r, s, INT64_MAX, err)) return false;
    em_data_set *d = &r->results.data_sets[data_set];
    em_loader_counts counts;
    em_loader_counts_get(s->loader, &counts);
    snprintf(d->name, sizeof d->name, "%s", r->setup.datasets[data_set].name);
    snprintf(d->first_bad, sizeof d->first_bad, "%s", counts.first_bad);
    for (int c = 0; c < r->combinations; c++) {
        em_result *x = &s->results[c];
        if (!em_statistics_finish(s->statistics[c], x, group_name, s->loader, err)) return false;
        snprintf(x->fingerprints.model, sizeof x->fingerprints.model, "%s", em_model_fingerprint(r->setup.model));
    }
    d->totals = (em_data_totals){
        .documents = em_packer_documents(s->packer), .empty_documents = counts.empty, .bad_records = counts.bad,
        .filtered_records = counts.filtered, .tokens = em_packer_tokens(s->packer), .bytes = em_packer_bytes(s->packer),
        .rows = em_feed_rows(s->feed), .batches = s->results[0].batches};
    return true;
}

static int64_t predictions_of(const run *r, const stream *s) {
    int64_t n = 0;
    for (int c = 0; c < r->combinations; c++) n += s->results[c].predictions;
    return n;
}

static bool score_data_set(run *r, int data_set, em_error *err) {
    stream s = {0};
    bool good = open_stream(r, &s, data_set, err) && score_all(r, &s, err) && finish_stream(r, &s, data_set, err);
    if (good && predictions_of(r, &s) == 0 && !interrupted) {
        const em_data_totals *t = &r->results.data_sets[data_set].totals;
        good = em_fail_at(err, EM_INPUT, r->setup.datasets[data_set].paths[0], 0, -1,
                          "no prediction to score: %lld documents, %lld tokens, %lld rows%s", (long long)t->documents,
                          (long long)t->tokens, (long long)t->rows,
                          r->settings->tail == EM_TAIL_DROP && t->rows ? ", all in an incomplete batch that --tail drop leaves out" : "");
    }
    close_stream(r, &s);
    return good;
}

/* ---- together ---- */

/* The results are of the data sets that an interrupted run came to. */
static bool score_data_sets(run *r, em_error *err) {
    int done = 0;
    for (; done < r->setup.n_datasets && !interrupted; done++)
        if (!score_data_set(r, done, err)) return false;
    r->results.n_data_sets = done;
    r->results.n_results = done * r->combinations;
    return done > 0 || em_fail(err, EM_INTERRUPTED, "interrupted before the first row");
}

static bool average_data_sets(run *r, em_error *err) {
    int sets = r->results.n_data_sets, n = r->combinations;
    if (sets < 2) return true;
    r->results.means = em_alloc((size_t)n, sizeof *r->results.means, "means", err);
    if (!r->results.means) return false;
    r->results.n_means = n;
    for (int c = 0; c < n; c++) {
        em_mean *mean = &r->results.means[c];
        double losses = 0, nll = 0, predictions = 0;
        for (int d = 0; d < sets; d++) {
            const em_result *x = &r->results.results[d * n + c];
            memcpy(mean->mask, x->mask, sizeof mean->mask);
            memcpy(mean->labels, x->labels, sizeof mean->labels);
            memcpy(mean->positions, x->positions, sizeof mean->positions);
            losses += x->loss;
            if (x->predictions) nll += x->loss * (double)x->predictions;
            predictions += (double)x->predictions;
        }
        mean->macro = losses / sets;
        mean->micro = nll / predictions;
    }
    return true;
}

static bool write_profile(run *r, em_error *err) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    const em_stage_times *t = &r->backend->times;
    double now = em_seconds(), scoring = now - r->seconds_opened;
    em_buffer b = {0};
    em_buffer_printf(&b, "{\"threads\": %d, \"isa\": \"%s\", \"seconds\": %.3f, \"open_seconds\": %.3f, \"tokens\": %lld, "
                     "\"padded_tokens\": %lld, \"tokens_per_second\": %.1f, \"peak_memory_bytes\": %lld,\n \"stages\": "
                     "{\"pack\": %.3f, \"embed\": %.3f, \"qkv\": %.3f, \"attention\": %.3f, \"output\": %.3f, \"ffn\": %.3f, \"head\": %.3f}}\n",
                     r->setup.threads, r->backend->isa, now - r->seconds_started, r->seconds_opened - r->seconds_started,
                     (long long)r->tokens_done, (long long)r->passes_tokens, (double)r->tokens_done / scoring,
                     (long long)usage.ru_maxrss * 1024, t->pack, t->embed, t->qkv, t->attention, t->output, t->ffn, t->head);
    em_output *out = em_output_open(r->settings->profile_file, err);
    bool good = out && em_output_write(out, b.data, b.length, err);
    em_buffer_free(&b);
    if (!good) return em_output_abort(out), false;
    return em_output_commit(out, err);
}

static bool commit(em_output **o, em_error *err) {
    em_output *out = *o;
    *o = NULL;
    return !out || em_output_commit(out, err);
}

/* stdout gets the Markdown in every case; files only a whole run's figures. */
static bool report(run *r, em_error *err) {
    em_buffer text = {0};
    em_report_markdown(&r->results, &text);
    bool good = em_print(text.data, text.length, err) == 0;
    em_buffer_free(&text);
    if (r->results.partial) return good;
    for (int i = 0; good && i < r->settings->n_outputs; i++) good = em_report_write(&r->results, r->settings->outputs[i], err);
    if (good && r->settings->profile_file) good = write_profile(r, err);
    return good && commit(&r->documents, err) && commit(&r->tokens, err);
}

int em_command_run(const em_settings *settings, em_error *err) {
    run r = {0};
    catch_interrupt();
    bool good = open_run(&r, settings, err);
    if (good && r.setup.bundled_sample && !settings->quiet) fputs("no --data: using the bundled sample\n", stderr);
    if (good && *r.setup.row_tokens_note && !settings->quiet) fprintf(stderr, "%s\n", r.setup.row_tokens_note);
    good = good && score_data_sets(&r, err);
    em_progress_end(&r.progress);
    if (good) {
        r.results.partial = interrupted;
        good = average_data_sets(&r, err);
        em_protocol_notes(&r.results, settings, &r.setup);
        good = good && report(&r, err);
    }
    bool partial = r.results.partial;
    close_run(&r);
    if (!good) return err->status;
    return partial ? EM_INTERRUPTED : EM_OK;
}
