/* What rank 0 and the other ranks spend on a position beside tokenizing and computing: nanoseconds
 * on one thread, best of ROUNDS (default 5). The networks are a stand-in that gives random losses
 * at once. bench_counting [ROUNDS] rank 0: cut   rows out of documents, and their masks; send: the
 * rows' message count digests read and added up, row after row ranks:  take  the message as rows,
 * and their masks; digest: from losses to sums Bytes a position of the two messages. Documents have
 * 1 to 3999 tokens, rows 1024. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/measure.h"
#include "eval/score/job.h"
#include "eval/run/tally.h"

enum {
    T = 1024,
    ROWS = 64,
    MOST = 4000,
    MODELS = 2,
    ALPHAS = 9,
    MASKS = 2,
    SIDES = MODELS + ALPHAS,
    PAIRS = 64
};

static uint32_t random_below(uint32_t n) {
    static uint64_t seed = 1;
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(seed >> 33) % n;
}

/* ---- stand-ins ---- */

struct em_loader {
    int64_t next;
    em_document document;
};

int em_loader_next(em_loader *l, const em_document **out, em_error *err) {
    (void)err;
    static int32_t ids[MOST];
    static uint32_t bytes[MOST];
    size_t n = 1 + random_below(MOST - 1);
    for (size_t i = 0; i < n; i++) ids[i] = (int32_t)random_below(32000), bytes[i] = 4;
    l->document = (em_document){.index = l->next++,
                                .group = (int32_t)random_below(20),
                                .bytes = 4 * n,
                                .n_after = 1,
                                .tokens = {.ids = ids, .bytes = bytes, .n = n}};
    *out = &l->document;
    return 1;
}

struct em_network {
    int model;
};
static em_network stand_ins[MODELS];
static em_network *const networks[MODELS] = {&stand_ins[0], &stand_ins[1]};
static double losses[1 << 16];

int64_t em_network_padded(int64_t tokens) { return (tokens + 63) / 64 * 64; }
int64_t em_network_capacity(const em_network *n) { return (void)n, INT32_MAX; }
bool em_network_forward(em_network *n, const em_row_batch *b, em_error *err) {
    return (void)n, (void)b, (void)err, true;
}

static void score(const em_row_batch *b, size_t columns, double *nll, int32_t *argmax, int salt) {
    int64_t last = b->start[b->n_rows - 1] + b->length[b->n_rows - 1];
    for (size_t i = 0; i < (size_t)last * columns; i++) {
        nll[i] = losses[(i * 7 + (size_t)salt) & 65535];
        argmax[i] = (int32_t)(i & 1023);
    }
}

bool em_network_score_depths(em_network *n, const em_row_batch *b, const em_score_request *q,
                             const int *depths, int n_depths, em_scores *o, em_error *err) {
    (void)n, (void)q, (void)depths, (void)n_depths, (void)err;
    return score(b, 1, o->nll, o->argmax, 0), true;
}

bool em_network_head_pair(em_network *a, em_network *z, const em_row_batch *b,
                          const em_pair_request *q, em_pair_scores *o, em_error *err) {
    (void)a, (void)z, (void)err;
    score(b, 1, o->before.nll, o->before.argmax, 0);
    score(b, 1, o->after.nll, o->after.argmax, 1);
    if (q->n_alphas) score(b, (size_t)q->n_alphas, o->alpha_nll, o->alpha_argmax, 2);
    int64_t last = b->start[b->n_rows - 1] + b->length[b->n_rows - 1];
    for (int64_t i = 0; i < last; i++) o->kl[i] = 0.01 * losses[i & 65535];
    return true;
}

size_t em_tokenizer_text(const em_tokenizer *t, int32_t id, char *out, size_t n) {
    return (void)t, (void)id, (void)n, *out = 0, (size_t)0;
}

/* ---- what is asked for ---- */

static em_alphas asked_alphas;
static em_protocol_settings protocol = {.n_labels = 1, .n_positions = 1, .batch = 8};
static em_setup setup = {.row_lengths = {T}, .n_row_lengths = 1, .n_datasets = 1, .threads = 1};
static int32_t windows[32];
static em_side sides[SIDES];
static em_combination combinations[MASKS] = {{0, 0, 0}, {1, 0, 0}};
static em_planned_pair pairs[PAIRS];
static em_plan plan = {.protocol = &protocol,
                       .alphas = &asked_alphas,
                       .sides = sides,
                       .combinations = combinations,
                       .pairs = pairs};

static void pair(em_comparison_kind kind, em_cell before, em_cell after) {
    pairs[plan.n_pairs++] = (em_planned_pair){kind, before, after};
}

/* As evalmask plans it: each side against the first, and each side under the second mask against
 * the first. */
static void ask(int models, int masks, int alphas) {
    plan.n_models = plan.n_plain = plan.n_scored = models;
    plan.n_sides = models + alphas;
    plan.n_logit_alphas = asked_alphas.n = alphas;
    plan.n_combinations = protocol.n_masks = masks;
    plan.kl = models > 1;
    plan.n_pairs = 0;
    for (int i = 0; i < models; i++) {
        plan.models[i] =
            (em_model_facts){.layers = 32, .windows = windows, .first_scored = i, .n_scored = 1};
        sides[i] = (em_side){i, EM_NO_DEPTH, -1, i};
    }
    for (int a = 0; a < alphas; a++) sides[models + a] = (em_side){1, EM_NO_DEPTH, a, -1};
    for (int c = 0; c < masks; c++)
        for (int s = 1; s < plan.n_sides; s++)
            pair(EM_COMPARE_MODELS, (em_cell){c, 0}, (em_cell){c, s});
    for (int c = 1; c < masks; c++)
        for (int s = 0; s < plan.n_sides; s++)
            pair(EM_COMPARE_MASKS, (em_cell){0, s}, (em_cell){c, s});
}

