/* The main job: rows through the model, figures out. */
#include <stdio.h>
#include <string.h>

#include "common/size.h"
#include "eval/process/clock.h"
#include "eval/process/interrupt.h"
#include "eval/run/protocol.h"
#include "eval/run/run.h"
#include "eval/run/run_parts.h"

/* ---- one data set ---- */

/* Tokens of the stream: which batches are whole depends on it. Interrupted, nothing of the data set
 * is scored. */
static bool count_tokens(em_run *r, int data_set, int64_t *total, em_error *err) {
    em_stream s = {.data_set = data_set};
    em_row *row;
    int got = 0;
    bool good = em_stream_packer(r, &s, err);
    while (good && (got = em_packer_next(s.packer, &row, err)) > 0) em_row_free(row);
    if (good) *total = em_packer_tokens(s.packer);
    em_stream_close(&s);
    if ((!good || got < 0) && err->status == EM_INTERRUPTED) return em_error_init(err), true;
    return good && got == 0;
}

/* Row length after row length, the shortest first: the others' growth is against it. *done: results
 * that are there. */
static bool score_data_set(em_run *r, int data_set, int *done, em_error *err) {
    em_tally *shortest = NULL;
    int64_t total = EM_UNKNOWN_TOTAL;
    bool several = r->setup.n_row_lengths > 1, good = true;
    r->in_force.protocol.pack = r->setup.datasets[data_set].pack;
    em_stream last = {.data_set = data_set, .length = r->setup.n_row_lengths - 1};
    if (several && r->settings->protocol.tail == EM_TAIL_DROP && !em_stream_in_journal(r, &last) &&
        !count_tokens(r, data_set, &total, err))
        return false;
    for (int length = 0; good && !em_interrupted && length < r->setup.n_row_lengths; length++) {
        em_stream s = {.data_set = data_set, .length = length};
        good = em_stream_score(r, &s, total, shortest, err);
        *done += s.counted;
        if (length == 0) shortest = s.tally;
        else em_tally_free(s.tally);
    }
    em_tally_free(shortest);
    return good;
}

/* ---- together ---- */

/* The results are of the streams that an interrupted run came to. */
static bool score_data_sets(em_run *r, em_error *err) {
    int done = 0, lengths = r->setup.n_row_lengths;
    for (int d = 0; d < r->setup.n_datasets && !em_interrupted; d++)
        if (!score_data_set(r, d, &done, err)) return false;
    r->results.n_data_sets = (done + lengths - 1) / lengths;
    r->results.n_results = done * em_plan_cells(&r->plan);
    r->results.n_comparisons = done * r->plan.n_pairs;
    return done > 0 || em_fail(err, EM_INTERRUPTED, "interrupted before the first row");
}

static void average(const em_run *r, int which, em_mean *mean) {
    int sets = r->results.n_data_sets, n = r->setup.n_row_lengths * em_plan_cells(&r->plan);
    double losses = 0, nll = 0, predictions = 0;
    for (int d = 0; d < sets; d++) {
        const em_result *x = &r->results.results[d * n + which];
        losses += x->loss;
        if (x->predictions) nll += x->loss * (double)x->predictions;
        predictions += (double)x->predictions;
    }
    const em_result *x = &r->results.results[which];
    *mean = (em_mean){.has_alpha = x->has_alpha,
                      .alpha = x->alpha,
                      .depth = x->depth,
                      .seq_len = x->seq_len,
                      .macro = losses / sets,
                      .micro = nll / predictions};
    memcpy(mean->model, x->model, sizeof mean->model);
    memcpy(mean->mask, x->mask, sizeof mean->mask);
    memcpy(mean->labels, x->labels, sizeof mean->labels);
    memcpy(mean->positions, x->positions, sizeof mean->positions);
}

/* Only of whole data sets (an interrupted run may lack row lengths of its last one), and not where
 * they are the same data packed twice. */
