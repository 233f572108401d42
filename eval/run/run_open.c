/* What a run opens before its first row, on every rank, and closes at its end. */
#include <stdio.h>
#include <string.h>

#include "common/size.h"
#include "eval/setup/device.h"
#include "eval/process/clock.h"
#include "eval/process/interrupt.h"
#include "eval/run/protocol.h"
#include "eval/run/run_parts.h"

/* Padded tokens in a super-batch at most: where layers are packed anew for each, rows share the
 * cost. */
enum { SUPER_BATCH_TOKENS = 65536 };

static bool open_backend(em_run *r, em_error *err) {
    r->backend = em_device_open_backend(&r->settings->engine, r->settings->output.quiet, &r->setup,
                                        err);
    return r->backend != NULL;
}

bool em_run_is_root(const em_run *r) { return !r->ranks || r->ranks->rank == 0; }

em_tools em_run_tools(const em_run *r) {
    return (em_tools){.plan = &r->plan, .setup = &r->setup, .networks = r->networks};
}

/* How many super-batches' arrays are there at once: on rank 0 the pipeline's, of which only the one
 * at work has scores and the others, later, digests that are smaller, beside messages; on others a
 * job's at work, the next one's and a message. */
static int batches_held(const em_run *r) {
    if (!r->ranks) return 1;
    return em_run_is_root(r) ? em_pipeline_depth(r->ranks->n) + r->ranks->n : 3;
}

static bool open_networks(em_run *r, em_error *err) {
    em_network_options needs = {.row_tokens = r->setup.row_tokens,
                                .want_tokens = SUPER_BATCH_TOKENS,
                                .batches = batches_held(r),
                                .n_labels = r->settings->protocol.n_labels,
                                .n_alphas = r->plan.n_logit_alphas,
                                .vocab = r->plan.vocab};
    for (int i = 0; i < r->plan.n_models; i++) {
        needs.n_depths = r->plan.models[i].n_scored;
        r->networks[i] = em_setup_network(&r->setup, r->settings->engine.memory, i, r->backend,
                                          &needs, err);
        if (!r->networks[i]) return false;
    }
    return true;
}

