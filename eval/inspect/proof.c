#include "eval/setup/device.h"
#include "eval/inspect/proof.h"

#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "eval/protocol/leak.h"
#include "model/network.h"

typedef struct proof {
    const em_proof *of;
    em_backend *backend;
    em_network *network;
    int32_t layers, *windows; /* the model's own, [layers] */
} proof;

/* One mask, label scheme and kind of positions. */
typedef struct trial {
    const em_label_scheme *scheme;
    em_reading reading;
    int32_t *lo, *hi, *positions, *labels;        /* [inputs] */
    uint8_t *leaks;                               /* [inputs]: em_leak of [from, to) */
    uint8_t *after;                               /* [layers + 1, inputs]: of em_leak_spread */
    int32_t changed[EM_PROOF_CHANGES], n_changed; /* positions whose label's token is changed */
    uint64_t *original;                           /* [inputs]: digests of the row as it is */
    /* a batch of copies of the row */
    int32_t copies;
    int64_t *start;
    int32_t *length, *ids, *argmax; /* length: [copies], the others [copies, inputs] */
    int32_t *all_lo, *all_hi, *all_positions, *all_labels;
    double *nll;
    uint64_t *digests;
} trial;

typedef struct tally {
    int64_t blind, blind_moved, seeing, seeing_moved; /* scored positions over all changes */
    int64_t own[3], own_moved[3];                     /* the label's own position, by em_leak */
    int32_t first_position, first_token;              /* of a blind one that moved */
} tally;

/* ---- opening ---- */

static bool open_engine(proof *p, em_error *err) {
    const em_settings *s = p->of->settings;
    const em_setup *setup = p->of->setup;
    p->layers = em_model_spec_of(setup->model)->layers;
    if (!(p->windows = em_alloc((size_t)p->layers, sizeof *p->windows, "layer windows", err)))
        return false;
    for (int32_t l = 0; l < p->layers; l++)
        p->windows[l] = em_model_layer_spec(setup->model, l)->window;
    if (!(p->backend = em_device_open_backend(&s->engine, s->output.quiet, setup, err)))
        return false;
    int32_t tokens = p->of->row->tokens;
    em_network_options needs = {.row_tokens = tokens,
                                .want_tokens = (EM_PROOF_CHANGES + 1) * em_network_padded(tokens),
                                .n_labels = 1,
                                .n_depths = 1};
    p->network = em_setup_network(setup, s->engine.memory, 0, p->backend, &needs, err);
    return p->network != NULL;
}

static void close_engine(proof *p) {
    em_network_close(p->network);
    if (p->backend) p->backend->ops->close(p->backend);
    free(p->windows);
}

static void trial_free(trial *t) {
    void *const owned[] = {t->lo,     t->hi,       t->positions, t->labels,        t->leaks,
                           t->after,  t->original, t->start,     t->length,        t->ids,
                           t->argmax, t->all_lo,   t->all_hi,    t->all_positions, t->all_labels,
                           t->nll,    t->digests};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
}

static bool trial_alloc(trial *t, int32_t layers, em_error *err) {
    static const char what[] = "the proof";
    size_t n = (size_t)t->reading.inputs, copies = (size_t)t->copies, all, levels;
    if (!em_size_mul(n, copies, &all) || !em_size_mul(n, (size_t)layers + 1, &levels))
        return em_fail_memory(err, n, what);
    return (t->lo = em_alloc(n, sizeof *t->lo, what, err)) &&
           (t->hi = em_alloc(n, sizeof *t->hi, what, err)) &&
           (t->positions = em_alloc(n, sizeof *t->positions, what, err)) &&
           (t->labels = em_alloc(n, sizeof *t->labels, what, err)) &&
           (t->leaks = em_alloc(n, 1, what, err)) && (t->after = em_alloc(levels, 1, what, err)) &&
           (t->original = em_alloc(n, sizeof *t->original, what, err)) &&
           (t->start = em_alloc(copies, sizeof *t->start, what, err)) &&
           (t->length = em_alloc(copies, sizeof *t->length, what, err)) &&
           (t->ids = em_alloc(all, sizeof *t->ids, what, err)) &&
           (t->argmax = em_alloc(all, sizeof *t->argmax, what, err)) &&
           (t->all_lo = em_alloc(all, sizeof *t->all_lo, what, err)) &&
           (t->all_hi = em_alloc(all, sizeof *t->all_hi, what, err)) &&
           (t->all_positions = em_alloc(all, sizeof *t->all_positions, what, err)) &&
           (t->all_labels = em_alloc(all, sizeof *t->all_labels, what, err)) &&
           (t->nll = em_alloc(all, sizeof *t->nll, what, err)) &&
           (t->digests = em_alloc(all, sizeof *t->digests, what, err));
}

/* ---- which tokens are changed ---- */

