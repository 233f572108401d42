#include "eval/setup/device.h"
#include "eval/run/protocol.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "common/buffer.h"
#include "common/hash.h"

static const char *window_name(em_window_mode w) { return w == EM_WINDOW_NEXT ? "next" : "inside"; }
static const char *boundary_name(em_boundary b) { return b == EM_BOUNDARY_KEEP ? "keep" : "drop"; }
static const char *tail_name(em_tail t) { return t == EM_TAIL_PAD ? "pad" : "drop"; }
static const char *pack_name(em_pack_mode p) { return p == EM_PACK_STREAM ? "stream" : "none"; }
static const char *positions_name(em_positions p) {
    return p == EM_POSITIONS_RESET ? "reset" : "continuous";
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void special_line(em_results *r, const char *key, const em_special *s) {
    if (s->id < 0) em_results_protocol(r, key, "none%s%s", *s->origin ? ", by " : "", s->origin);
    else em_results_protocol(r, key, "%d %s, by %s", s->id, s->text, s->origin);
}

static void subsets_line(em_results *r, const em_data_settings *data) {
    em_buffer names = {0};
    for (int i = 0; i < data->n_subsets; i++)
        em_buffer_printf(&names, "%s%s", i ? ", " : "", data->subsets[i]);
    em_results_protocol(r, "subset", "%s", names.data);
    em_buffer_free(&names);
}

static void row_lengths_line(em_results *r, const em_setup *setup) {
    em_buffer lengths = {0};
    for (int i = 0; i < setup->n_row_lengths; i++)
        em_buffer_printf(&lengths, "%s%d", i ? ", " : "", setup->row_lengths[i]);
    em_results_protocol(r, "seq_len", "%s", lengths.data);
    em_buffer_free(&lengths);
}

static void pack_line(em_results *r, const em_protocol_settings *protocol) {
    bool both = protocol->n_packs > 1;
    em_results_protocol(r, "pack", "%s%s%s", pack_name(protocol->pack), both ? ", " : "",
                        both ? pack_name(protocol->packs[1]) : "");
}

static void put_score(em_buffer *b, const em_score_rule *rule) {
    if (rule->kind == EM_SCORE_LAST) em_buffer_printf(b, "last:%d", rule->last);
    else em_buffer_puts(b, rule->kind == EM_SCORE_HALF ? "half" : "all");
}

static void score_line(em_results *r, const em_score_rule *rule) {
    em_buffer score = {0};
    put_score(&score, rule);
    em_results_protocol(r, "score", "%s", score.data);
    em_buffer_free(&score);
}

void em_protocol_shared(em_results *r, const em_settings *settings, const em_setup *setup,
                        const em_backend *backend) {
    em_results_protocol(r, "tokenizer", "%s, %s", em_tokenizer_describe(setup->tokenizer),
                        base_name(setup->tokenizer_source));
    special_line(r, "bos", &setup->bos);
    special_line(r, "eos", &setup->eos);
    row_lengths_line(r, setup);
    if (settings->models.common_vocab) em_results_protocol(r, "common_vocab", "yes");
    if (settings->protocol.stride)
        em_results_protocol(r, "stride", "%d", settings->protocol.stride);
    if (settings->protocol.score.kind) score_line(r, &settings->protocol.score);
    em_results_protocol(r, "batch", "%d", settings->protocol.batch);
    pack_line(r, &settings->protocol);
    em_results_protocol(r, "window", "%s", window_name(settings->protocol.window));
    em_results_protocol(r, "boundary", "%s", boundary_name(settings->protocol.boundary));
    em_results_protocol(r, "tail", "%s", tail_name(settings->protocol.tail));
    em_results_protocol(r, "text_key", "%s", settings->data.text_key);
    em_results_protocol(r, "group_by", "%s", settings->data.group_by);
    if (settings->data.n_subsets) subsets_line(r, &settings->data);
    if (settings->data.max_docs)
        em_results_protocol(r, "max_docs", "%lld", (long long)settings->data.max_docs);
    if (settings->data.max_tokens)
        em_results_protocol(r, "max_tokens", "%lld", (long long)settings->data.max_tokens);
    if (settings->data.skip_bad_records) em_results_protocol(r, "skip_bad_records", "yes");
    if (settings->models.alpha_space == EM_ALPHA_WEIGHT)
        em_results_protocol(r, "alpha_space", "weight");
    em_results_protocol(r, "dtype", "%s",
                        settings->engine.dtype == EM_DTYPE_AUTO
                            ? em_device_auto_dtype(backend)
                            : em_dtype_name(backend->options.compute));
    em_results_protocol(r, "device", "%s, %s", backend->name, backend->isa);
}

/* Sorted key=value lines; a choice that cannot move this result's figures is not among them. */
static void fingerprint(em_result *out, const em_plan *plan) {
    const em_protocol_settings *s = plan->protocol;
    em_buffer b = {0};
    if (out->has_alpha && plan->alpha_space == EM_ALPHA_WEIGHT)
        em_buffer_puts(&b, "alpha_space=weight\n");
    if (s->tail == EM_TAIL_DROP) em_buffer_printf(&b, "batch=%d\n", s->batch);
    em_buffer_printf(&b, "boundary=%s\n", boundary_name(s->boundary));
    if (plan->vocab) em_buffer_printf(&b, "common_vocab=%d\n", plan->vocab);
    em_buffer_printf(&b,
                     "compute_dtype=%s\nlabels=%s\nlogit_dtype=%s\nmask=%s\npack=%s\npositions=%"
                     "s\n",
                     out->compute_dtype, out->labels, out->logit_dtype, out->mask,
                     pack_name(s->pack), out->positions);
    if (s->score.kind) {
        em_buffer_puts(&b, "score=");
        put_score(&b, &s->score);
        em_buffer_puts(&b, "\n");
    }
    em_buffer_printf(&b, "seq_len=%d\n", out->seq_len);
    if (s->stride && s->stride != out->seq_len) em_buffer_printf(&b, "stride=%d\n", s->stride);
    em_buffer_printf(&b, "tail=%s\n", tail_name(s->tail));
    if (*out->window) em_buffer_printf(&b, "window=%s\n", out->window);
    em_hash_hex(XXH3_128bits(b.data, b.length), out->fingerprints.protocol);
    em_buffer_free(&b);
}

void em_protocol_result(em_result *out, const em_plan *plan, em_cell cell, int32_t row_tokens,
                        const em_setup *setup, const em_backend *backend) {
    const em_protocol_settings *protocol = plan->protocol;
    const em_side *side = &plan->sides[cell.side];
    em_combination k = plan->combinations[cell.combination];
    const em_mask *mask = &protocol->masks[k.mask];
    const em_label_scheme *labels = protocol->labels[k.labels];
    out->has_alpha = side->alpha >= 0;
    if (out->has_alpha) out->alpha = plan->alphas->values[side->alpha];
    out->depth = side->depth;
    snprintf(out->model, sizeof out->model, "%s",
             out->has_alpha ? "amplified" : setup->names[side->model]);
    snprintf(out->group, sizeof out->group, "%s", setup->groups[side->model]);
    snprintf(out->mask, sizeof out->mask, "%s", mask->name);
    snprintf(out->labels, sizeof out->labels, "%s", labels->name);
    snprintf(out->positions, sizeof out->positions, "%s",
             positions_name(em_positions_resolve(protocol->positions[k.positions], mask)));
    snprintf(out->pack, sizeof out->pack, "%s", pack_name(protocol->pack));
    snprintf(out->offset_words, sizeof out->offset_words, "%s", labels->words);
    snprintf(out->mask_words, sizeof out->mask_words, "%s", mask->kind->words);
    if (labels->caller_shifts)
        snprintf(out->window, sizeof out->window, "%s", window_name(protocol->window));
    out->offset = labels->offset;
    out->seq_len = row_tokens;
    out->batch = protocol->batch;
    const em_model_spec *spec = em_model_spec_of(setup->models[side->model]);
    snprintf(out->weight_dtype, sizeof out->weight_dtype, "%s",
             *spec->weight_types ? spec->weight_types : em_dtype_name(spec->weight_dtype));
    snprintf(out->compute_dtype, sizeof out->compute_dtype, "%s",
             em_dtype_name(backend->options.compute));
    snprintf(out->logit_dtype, sizeof out->logit_dtype, "f32");
    fingerprint(out, plan);
}

void em_protocol_comparison(em_comparison *out, em_comparison_kind kind, const em_result *before,
                            const em_result *after) {
    out->kind = kind;
    memcpy(out->data_set, after->data_set, sizeof out->data_set);
    memcpy(out->before, before->model, sizeof out->before);
    memcpy(out->after, after->model, sizeof out->after);
    memcpy(out->mask, after->mask, sizeof out->mask);
    memcpy(out->positions, after->positions, sizeof out->positions);
    memcpy(out->mask_before, before->mask, sizeof out->mask_before);
    memcpy(out->positions_before, before->positions, sizeof out->positions_before);
    memcpy(out->labels, after->labels, sizeof out->labels);
    out->has_alpha = after->has_alpha;
    out->alpha = after->alpha;
    out->depth = after->depth;
    out->seq_len = after->seq_len;
}

/* A part that no pass needed, behind the last depth, is read now. */
static const char *model_fingerprint(const em_setup *setup, int i) {
    int layers = em_model_spec_of(setup->models[i])->layers;
    for (int part = -1; part <= layers; part++) em_model_hash_part(setup->models[i], part);
    return em_model_fingerprint(setup->models[i]);
}

void em_protocol_fingerprints(em_result *results, const em_plan *plan, const em_setup *setup) {
    char both[64];
    for (int i = 0; i < em_plan_cells(plan); i++) {
        const em_side *side = &plan->sides[i % plan->n_sides];
        em_fingerprints *f = &results[i].fingerprints;
        if (side->scored >= 0) {
            snprintf(f->model, sizeof f->model, "%s", model_fingerprint(setup, side->model));
            continue;
        }
        int n = snprintf(both, sizeof both, "%s %s", em_model_fingerprint(setup->models[0]),
                         em_model_fingerprint(setup->models[1]));
        em_hash_hex(XXH3_128bits(both, (size_t)n), f->model);
    }
}

static void result_notes(em_results *r, const em_result *x) {
    if (x->has_alpha) return;
    int vocab = r->models[0].vocab;
    for (int i = 0; i < r->n_models; i++)
        if (!strcmp(r->models[i].name, x->model)) vocab = r->models[i].vocab;
    double uniform = log((double)vocab);
    const char *who = r->n_models > 1 ? x->model : "", *of = *who ? ", " : "";
    if (x->leak)
        em_results_note(
            r,
            "LEAK: %s%sunder %s with %s labels %lld of %lld scored positions can see their own "
            "label "
            "(%lld directly, %lld through several layers); that loss is no measure of prediction.",
            who, of, x->mask, x->labels,
            (long long)(x->direct.predictions + x->indirect.predictions), (long long)x->predictions,
            (long long)x->direct.predictions, (long long)x->indirect.predictions);
    if (fabs(x->loss - uniform) < 0.1 * uniform)
        em_results_note(r,
                        "%s%s%s / %s: the loss %.4f is near ln V = %.4f, that of a uniform guess "
                        "over %d tokens.",
                        who, of, x->mask, x->labels, x->loss, uniform, vocab);
}

static bool any_of_subset(const em_results *r, const char *name) {
    for (int i = 0; i < r->n_results; i++)
        for (int k = 0; k < r->results[i].n_subsets; k++)
            if (!strcmp(r->results[i].subsets[k].name, name)) return true;
    return false;
}

/* A group that was asked for and is not there, while others are, would be missed by nobody. */
static void subset_notes(em_results *r, const em_data_settings *data) {
    for (int i = 0; i < data->n_subsets; i++)
        if (!any_of_subset(r, data->subsets[i]))
            em_results_note(r, "--subset %s: no prediction is of this group%s.", data->subsets[i],
                            r->partial ? ", so far" : "");
}

void em_protocol_notes(em_results *r, const em_settings *settings, const em_setup *setup) {
    if (r->partial)
        em_results_note(
            r, "PARTIAL: the run was interrupted; these are the figures of the rows done by then.");
    if (settings->models.bundled)
        em_results_note(r, "No --model was given: these are the bundled models of the config.");
    if (settings->data.bundled)
        em_results_note(r, "No --data was given: this is the config's %s.", settings->data.bundled);
    if (setup->bundled_sample)
        em_results_note(r, "No --data was given: this is the bundled sample shard.");
    for (size_t i = 0; i < setup->notes.n; i++) em_results_note(r, "%s.", setup->notes.text[i]);
    subset_notes(r, &settings->data);
    if (*setup->row_tokens_note) em_results_note(r, "%s.", setup->row_tokens_note);
    if (*setup->eos.note) em_results_note(r, "EOS: %s.", setup->eos.note);
    for (int i = 1; i < r->n_models; i++)
        if (r->models[i].vocab != r->models[0].vocab && !settings->models.common_vocab)
            em_results_note(r,
                            "The vocabulary of %s has %d tokens, that of %s %d: each loss is over "
                            "its own, and there is no KL; "
                            "--common-vocab takes the ids that both have.",
                            r->models[0].name, r->models[0].vocab, r->models[i].name,
                            r->models[i].vocab);
    for (int i = 0; i < r->n_data_sets; i++) {
        const em_data_set *d = &r->data_sets[i];
        if (d->totals.bad_records)
            em_results_note(r, "%s%s%lld broken records were skipped, the first: %s", d->name,
                            *d->name ? ": " : "", (long long)d->totals.bad_records, d->first_bad);
        if (*setup->datasets[i].left_out)
            em_results_note(r, "%s%sDirectories of --data: %s.", d->name, *d->name ? ": " : "",
                            setup->datasets[i].left_out);
    }
    for (int i = 0; i < settings->protocol.n_labels; i++)
        if (settings->protocol.labels[i]->offset == 2)
            em_results_note(r,
                            "%s: the caller and the library both shift, so every position is "
                            "scored on the token after next. "
                            "On a good model that gives losses near 10; it is no next-token loss.",
                            settings->protocol.labels[i]->name);
    for (int i = 0; i < r->n_results; i++) result_notes(r, &r->results[i]);
}
