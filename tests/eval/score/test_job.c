/* A super-batch from rows to digests: here or in another process, on any number of threads, in
 * whatever super-batches, its counts are the same, and what they add up to is what the losses say.
 * Messages that are cut short or hold what no row has are refused. The networks are a stand-in: a
 * token's loss tells its place and what it sees. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "eval/score/job.h"
#include "eval/run/tally.h"

enum { T = 12, MODELS = 2, SCHEMES = 2, MASKS = 2, CELLS = MASKS * SCHEMES * MODELS, VOCAB = 40 };

/* ---- stand-ins ---- */

struct em_loader {
    int next;
    em_document document;
};

int em_loader_next(em_loader *l, const em_document **out, em_error *err) {
    static const int lengths[] = {30, 5, 5, 1, 17, 40, 3, 3, 25};
    static int32_t ids[64];
    static uint32_t bytes[64];
    if (l->next == (int)(sizeof lengths / sizeof *lengths)) return 0;
    int n = lengths[l->next];
    for (int i = 0; i < n; i++)
        ids[i] = (l->next * 7 + i * 3) % VOCAB, bytes[i] = (uint32_t)(1 + i % 4);
    l->document = (em_document){.index = l->next,
                                .group = l->next % 3,
                                .bytes = 100,
                                .n_after = 1,
                                .tokens = {.ids = ids, .bytes = bytes, .n = (size_t)n}};
    l->next++;
    *out = &l->document;
    return 1;
}

struct em_network {
    int model;
};
static em_network stand_ins[MODELS] = {{0}, {1}};
static em_network *const networks[MODELS] = {&stand_ins[0], &stand_ins[1]};

static double loss(int model, int32_t id, int32_t position, int32_t lo, int32_t label) {
    return 1 + 0.125 * id + 0.01 * position + 0.3 * lo + 0.07 * label +
           model * 0.001 * (id % 5 - 2);
}

int64_t em_network_padded(int64_t tokens) { return (tokens + 7) / 8 * 8; }
int64_t em_network_capacity(const em_network *n) { return 40; }
bool em_network_forward(em_network *n, const em_row_batch *b, em_error *err) { return true; }
bool em_network_score_depths(em_network *n, const em_row_batch *b, const em_score_request *q,
                             const int *depths, int n_depths, em_scores *o, em_error *err) {
    return false;
}

static void score(int model, const em_row_batch *b, const em_score_request *q, em_scores *out) {
    for (int r = 0; r < b->n_rows; r++)
        for (int64_t i = b->start[r]; i < b->start[r] + b->length[r]; i++) {
            out->argmax[i] = b->ids[i] % 3 ? b->ids[i] : (b->ids[i] + 3) % VOCAB;
            for (int l = 0; l < q->n_labels; l++) {
                int32_t label = q->labels[i * q->n_labels + l];
                if (label >= 0)
                    out->nll[i * q->n_labels + l] = loss(model, b->ids[i], b->positions[i],
                                                         b->lo[i], label);
            }
        }
}

bool em_network_head_pair(em_network *a, em_network *z, const em_row_batch *b,
                          const em_pair_request *q, em_pair_scores *o, em_error *err) {
    score(a->model, b, &q->labels, &o->before);
    score(z->model, b, &q->labels, &o->after);
    for (int r = 0; r < b->n_rows; r++)
        for (int64_t i = b->start[r]; i < b->start[r] + b->length[r]; i++)
            o->kl[i] = 0.01 * (1 + b->ids[i]);
    return true;
}

size_t em_tokenizer_text(const em_tokenizer *t, int32_t id, char *out, size_t n) {
    return (size_t)snprintf(out, n, "t%d", id);
}
bool em_output_write(em_output *o, const void *data, size_t n, em_error *err) { return false; }

/* ---- what is run ---- */

static em_protocol_settings protocol = {
    .n_labels = SCHEMES, .n_masks = MASKS, .n_positions = 1, .batch = 3};
static em_setup setup = {.names = {"before", "after"},
                         .row_lengths = {T, 2 * T},
                         .n_row_lengths = 2,
                         .n_datasets = 1,
                         .threads = 1};
