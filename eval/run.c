/* The main job: rows through the model, figures out. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/output.h"
#include "common/size.h"
#include "eval/commands.h"
#include "eval/compare.h"
#include "eval/feed.h"
#include "eval/leak.h"
#include "eval/passes.h"
#include "eval/profile.h"
#include "eval/progress.h"
#include "eval/protocol.h"
#include "eval/setup.h"
#include "eval/sidecar.h"
#include "eval/statistics.h"
#include "eval/tokens_file.h"
#include "reports/reports.h"

/* Padded tokens in a super-batch at most: where layers are packed anew for each, rows share the cost. */
enum { SUPER_BATCH_TOKENS = 65536 };

/* Two sides whose difference is of interest. A side is a model, or an alpha behind the models. */
typedef struct pair { int before, after; } pair;

typedef struct run {
    const em_settings *settings;
    em_setup setup;
    em_backend *backend;
    em_network *networks[EM_MAX_MODELS];
    em_passes *passes;
    em_results results;
    int n_models, sides;        /* sides: models and alphas */
    int combinations;           /* masks x label schemes x positions */
    pair pairs[EM_MAX_MODELS * EM_MAX_MODELS / 2 + EM_MAX_ALPHAS];
    int n_pairs;
    int32_t *windows[EM_MAX_MODELS];    /* [layers]: each layer's own window */
    uint8_t *leaks[EM_MAX_MODELS];      /* [T]: scratch */
    size_t leaks_capacity[EM_MAX_MODELS];
    em_output *tokens, *documents;      /* --tokens, the sidecar; NULL: not asked for */
    char documents_path[4200];
    em_buffer line;
    em_progress progress;
    double seconds_started, seconds_opened;
    int64_t tokens_done, passes_tokens;
    em_loader_counts loading;           /* of all data sets: the seconds */
} run;