/* Chooses position i if it is scored and its label is an input that is not chosen yet. */
static void choose(trial *t, int32_t i) {
    int32_t label = i + t->scheme->offset;
    if (i < t->reading.from || i >= t->reading.to || label < 0 || label >= t->reading.inputs)
        return;
    for (int32_t c = 0; c < t->n_changed; c++)
        if (t->changed[c] == i) return;
    if (t->n_changed < EM_PROOF_CHANGES) t->changed[t->n_changed++] = i;
}

/* The row's ends, both sides of up to three documents' edges, and the rest evenly over the row. */
static void choose_all(trial *t, const em_row *row) {
    enum { EDGES = 3 };
    int32_t n = t->reading.to - t->reading.from, offset = t->scheme->offset;
    for (int32_t end = 0; end < 2; end++) {
        choose(t, t->reading.from + end);
        choose(t, t->reading.to - 1 - end);
    }
    for (int32_t e = 0; e < EDGES && row->n_segments > 1; e++) {
        int32_t edge = row->segments[1 + (row->n_segments - 1) * e / EDGES].start;
        for (int32_t i = edge - 1; i <= edge; i++) {
            choose(t, i);          /* the position beside the edge */
            choose(t, i - offset); /* the one whose label is there */
        }
    }
    for (uint32_t j = 1; j <= (uint32_t)n && t->n_changed < EM_PROOF_CHANGES; j++) {
        uint32_t golden =
            j * 2654435769u; /* j times the golden ratio, modulo 1, in 2^-32: evenly spread */
        choose(t, t->reading.from + (int32_t)((uint64_t)golden * (uint32_t)n >> 32));
    }
}

/* Another token of the same row, so that the changed row is still made of the data's own tokens. */
static int32_t other_token(const em_row *row, int32_t inputs, int32_t k, int32_t vocab) {
    for (int32_t m = 1; m < inputs; m++) {
        int32_t id = row->ids[(k + (int64_t)m * 31) % inputs];
        if (id != row->ids[k]) return id;
    }
    return (row->ids[k] + 1) % vocab;
}

/* ---- one trial ---- */

/* Runs copies of the row in one batch; copy c has the token at changed_at[c] replaced, -1: none. */
static bool run_copies(const proof *p, trial *t, const int32_t *changed_at, int32_t n,
                       em_error *err) {
    const em_row *row = p->of->row;
    int32_t vocab = em_model_spec_of(p->of->setup->model)->vocab;
    size_t inputs = (size_t)t->reading.inputs, bytes = inputs * sizeof *t->ids;
    for (int32_t c = 0; c < n; c++) {
        size_t at = (size_t)c * inputs;
        t->start[c] = (int64_t)at;
        t->length[c] = t->reading.inputs;
        memcpy(t->ids + at, row->ids, bytes);
        memcpy(t->all_lo + at, t->lo, bytes);
        memcpy(t->all_hi + at, t->hi, bytes);
        memcpy(t->all_positions + at, t->positions, bytes);
        memcpy(t->all_labels + at, t->labels, bytes);
        if (changed_at[c] >= 0)
            t->ids[at + (size_t)changed_at[c]] = other_token(row, t->reading.inputs, changed_at[c],
                                                             vocab);
    }
    em_row_batch batch = {.n_rows = n,
                          .start = t->start,
                          .length = t->length,
                          .ids = t->ids,
                          .positions = t->all_positions,
                          .lo = t->all_lo,
                          .hi = t->all_hi};
    em_score_request request = {.n_labels = 1, .labels = t->all_labels, .digest = true};
    em_scores scores = {.nll = t->nll, .argmax = t->argmax, .digest = t->digests};
    return em_network_score(p->network, &batch, &request, &scores, err);
}

static bool compare(const proof *p, trial *t, int32_t own, const uint64_t *digests, tally *sum,
                    em_error *err) {
    int32_t inputs = t->reading.inputs, token = own + t->scheme->offset;
    if (!em_leak_spread(t->lo, t->hi, inputs, p->windows, p->layers, token, t->after, err))
        return false;
    const uint8_t *sees = t->after + (size_t)p->layers * (size_t)inputs;
    for (int32_t i = t->reading.from; i < t->reading.to; i++) {
        bool moved = digests[i] != t->original[i];
        if (moved && !sees[i] && sum->blind_moved == 0) {
            sum->first_position = i;
            sum->first_token = token;
        }
        *(sees[i] ? &sum->seeing : &sum->blind) += 1;
        *(sees[i] ? &sum->seeing_moved : &sum->blind_moved) += moved;
    }
    sum->own[t->leaks[own]]++;
    sum->own_moved[t->leaks[own]] += digests[own] != t->original[own];
    return true;
}

static bool run_changes(const proof *p, trial *t, tally *sum, em_error *err) {
    int32_t none = -1, at[EM_PROOF_CHANGES];
    if (!run_copies(p, t, &none, 1, err)) return false;
    memcpy(t->original, t->digests, (size_t)t->reading.inputs * sizeof *t->original);
    for (int32_t first = 0; first < t->n_changed; first += t->copies) {
        int32_t n = t->n_changed - first < t->copies ? t->n_changed - first : t->copies;
        for (int32_t c = 0; c < n; c++) at[c] = t->changed[first + c] + t->scheme->offset;
        if (!run_copies(p, t, at, n, err)) return false;
        for (int32_t c = 0; c < n; c++)
            if (!compare(p, t, t->changed[first + c],
                         t->digests + (size_t)c * (size_t)t->reading.inputs, sum, err))
                return false;
    }
    return true;
}