static em_side sides[MODELS] = {{0, EM_NO_DEPTH, -1, 0}, {1, EM_NO_DEPTH, -1, 1}};
static em_combination combinations[MASKS * SCHEMES] = {{0, 0, 0}, {0, 1, 0}, {1, 0, 0}, {1, 1, 0}};
static em_planned_pair pairs[] = {{EM_COMPARE_MODELS, {0, 0}, {0, 1}},
                                  {EM_COMPARE_MODELS, {3, 0}, {3, 1}},
                                  {EM_COMPARE_MASKS, {0, 0}, {2, 0}},
                                  {EM_COMPARE_MASKS, {1, 1}, {3, 1}}};
static int32_t windows[2];
static const em_alphas no_alphas = {0};
static em_plan plan = {
    .alphas = &no_alphas,
    .protocol = &protocol,
    .tokens = true,
    .n_models = MODELS,
    .sides = sides,
    .n_sides = MODELS,
    .n_plain = MODELS,
    .n_scored = MODELS,
    .kl = true,
    .combinations = combinations,
    .n_combinations = MASKS * SCHEMES,
    .pairs = pairs,
    .n_pairs = 4,
    .models = {{.layers = 2, .windows = windows}, {.layers = 2, .windows = windows}}};

static const em_tools tools = {.plan = &plan, .setup = &setup, .networks = networks};

static int prepare(void **state) {
    em_error err = EM_ERROR_INIT;
    protocol.labels[0] = em_labels_parse("unshifted", &err);
    protocol.labels[1] = em_labels_parse("shifted", &err);
    return em_mask_parse("doc", &protocol.masks[0], &err) &&
                   em_mask_parse("regular", &protocol.masks[1], &err)
               ? 0
               : -1;
}

typedef struct reading {
    em_loader loader;
    em_packer *packer;
    em_feed *feed;
} reading;

static void open_reading(reading *r) {
    em_error err = EM_ERROR_INIT;
    *r = (reading){0};
    r->packer = em_packer_open(&r->loader, &(em_pack_options){.row_tokens = T}, &err);
    r->feed = em_feed_open(r->packer, &protocol, T, &err);
}

static void close_reading(reading *r) {
    em_feed_close(r->feed);
    em_packer_close(r->packer);
}

/* Up to so many rows; how many there were. */
static int fill(reading *r, em_job *j, int rows) {
    em_error err = EM_ERROR_INIT;
    em_fed_row *f;
    int n = 0;
    j->origin = (em_origin){0, 0, EM_UNKNOWN_TOTAL};
    for (; n < rows && em_feed_next(r->feed, &f, &err) == 1; n++)
        assert_true(em_passes_add(j->passes, f, &err));
    return n;
}

/* Run by another process: its rows there, its digests back. */
static void run_there(em_job *here, em_runner *runner) {
    em_error err = EM_ERROR_INIT;
    em_job there;
    em_buffer rows = {0};
    assert_true(em_job_open(&there, &plan, &err));
    assert_true(em_job_write_rows(here, &setup, &rows, &err));
    assert_true(em_job_read_rows(&there, &setup, &rows, &err));
    assert_int_equal(em_passes_padded(there.passes), em_passes_padded(here->passes));
    assert_true(em_runner_run(runner, &there, &err));
    for (int i = 0; i < there.n_digests; i++)
        assert_true(em_job_read_digest(here, &there.digests[i], &err));
    em_job_free(&there);
    em_buffer_free(&rows);
}

static void count(em_job *j, em_tally *tally, em_digest *digest, em_buffer *lines) {
    em_error err = EM_ERROR_INIT;
    for (int i = 0; i < em_passes_rows(j->passes); i++) {
        assert_true(em_job_digest(j, i, digest, &err));
        assert_true(em_tally_row(tally, em_passes_row(j->passes, i), digest, &err));
        assert_true(em_buffer_append(lines, digest->lines.data, digest->lines.length, &err));
    }
    em_job_clear(j);
}

typedef struct outcome {
    em_result results[CELLS];
    em_comparison comparisons[4];
    em_buffer lines;
} outcome;