/* What belongs to one data set's pass. */
typedef struct stream {
    em_loader *loader;
    em_packer *packer;
    em_feed *feed;
    em_statistics **statistics;         /* [combinations, sides] */
    em_comparator **comparators;        /* [combinations, pairs] */
    int64_t *batch;                     /* [combinations]: the batch that is open; -1: none */
    em_sidecar *sidecar;
    em_result *results;                 /* [combinations, sides], inside run.results */
    em_comparison *comparisons;         /* [combinations, pairs], likewise */
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

static bool open_networks(run *r, em_error *err) {
    em_backend_options backend = {.threads = r->setup.threads,
                                  .compute = r->settings->dtype == EM_DTYPE_BF16 ? EM_BF16 : EM_F32};
    r->backend = em_backend_cpu_open(&backend, err);
    if (!r->backend) return false;
    for (int i = 0; i < r->n_models; i++) {
        r->networks[i] = em_setup_network(&r->setup, r->settings, i, r->backend, r->setup.row_tokens, SUPER_BATCH_TOKENS,
                                          r->settings->n_labels, err);
        if (!r->networks[i]) return false;
    }
    return true;
}

static bool model_windows(run *r, int i, em_error *err) {
    int layers = em_model_spec_of(r->setup.models[i])->layers;
    r->windows[i] = em_alloc((size_t)layers, sizeof *r->windows[i], "layer windows", err);
    for (int l = 0; r->windows[i] && l < layers; l++) r->windows[i][l] = em_model_layer_spec(r->setup.models[i], l)->window;
    return r->windows[i] != NULL;
}

/* All pairs of models, and every alpha against the first model. */
static void list_pairs(run *r) {
    for (int a = 0; a < r->n_models; a++)
        for (int b = a + 1; b < r->n_models; b++) r->pairs[r->n_pairs++] = (pair){a, b};
    for (int side = r->n_models; side < r->sides; side++) r->pairs[r->n_pairs++] = (pair){0, side};
}

static bool same_vocabulary(const run *r) {
    for (int i = 1; i < r->n_models; i++)
        if (em_model_spec_of(r->setup.models[i])->vocab != em_model_spec_of(r->setup.model)->vocab) return false;
    return true;
}

static void describe_models(run *r) {
    r->results.n_models = r->n_models;
    for (int i = 0; i < r->n_models; i++) {
        const em_model_spec *spec = em_model_spec_of(r->setup.models[i]);
        em_model_line *line = &r->results.models[i];
        snprintf(line->name, sizeof line->name, "%s", r->setup.names[i]);
        snprintf(line->family, sizeof line->family, "%s", spec->family);
        line->parameters = spec->parameters;
        line->layers = spec->layers;
        line->vocab = spec->vocab;
    }
}

static bool reserve_results(run *r, em_error *err) {
    em_results *x = &r->results;
    size_t sets = (size_t)r->setup.n_datasets, all = sets * (size_t)r->combinations;
    x->results = em_alloc(all * (size_t)r->sides, sizeof *x->results, "results", err);
    x->comparisons = em_alloc(all * (size_t)r->n_pairs, sizeof *x->comparisons, "results", err);
    x->data_sets = em_alloc(sets, sizeof *x->data_sets, "results", err);
    if (!x->results || !x->comparisons || !x->data_sets) return false;
    x->n_results = (int)all * r->sides;
    x->n_comparisons = (int)all * r->n_pairs;
    x->n_data_sets = (int)sets;
    return true;
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
    r->n_models = r->setup.n_models;
    r->sides = r->n_models + settings->alphas.n;
    r->combinations = settings->n_masks * settings->n_labels * settings->n_positions;
    list_pairs(r);
    if (!open_networks(r, err)) return false;
    for (int i = 0; i < r->n_models; i++)
        if (!model_windows(r, i, err)) return false;
    if (!(r->passes = em_passes_new(settings, r->n_models, same_vocabulary(r), err)) || !reserve_results(r, err)) return false;
    describe_models(r);
    em_protocol_shared(&r->results, settings, &r->setup, r->backend);
    r->progress = em_progress_start(settings->quiet);
    r->seconds_opened = em_seconds();
    return true;
}

static void close_run(run *r) {
    em_output_abort(r->tokens);
    em_output_abort(r->documents);
    em_passes_free(r->passes);
    for (int i = 0; i < r->n_models; i++) em_network_close(r->networks[i]);
    if (r->backend) r->backend->ops->close(r->backend);
    em_setup_close(&r->setup);
    em_results_free(&r->results);
    em_buffer_free(&r->line);
    for (int i = 0; i < r->n_models; i++) {
        free(r->windows[i]);
        free(r->leaks[i]);
    }
}

/* ---- one data set ---- */

typedef struct choice { int mask, labels, positions; } choice;

static choice choice_of(const em_settings *s, int c) {
    return (choice){c / (s->n_labels * s->n_positions), c / s->n_positions % s->n_labels, c % s->n_positions};
}

/* One combination's statistics and comparators, one a side and one a pair. */
static bool open_combination(run *r, stream *s, int c, em_error *err) {
    const em_settings *o = r->settings;
    choice k = choice_of(o, c);
    const em_mask *mask = &o->masks[k.mask];
    em_positions positions = em_positions_resolve(o->positions[k.positions], mask);
    bool by_document = em_mask_by_document(mask) || o->pack == EM_PACK_NONE;
    s->batch[c] = -1;
    for (int side = 0; side < r->sides; side++) {
        int i = c * r->sides + side;
        if (!(s->statistics[i] = em_statistics_new(!by_document, err))) return false;
        em_protocol_result(&s->results[i], o, &r->setup, r->backend, side, mask, o->labels[k.labels], positions);
    }
    for (int p = 0; p < r->n_pairs; p++) {
        int i = c * r->n_pairs + p;
        if (!(s->comparators[i] = em_comparator_new(&(em_comparator_options){.groups_are_rows = !by_document, .seed = (uint64_t)o->seed}, err))) return false;
        em_protocol_comparison(&s->comparisons[i], &s->results[c * r->sides + r->pairs[p].before],
                               &s->results[c * r->sides + r->pairs[p].after]);
    }
    return true;
}

static bool open_statistics(run *r, stream *s, em_error *err) {
    size_t n = (size_t)r->combinations;
    s->statistics = em_alloc(n * (size_t)r->sides, sizeof *s->statistics, "statistics", err);
    s->comparators = em_alloc(n * (size_t)r->n_pairs, sizeof *s->comparators, "statistics", err);
    s->batch = em_alloc(n, sizeof *s->batch, "statistics", err);
    if (!s->statistics || !s->comparators || !s->batch) return false;
    for (int c = 0; c < r->combinations; c++)
        if (!open_combination(r, s, c, err)) return false;
    return true;
}

static bool open_stream(run *r, stream *s, int data_set, em_error *err) {
    const em_dataset *d = &r->setup.datasets[data_set];
    em_pack_options pack = {.mode = r->settings->pack, .row_tokens = r->setup.row_tokens, .max_tokens = r->settings->max_tokens};
    int n = r->combinations * r->sides;
    s->results = r->results.results + data_set * n;
    s->comparisons = r->results.comparisons + data_set * r->combinations * r->n_pairs;
    for (int i = 0; i < n; i++) snprintf(s->results[i].data_set, sizeof s->results[i].data_set, "%s", d->name);
    return open_statistics(r, s, err) && (s->loader = em_setup_loader(&r->setup, r->settings, d, err)) &&
           (s->packer = em_packer_open(s->loader, &pack, err)) &&
           (s->feed = em_feed_open(s->packer, r->settings, r->setup.row_tokens, err)) &&
           (!r->documents || (s->sidecar = em_sidecar_new(r->documents, d->name, n, err)));
}

static void close_stream(run *r, stream *s) {
    for (int i = 0; s->statistics && i < r->combinations * r->sides; i++) em_statistics_free(s->statistics[i]);
    for (int i = 0; s->comparators && i < r->combinations * r->n_pairs; i++) em_comparator_free(s->comparators[i]);
    free(s->statistics);
    free(s->comparators);
    free(s->batch);
    em_sidecar_free(s->sidecar);
    em_feed_close(s->feed);
    em_packer_close(s->packer);
    em_loader_close(s->loader);
}

/* Which positions of the row can see their label in each model: r->leaks[model][from, to). */
static bool find_leaks(run *r, const em_pass_view *v, const em_reading *reading, int offset, em_error *err) {
    for (int i = 0; i < r->n_models; i++)
        if (!em_grow(&r->leaks[i], &r->leaks_capacity[i], (size_t)v->inputs, 1, "leaks", err) ||
            !em_leak_row(v->lo, v->hi, v->inputs, r->windows[i], em_model_spec_of(r->setup.models[i])->layers, offset,
                         reading->from, reading->to, r->leaks[i], err)) return false;
    return true;
}

/* An alpha's logits see what either model sees; direct counts as more than indirect. */
static em_leak side_leak(const run *r, int side, int32_t i) {
    if (side < r->n_models) return (em_leak)r->leaks[side][i];
    uint8_t a = r->leaks[0][i], b = r->leaks[1][i];
    return a == EM_LEAK_DIRECT || b == EM_LEAK_DIRECT ? EM_LEAK_DIRECT : a || b ? EM_LEAK_INDIRECT : EM_CLEAN;
}

/* What position i of a row contributes on every side. */
typedef struct spot {
    int32_t i, label;           /* position and the label's place in the window */
    int32_t id;                 /* the label */
    bool boundary;
    const em_segment *segment;  /* the label's */
} spot;

static bool add_sides(run *r, stream *s, int c, const em_row *row, const spot *at, const em_side_view *sides, em_error *err) {
    for (int side = 0; side < r->sides; side++) {
        const em_side_view *v = &sides[side];
        em_prediction p = {.nll = v->nll[(size_t)at->i * (size_t)v->stride], .label = at->id,
                           .correct = v->argmax[(size_t)at->i * (size_t)v->argmax_stride] == at->id, .boundary = at->boundary,
                           .added = row->kind[at->label] == EM_TOKEN_ADDED, .leak = side_leak(r, side, at->i),
                           .bytes = row->bytes[at->label], .group = at->segment->group, .document = at->segment->document,
                           .place = at->segment->place + (at->label - at->segment->start), .stream = row->stream + at->label};
        if (!em_statistics_add(s->statistics[c * r->sides + side], &p, err)) return false;
    }
    return true;
}

static bool add_pairs(run *r, stream *s, int c, const spot *at, const em_side_view *sides, em_error *err) {
    for (int k = 0; k < r->n_pairs; k++) {
        const em_side_view *a = &sides[r->pairs[k].before], *b = &sides[r->pairs[k].after];
        bool kl = r->pairs[k].before == 0 && b->kl;
        em_paired p = {.before = a->nll[(size_t)at->i * (size_t)a->stride], .after = b->nll[(size_t)at->i * (size_t)b->stride],
                       .same_top1 = a->argmax[(size_t)at->i * (size_t)a->argmax_stride] == b->argmax[(size_t)at->i * (size_t)b->argmax_stride],
                       .has_kl = kl, .kl = kl ? b->kl[at->i] : 0, .boundary = at->boundary, .group = at->segment->group,
                       .document = at->segment->document, .place = at->segment->place + (at->label - at->segment->start),
                       .stream = 0};
        if (!em_comparator_add(s->comparators[c * r->n_pairs + k], &p, err)) return false;
    }
    return true;
}

static bool add_predictions(run *r, stream *s, int c, const em_fed_row *f, int l, const em_side_view *sides, em_error *err) {
    const em_reading *reading = &f->reading[l];
    const em_row *row = f->row;
    int offset = r->settings->labels[l]->offset;
    int32_t own = em_row_segment(row, reading->from), other = em_row_segment(row, reading->from + offset);
    for (int32_t i = reading->from; i < reading->to; i++) {
        int32_t label = i + offset;
        while (row->segments[own].end <= i) own++;
        while (row->segments[other].end <= label) other++;
        spot at = {i, label, row->ids[label], own != other, &row->segments[other]};
        if (at.boundary && r->settings->boundary == EM_BOUNDARY_DROP) continue;
        if (!add_sides(r, s, c, row, &at, sides, err) || !add_pairs(r, s, c, &at, sides, err)) return false;
    }
    return true;
}

static bool add_row(run *r, stream *s, int row, int c, choice k, em_error *err) {
    const em_fed_row *f = em_passes_row(r->passes, row);
    em_pass_view v = em_passes_view(r->passes, row, k.mask, k.labels, k.positions);
    em_side_view sides[EM_MAX_MODELS + EM_MAX_ALPHAS];
    if (!v.inputs) return true;
    for (int i = 0; i < r->sides; i++) sides[i] = em_passes_side(r->passes, row, k.mask, k.labels, k.positions, i);
    return find_leaks(r, &v, &f->reading[k.labels], r->settings->labels[k.labels]->offset, err) &&
           add_predictions(r, s, c, f, k.labels, sides, err);
}

static void end_batch(run *r, stream *s, int c, int64_t batch) {
    for (int side = 0; s->batch[c] >= 0 && s->batch[c] != batch && side < r->sides; side++)
        em_statistics_end_batch(s->statistics[c * r->sides + side]);
    s->batch[c] = batch;
}

static bool count_combination(run *r, stream *s, int row, int c, em_error *err) {
    const em_fed_row *f = em_passes_row(r->passes, row);
    choice k = choice_of(r->settings, c);
    if (f->reading[k.labels].inputs < 1) return true;
    for (int side = 0; f->dropped[k.labels] && side < r->sides; side++) {
        s->results[c * r->sides + side].dropped_rows++;
        s->results[c * r->sides + side].dropped_tokens += f->row->tokens;
    }
    if (f->dropped[k.labels]) return true;
    end_batch(r, s, c, f->batch[k.labels]);
    if (!add_row(r, s, row, c, k, err)) return false;
    for (int side = 0; side < r->sides; side++)
        if (!em_statistics_end_row(s->statistics[c * r->sides + side], err)) return false;
    for (int p = 0; p < r->n_pairs; p++) em_comparator_end_row(s->comparators[c * r->n_pairs + p]);
    return true;
}

static bool count_row(run *r, stream *s, int row, em_error *err) {
    const em_row *w = em_passes_row(r->passes, row)->row;
    for (int i = 0; s->sidecar && i < w->n_segments; i++) {
        const em_segment *g = &w->segments[i];
        if (!em_sidecar_document(s->sidecar, g->document, em_loader_group_name(s->loader, g->group), g->document_bytes, err))
            return false;
    }
    for (int c = 0; c < r->combinations; c++)
        if (!count_combination(r, s, row, c, err)) return false;
    r->tokens_done += w->tokens;
    em_tokens_source source = {r->settings, r->setup.names, r->n_models, s->results->data_set, r->passes};
    return !r->tokens || em_tokens_write_row(r->tokens, &r->line, &source, row, err);
}

/* Hands documents that no later row can add to on to the sidecar. */
static bool settle_documents(run *r, stream *s, int64_t before, em_error *err) {
    for (int c = 0; c < r->combinations * r->sides; c++) {
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
    if (err->status != EM_INTERRUPTED) return false;
    em_error_init(err);
    em_passes_clear(r->passes);
    return true;
}

static bool score_super_batch(run *r, stream *s, em_error *err) {
    int rows = em_passes_rows(r->passes);
    if (rows == 0) return true;
    r->passes_tokens += em_passes_padded(r->passes);
    if (!em_passes_run(r->passes, r->networks, err)) return pass_failed(r, err);
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
    int64_t enough = em_network_capacity(r->networks[0]);
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
    r->loading.read_seconds += counts.read_seconds;
    r->loading.tokenize_seconds += counts.tokenize_seconds;
    r->loading.wait_seconds += counts.wait_seconds;
    snprintf(d->name, sizeof d->name, "%s", r->setup.datasets[data_set].name);
    snprintf(d->first_bad, sizeof d->first_bad, "%s", counts.first_bad);
    for (int i = 0; i < r->combinations * r->sides; i++)
        if (!em_statistics_finish(s->statistics[i], &s->results[i], group_name, s->loader, err)) return false;
    for (int i = 0; i < r->combinations * r->n_pairs; i++)
        if (!em_comparator_finish(s->comparators[i], NULL, &s->comparisons[i], group_name, s->loader, err)) return false;
    em_protocol_fingerprints(s->results, r->combinations, r->sides, &r->setup);
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
    r->results.n_results = done * r->combinations * r->sides;
    r->results.n_comparisons = done * r->combinations * r->n_pairs;
    return done > 0 || em_fail(err, EM_INTERRUPTED, "interrupted before the first row");
}

static bool average_data_sets(run *r, em_error *err) {
    int sets = r->results.n_data_sets, n = r->combinations * r->sides;
    if (sets < 2) return true;
    r->results.means = em_alloc((size_t)n, sizeof *r->results.means, "means", err);
    if (!r->results.means) return false;
    r->results.n_means = n;
    for (int c = 0; c < n; c++) {
        em_mean *mean = &r->results.means[c];
        double losses = 0, nll = 0, predictions = 0;
        for (int d = 0; d < sets; d++) {
            const em_result *x = &r->results.results[d * n + c];
            mean->has_alpha = x->has_alpha;
            mean->alpha = x->alpha;
            mean->depth = x->depth;
            mean->seq_len = x->seq_len;
            memcpy(mean->model, x->model, sizeof mean->model);
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

static em_profile profile_of(const run *r) {
    double now = em_seconds();
    em_profile p = {.threads = r->setup.threads, .seconds = now - r->seconds_started,
                    .open_seconds = r->seconds_opened - r->seconds_started, .read_seconds = r->loading.read_seconds,
                    .tokenize_seconds = r->loading.tokenize_seconds, .wait_seconds = r->loading.wait_seconds,
                    .tokens = r->tokens_done, .padded_tokens = r->passes_tokens, .peak_memory_bytes = em_peak_memory(),
                    .stages = r->backend->times};
    snprintf(p.isa, sizeof p.isa, "%s", r->backend->isa);
    for (int i = 0; i < r->n_models; i++) em_flops_add(&p.flops, em_network_flops(r->networks[i]));
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