static bool average_data_sets(em_run *r, em_error *err) {
    int n = r->setup.n_row_lengths * em_plan_cells(&r->plan);
    if (r->settings->protocol.n_packs > 1 || r->results.n_data_sets < 2 ||
        r->results.n_results < r->results.n_data_sets * n)
        return true;
    r->results.means = em_alloc((size_t)n, sizeof *r->results.means, "means", err);
    if (!r->results.means) return false;
    r->results.n_means = n;
    for (int i = 0; i < n; i++) average(r, i, &r->results.means[i]);
    return true;
}

static em_profile profile_of(const em_run *r) {
    double now = em_seconds();
    em_profile p = {.ranks = r->ranks ? r->ranks->n : 1,
                    .threads = r->setup.threads,
                    .seconds = now - r->seconds_started,
                    .open_seconds = r->seconds_opened - r->seconds_started,
                    .read_seconds = r->loading.read_seconds,
                    .tokenize_seconds = r->loading.tokenize_seconds,
                    .wait_seconds = r->loading.wait_seconds,
                    .tokens = r->tokens_done,
                    .padded_tokens = r->padded_tokens,
                    .peak_memory_bytes = em_peak_memory(),
                    .peak_device_bytes = (int64_t)r->backend->device_peak,
                    .processor_seconds = em_processor_seconds(),
                    .stages = r->backend->times};
    snprintf(p.isa, sizeof p.isa, "%s", r->backend->isa);
    for (int i = 0; i < r->plan.n_models; i++)
        em_flops_add(&p.flops, em_network_flops(r->networks[i]));
    return p;
}

static bool write_profile(const em_run *r, em_error *err) {
    em_buffer b = {0};
    em_profile p = profile_of(r);
    em_profile_print(&p, &b);
    em_output *out = em_output_open(r->settings->output.profile_file, err);
    bool good = out && em_output_write(out, b.data, b.length, err);
    em_buffer_free(&b);
    if (!good) return em_output_abort(out), false;
    return em_output_commit(out, err);
}

/* The outputs have their names: nothing is left to go on with. */
static bool end_journal(em_run *r, em_error *err) {
    em_checkpoints *journal = r->journal;
    r->journal = NULL;
    return !journal || em_checkpoints_remove(journal, err);
}

static bool report(em_run *r, em_error *err) {
    if (!em_outputs_judge(&r->outputs, &r->results, err) ||
        !em_outputs_write(&r->outputs, &r->results, err))
        return false;
    if (r->results.partial) return true;
    if (r->settings->output.profile_file && !write_profile(r, err)) return false;
    return em_outputs_commit(&r->outputs, err) && end_journal(r, err);
}

static bool measure(em_run *r, em_error *err) {
    if (!r->settings->output.quiet) em_setup_notes(&r->setup);
    em_settings_notes(r->settings);
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
    if (!s->engine.threads) s->engine.threads = ranks->threads;
    if (ranks->rank > 0) s->output.quiet = true;
}

int em_command_run(const em_settings *settings, em_error *err) {
    em_run r = {0};
    r.in_force = *settings;
    r.settings = &r.in_force;
    em_catch_interrupt();
    bool good = em_ranks_open(&r.ranks, err);
    share_node(&r.in_force, r.ranks);
    good = good && em_run_open(&r, err);
    em_tools tools = em_run_tools(&r);
    if (em_run_is_root(&r)) good = good && measure(&r, err);
    else good = good && r.ranks->ops->work(r.ranks, &tools, &em_interrupted, err);
    if (good && r.outputs.verdict.status != EM_OK) good = false, *err = r.outputs.verdict;
    bool partial = r.results.partial;
    if (good && partial && r.journal && !em_checkpoints_empty(r.journal) && !settings->output.quiet)
        fprintf(stderr, "%s has what is done; the same command goes on\n",
                settings->output.journal);
    if (!good) em_interrupted = 1; /* what still computes ends before its next layer */
    em_run_close(&r);
    if (!good) return err->status;
    return partial ? EM_INTERRUPTED : EM_OK;
}