static const char *group_name(const void *data, int32_t g) {
    return g == 0 ? "a" : g == 1 ? "b" : "c";
}

static void measure(int rows, int threads, bool there, outcome *out) {
    em_error err = EM_ERROR_INIT;
    reading r;
    em_job j;
    *out = (outcome){0};
    setup.threads = threads;
    em_tally *tally = em_tally_new(&plan, true, &err);
    em_digest *digest = em_digest_new(&plan, &err);
    em_runner *runner = em_runner_new(&tools, &err);
    assert_true(tally && digest && runner && em_job_open(&j, &plan, &err));
    open_reading(&r);
    while (fill(&r, &j, rows)) {
        if (there) run_there(&j, runner);
        else assert_true(em_runner_run(runner, &j, &err));
        count(&j, tally, digest, &out->lines);
    }
    assert_true(
        em_tally_finish(tally, NULL, out->results, out->comparisons, group_name, NULL, &err));
    close_reading(&r);
    em_job_free(&j);
    em_runner_free(runner);
    em_digest_free(digest);
    em_tally_free(tally);
}

static void free_slices(em_slice **list, int *n) {
    for (int i = 0; i < *n; i++) free((*list)[i].name);
    free(*list);
    *list = NULL;
    *n = 0;
}

static void free_outcome(outcome *o) {
    for (int i = 0; i < CELLS; i++) {
        free_slices(&o->results[i].subsets, &o->results[i].n_subsets);
        free_slices(&o->results[i].by_position, &o->results[i].n_by_position);
    }
    for (int i = 0; i < 4; i++) {
        free_slices(&o->comparisons[i].subsets, &o->comparisons[i].n_subsets);
        free_slices(&o->comparisons[i].by_position, &o->comparisons[i].n_by_position);
    }
    em_buffer_free(&o->lines);
}

/* ---- tests ---- */

static void same_slices(const em_slice *a, int n, const em_slice *b, int m) {
    assert_int_equal(n, m);
    for (int i = 0; i < n; i++) {
        em_slice x = a[i], y = b[i];
        x.name = y.name = NULL;
        assert_memory_equal(&x, &y, sizeof x);
    }
}

static void same_outcome(outcome *a, outcome *b) {
    assert_string_equal(a->lines.data, b->lines.data);
    for (int i = 0; i < CELLS; i++) {
        same_slices(a->results[i].subsets, a->results[i].n_subsets, b->results[i].subsets,
                    b->results[i].n_subsets);
        same_slices(a->results[i].by_position, a->results[i].n_by_position,
                    b->results[i].by_position, b->results[i].n_by_position);
    }
    for (int i = 0; i < 4; i++) {
        same_slices(a->comparisons[i].subsets, a->comparisons[i].n_subsets,
                    b->comparisons[i].subsets, b->comparisons[i].n_subsets);
        same_slices(a->comparisons[i].by_position, a->comparisons[i].n_by_position,
                    b->comparisons[i].by_position, b->comparisons[i].n_by_position);
    }
    free_outcome(a);
    free_outcome(b);
    assert_memory_equal(a->results, b->results, sizeof a->results);
    assert_memory_equal(a->comparisons, b->comparisons, sizeof a->comparisons);
}

static void the_same_wherever_it_is_run(void **state) {
    for (int rows = 1; rows < 12; rows += 3)
        for (int threads = 1; threads < 4; threads++)
            for (int there = 0; there < 2; there++) {
                outcome want, got;
                measure(4, 1, false, &want);
                measure(rows, threads, there, &got);
                same_outcome(&want, &got);
            }
}