static bool prepare(const proof *p, trial *t, const em_mask *mask, em_positions resolved,
                    em_error *err) {
    const em_row *row = p->of->row;
    int32_t inputs = t->reading.inputs;
    int64_t fit = em_network_capacity(p->network) / em_network_padded(inputs);
    t->copies = fit < 1 ? 1 : fit < EM_PROOF_CHANGES ? (int32_t)fit : EM_PROOF_CHANGES;
    if (!trial_alloc(t, p->layers, err)) return false;
    em_mask_intervals(mask, row, inputs, t->lo, t->hi);
    em_positions_fill(resolved, row, inputs, t->positions);
    for (int32_t i = 0; i < inputs; i++) {
        bool scored = i >= t->reading.from && i < t->reading.to;
        t->labels[i] = scored ? row->ids[i + t->scheme->offset] : -1;
    }
    choose_all(t, row);
    return em_leak_row(t->lo, t->hi, inputs, p->windows, p->layers, t->scheme->offset,
                       t->reading.from, t->reading.to, t->leaks, err);
}

/* ---- the verdict ---- */

static void own_line(const tally *s, em_leak class, const char *name, em_buffer *out) {
    if (s->own[class])
        em_buffer_printf(out, "    - %s: %lld of %lld moved\n", name,
                         (long long)s->own_moved[class], (long long)s->own[class]);
}

static void verdict(const trial *t, const em_mask *mask, const char *positions, const tally *s,
                    em_buffer *out) {
    em_buffer_printf(out,
                     "- **%s, %s labels, %s positions**: %d label tokens changed, one at a time\n",
                     mask->name, t->scheme->name, positions, t->n_changed);
    em_buffer_printf(out, "  - positions that cannot see the changed token: %lld of %lld moved\n",
                     (long long)s->blind_moved, (long long)s->blind);
    em_buffer_printf(out, "  - positions that can: %lld of %lld moved\n",
                     (long long)s->seeing_moved, (long long)s->seeing);
    em_buffer_puts(out, "  - the position that is scored on the changed token\n");
    own_line(s, EM_LEAK_DIRECT, "sees it directly", out);
    own_line(s, EM_LEAK_INDIRECT, "sees it indirectly", out);
    own_line(s, EM_CLEAN, "clean", out);
    if (s->blind_moved)
        em_buffer_printf(
            out, "  - **REFUTED**: position %d moved when token %d changed, which it cannot see\n",
            s->first_position, s->first_token);
    else if (s->seeing && !s->seeing_moved)
        em_buffer_puts(out, "  - nothing proved: no change of a token moved anything at all\n");
    else if (s->blind)
        em_buffer_puts(
            out, "  - **PROVED**: no logit moved, not by one bit, where the audit says clean\n");
    else
        em_buffer_puts(
            out,
            "  - nothing to prove: every scored position can see every token that was changed\n");
}

static bool try_one(const proof *p, const em_mask *mask, const em_label_scheme *scheme,
                    em_positions resolved, em_buffer *out, bool *refuted, em_error *err) {
    const em_settings *s = p->of->settings;
    em_row_rules rules = em_protocol_row_rules(&s->protocol, p->of->setup->row_tokens);
    trial t = {.scheme = scheme, .reading = em_labels_read(scheme, &rules, p->of->row)};
    tally sum = {0};
    if (t.reading.from >= t.reading.to) return true;
    bool good = prepare(p, &t, mask, resolved, err) && run_changes(p, &t, &sum, err);
    if (good) verdict(&t, mask, resolved == EM_POSITIONS_RESET ? "reset" : "continuous", &sum, out);
    *refuted |= sum.blind_moved > 0;
    trial_free(&t);
    return good;
}

bool em_proof_run(const em_proof *of, em_buffer *out, bool *refuted, em_error *err) {
    const em_settings *s = of->settings;
    proof p = {.of = of};
    *refuted = false;
    bool good = open_engine(&p, err);
    if (good)
        em_buffer_printf(out, "\n# Proof on the model: %d layers, %s\n\n", p.layers,
                         em_dtype_name(p.backend->options.compute));
    for (int m = 0; m < s->protocol.n_masks; m++)
        for (int l = 0; l < s->protocol.n_labels; l++)
            for (int q = 0; q < s->protocol.n_positions; q++)
                good = good && try_one(&p, &s->protocol.masks[m], s->protocol.labels[l],
                                       em_positions_resolve(s->protocol.positions[q],
                                                            &s->protocol.masks[m]),
                                       out, refuted, err);
    close_engine(&p);
    return good;
}