static void describe_models(em_run *r) {
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

int em_run_streams(const em_run *r) { return r->setup.n_datasets * r->setup.n_row_lengths; }

static bool reserve_results(em_run *r, em_error *err) {
    em_results *x = &r->results;
    x->n_results = em_run_streams(r) * em_plan_cells(&r->plan);
    x->n_comparisons = em_run_streams(r) * r->plan.n_pairs;
    x->n_data_sets = r->setup.n_datasets;
    x->results = em_alloc((size_t)x->n_results, sizeof *x->results, "results", err);
    x->comparisons = em_alloc((size_t)x->n_comparisons, sizeof *x->comparisons, "results", err);
    x->data_sets = em_alloc((size_t)x->n_data_sets, sizeof *x->data_sets, "results", err);
    return x->results && x->comparisons && x->data_sets;
}

/* Several row lengths read the data anew for each. */
static bool check_rereading(const em_run *r, em_error *err) {
    int readings = r->setup.n_row_lengths *
                   (r->settings->protocol.n_packs > 1 ? r->settings->protocol.n_packs : 1);
    if (readings < 2) return true;
    for (int i = 0; i < r->settings->data.n_sets; i++)
        if (!strcmp(r->settings->data.sets[i].path, "-"))
            return em_fail(err, EM_USAGE,
                           "--data -: stdin can be read once, and row lengths and packings read "
                           "the data %d times; give a file",
                           readings);
    bool alone = false;
    for (int i = 0; i < r->setup.n_datasets; i++)
        alone |= r->setup.datasets[i].pack == EM_PACK_NONE;
    if (r->setup.n_row_lengths > 1 && r->settings->protocol.tail == EM_TAIL_DROP && alone)
        return em_fail(err, EM_USAGE,
                       "--pack none with --tail drop and several row lengths: which documents are "
                       "dropped would differ from "
                       "length to length; use --tail pad");
    return true;
}

/* The files that grow, from where a journal says that they count. */
static bool open_outputs(em_run *r, em_error *err) {
    em_outputs_journal journal;
    em_input_paths given = em_checkpoints_inputs(r->settings);
    if (!em_outputs_apart(&r->settings->output, &given, &r->setup, err)) return false;
    if (!r->settings->output.journal)
        return em_outputs_open(&r->outputs, &r->settings->output, NULL, err);
    return (r->journal = em_checkpoints_open(r->settings, &r->setup, r->backend, err)) &&
           em_checkpoints_outputs(r->journal, em_run_streams(r), &journal, err) &&
           em_outputs_open(&r->outputs, &r->settings->output, &journal, err);
}

/* What every rank opens; rank 0 has the outputs. */
static bool open_run(em_run *r, em_error *err) {
    r->seconds_started = em_seconds();
    const em_settings *s = r->settings;
    em_setup_needs needs = {.models = &s->models,
                            .data = &s->data,
                            .protocol = &s->protocol,
                            .threads = s->engine.threads};
    if (!em_setup_open(&r->setup, &needs, err) || !check_rereading(r, err)) return false;
    if (r->ranks) r->setup.node_rank = r->ranks->node_rank, r->setup.node_ranks = r->ranks->node_n;
    if (!open_backend(r, err)) return false;
    if (em_run_is_root(r) && !open_outputs(r, err)) return false;
    r->setup.stop = &em_interrupted;
    if (!em_plan_make(&r->plan, &s->models, &s->protocol, &r->setup, err)) return false;
    r->plan.tokens = s->output.tokens_file != NULL;
    return open_networks(r, err);
}

static void record_devices(em_run *r, const em_buffer *devices) {
    if (!devices->length) return;
    em_results_protocol(&r->results, "mixed", "%s", devices->data);
    em_results_note(&r->results,
                    "Ranks computed on unlike devices (--mixed): %s. Last digits depend on which "
                    "of them a row met.",
                    devices->data);
}

/* Whether this rank and all others are open. */
static bool agree(em_run *r, bool opened, em_pipeline_options *pipeline, em_error *err) {
    em_rank_info info = {.err = *err};
    em_buffer devices = {0};
    if (!r->ranks) return opened;
    if (opened) em_rank_info_fill(&info, &r->setup, &r->plan, r->backend, r->networks);
    bool good = r->ranks->ops->agree(r->ranks, &info, r->settings->engine.mixed, &devices, err);
    pipeline->capacity = info.capacity;
    pipeline->job = info.job;
    if (good) record_devices(r, &devices);
    em_buffer_free(&devices);
    return good && (!em_run_is_root(r) || r->ranks->ops->start(r->ranks, &pipeline->tools, err));
}

static bool open_counting(em_run *r, const em_pipeline_options *pipeline, em_error *err) {
    if (!(r->pipeline = em_pipeline_open(pipeline, err)) ||
        !(r->digest = em_digest_new(&r->plan, err)) || !reserve_results(r, err))
        return false;
    describe_models(r);
    if (r->settings->experiment) {
        snprintf(r->results.table, sizeof r->results.table, "%s", r->settings->experiment->table);
        snprintf(r->results.title, sizeof r->results.title, "%s", r->settings->experiment->title);
    }
    em_protocol_shared(&r->results, r->settings, &r->setup, r->backend);
    r->progress = em_progress_start(r->settings->output.quiet);
    r->seconds_opened = em_seconds();
    return true;
}

bool em_run_open(em_run *r, em_error *err) {
    em_pipeline_options pipeline = {
        .tools = em_run_tools(r), .ranks = r->ranks, .stop = &em_interrupted};
    return agree(r, open_run(r, err), &pipeline, err) &&
           (!em_run_is_root(r) || open_counting(r, &pipeline, err));
}

/* A journal without anything to go on from goes, and what was written with it. */
static void close_journal(em_run *r) {
    em_error ignored = EM_ERROR_INIT;
    if (!r->journal) return;
    r->outputs.keep = !em_checkpoints_empty(r->journal);
    if (r->outputs.keep) em_checkpoints_close(r->journal);
    else em_checkpoints_remove(r->journal, &ignored);
}

void em_run_close(em_run *r) {
    close_journal(r);
    em_outputs_close(&r->outputs);
    if (r->ranks) r->ranks->ops->close(r->ranks);
    em_pipeline_close(r->pipeline);
    em_digest_free(r->digest);
    for (int i = 0; i < r->plan.n_models; i++) em_network_close(r->networks[i]);
    if (r->backend) r->backend->ops->close(r->backend);
    em_plan_free(&r->plan);
    em_setup_close(&r->setup);
    em_results_free(&r->results);
}