/* Every cell's losses once more, from the rows. */
static void sums_are_those_of_the_losses(void **state) {
    outcome o;
    measure(3, 2, true, &o);
    for (int c = 0; c < MASKS * SCHEMES; c++)
        for (int side = 0; side < MODELS; side++) {
            double sum = 0;
            int64_t n = 0, boundary = 0;
            em_error err = EM_ERROR_INIT;
            reading r;
            em_fed_row *f;
            open_reading(&r);
            for (; em_feed_next(r.feed, &f, &err) == 1; em_fed_row_free(f)) {
                const em_reading *x = &f->reading[combinations[c].labels];
                int offset = protocol.labels[combinations[c].labels]->offset;
                for (int32_t i = x->from; x->inputs > 0 && i < x->to; i++, n++) {
                    const em_segment *own = &f->row->segments[em_row_segment(f->row, i)];
                    bool doc = combinations[c].mask == 0;
                    sum += loss(side, f->row->ids[i], doc ? i - own->start : i,
                                doc ? own->start : 0, f->row->ids[i + offset]);
                    boundary += i + offset >= own->end;
                }
            }
            close_reading(&r);
            const em_result *got = &o.results[em_plan_cell(&plan, (em_cell){c, side})];
            assert_int_equal(got->predictions, n);
            assert_int_equal(got->boundary_predictions, boundary);
            assert_true(fabs(got->loss - sum / (double)n) < 1e-12 * got->loss);
        }
    free_outcome(&o);
}

/* Label schemes score different labels; sides and masks do not. */
static void fingerprints_are_of_what_is_scored(void **state) {
    outcome o;
    measure(3, 1, false, &o);
    const em_result *x = o.results;
    for (int i = 0; i < CELLS; i++) {
        bool same = combinations[i / MODELS].labels == 0;
        assert_int_equal(!strcmp(x[i].fingerprints.data, x[0].fingerprints.data), same);
    }
    free_outcome(&o);
}

static void refuse(const em_buffer *message) {
    em_error err = EM_ERROR_INIT;
    em_job j;
    assert_true(em_job_open(&j, &plan, &err));
    assert_false(em_job_read_rows(&j, &setup, message, &err));
    assert_int_equal(err.status, EM_MACHINE);
    em_job_free(&j);
}

static void messages_that_are_no_rows(void **state) {
    em_error err = EM_ERROR_INIT;
    reading r;
    em_job j;
    em_buffer m = {0};
    open_reading(&r);
    assert_true(em_job_open(&j, &plan, &err));
    fill(&r, &j, 2);
    assert_true(em_job_write_rows(&j, &setup, &m, &err));
    size_t whole = m.length;
    for (m.length = 0; m.length < whole; m.length++) refuse(&m);
    m.length = whole;
    for (size_t at = 0; at < whole;
         at++) { /* read or refused, never beyond the row: for the sanitizers */
        em_job there;
        char was = m.data[at];
        m.data[at] ^= 0x80;
        em_error ignored = EM_ERROR_INIT;
        assert_true(em_job_open(&there, &plan, &err));
        em_job_read_rows(&there, &setup, &m, &ignored);
        em_job_free(&there);
        m.data[at] = was;
    }
    m.data[0] = 1; /* a data set that is not there */
    refuse(&m);
    em_job_free(&j);
    close_reading(&r);
    em_buffer_free(&m);
}

static void messages_that_are_no_digests(void **state) {
    em_error err = EM_ERROR_INIT;
    reading r;
    em_job j;
    em_runner *runner = em_runner_new(&tools, &err);
    em_digest *d = em_digest_new(&plan, &err);
    open_reading(&r);
    assert_true(em_job_open(&j, &plan, &err));
    fill(&r, &j, 1);
    assert_true(em_runner_run(runner, &j, &err));
    em_buffer *b = &j.digests[0];
    size_t whole = b->length;
    for (b->length = 0; b->length < whole; b->length++) {
        em_error why = EM_ERROR_INIT;
        assert_false(em_job_digest(&j, 0, d, &why));
        assert_int_equal(why.status, EM_MACHINE);
    }
    assert_true(em_job_digest(&j, 0, d, &err));
    em_digest_free(d);
    em_runner_free(runner);
    em_job_free(&j);
    close_reading(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_same_wherever_it_is_run),
                                       cmocka_unit_test(sums_are_those_of_the_losses),
                                       cmocka_unit_test(fingerprints_are_of_what_is_scored),
                                       cmocka_unit_test(messages_that_are_no_rows),
                                       cmocka_unit_test(messages_that_are_no_digests)};
    return cmocka_run_group_tests(tests, prepare, NULL);
}