/* ---- the steps ---- */

typedef struct times {
    double cut, send, take, digest, count;
} times;

typedef struct bench {
    em_loader loader;
    em_packer *packer;
    em_feed *feed;
    em_job here, there;
    em_runner *runner;
    em_digest *digest;
    em_tally *tally;
    em_buffer rows;
    times best;
    size_t row_bytes, digest_bytes;
} bench;

static void least(double *best, double seconds) {
    if (*best == 0 || seconds < *best) *best = seconds;
}

static bool cut(bench *b, em_error *err) {
    em_fed_row *f;
    for (int i = 0; i < ROWS; i++)
        if (em_feed_next(b->feed, &f, err) != 1 || !em_passes_add(b->here.passes, f, err))
            return false;
    return true;
}

static bool count(bench *b, em_error *err) {
    for (int i = 0; i < ROWS; i++)
        if (!em_job_digest(&b->there, i, b->digest, err) ||
            !em_tally_row(b->tally, em_passes_row(b->here.passes, i), b->digest, err))
            return false;
    const em_row *last = em_passes_row(b->here.passes, ROWS - 1)->row;
    return em_tally_settle(b->tally, NULL, last->segments[last->n_segments - 1].document, err);
}

static bool round_trip(bench *b, em_error *err) {
    double t[6];
    em_buffer_clear(&b->rows);
    em_job_clear(&b->here);
    em_job_clear(&b->there);
    t[0] = now();
    if (!cut(b, err)) return false;
    t[1] = now();
    if (!em_job_write_rows(&b->here, &setup, &b->rows, err)) return false;
    t[2] = now();
    if (!em_job_read_rows(&b->there, &setup, &b->rows, err)) return false;
    t[3] = now();
    if (!em_runner_run(b->runner, &b->there, err)) return false;
    t[4] = now();
    if (!count(b, err)) return false;
    t[5] = now();
    least(&b->best.cut, t[1] - t[0]);
    least(&b->best.send, t[2] - t[1]);
    least(&b->best.take, t[3] - t[2]);
    least(&b->best.digest, t[4] - t[3]);
    least(&b->best.count, t[5] - t[4]);
    b->row_bytes = b->rows.length;
    b->digest_bytes = 0;
    for (int i = 0; i < ROWS; i++) b->digest_bytes += b->there.digests[i].length;
    return true;
}

static bool open_bench(bench *b, em_error *err) {
    *b = (bench){0};
    return (b->packer = em_packer_open(&b->loader, &(em_pack_options){.row_tokens = T}, err)) &&
           (b->feed = em_feed_open(b->packer, &protocol, T, err)) &&
           em_job_open(&b->here, &plan, err) && em_job_open(&b->there, &plan, err) &&
           (b->runner = em_runner_new(&(em_tools){&plan, &setup, networks}, err)) &&
           (b->digest = em_digest_new(&plan, err)) && (b->tally = em_tally_new(&plan, false, err));
}

static void close_bench(bench *b) {
    em_tally_free(b->tally);
    em_digest_free(b->digest);
    em_runner_free(b->runner);
    em_job_free(&b->there);
    em_job_free(&b->here);
    em_feed_close(b->feed);
    em_packer_close(b->packer);
    em_buffer_free(&b->rows);
}

static void measure(const char *name, int rounds) {
    em_error err = EM_ERROR_INIT;
    bench b;
    bool good = open_bench(&b, &err);
    for (int i = 0; good && i < rounds; i++) good = round_trip(&b, &err);
    if (!good) stop(&err);
    double ns = 1e9 / (ROWS * T), bytes = 1.0 / (ROWS * T);
    printf("%-36s %6.1f %6.1f %6.1f | %6.1f %7.1f | %5.1f %5.1f\n", name, b.best.cut * ns,
           b.best.send * ns, b.best.count * ns, b.best.take * ns, b.best.digest * ns,
           (double)b.row_bytes * bytes, (double)b.digest_bytes * bytes);
    close_bench(&b);
}

int main(int argc, char **argv) {
    em_error err = EM_ERROR_INIT;
    int rounds = argc > 1 ? atoi(argv[1]) : 5;
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++)
        losses[i] = random_below(1000000) / 1e5;
    protocol.labels[0] = em_labels_parse("unshifted", &err);
    if (!em_mask_parse("doc", &protocol.masks[0], &err) ||
        !em_mask_parse("regular", &protocol.masks[1], &err))
        stop(&err);
    printf("%-36s %6s %6s %6s | %6s %7s | %5s %5s\n", "ns a position", "cut", "send", "count",
           "take", "digest", "out", "back");
    ask(1, 1, 0);
    measure("one model, doc", rounds);
    ask(1, 2, 0);
    measure("one model, doc and regular", rounds);
    ask(2, 2, 0);
    measure("two models, doc and regular", rounds);
    ask(2, 2, ALPHAS);
    measure("the same with 9 alphas", rounds);
    return 0;
}
