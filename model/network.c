#include "model/network.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>

#include "common/size.h"
#include "model/compose.h"

struct em_network {
    em_model *model;
    em_backend *backend;
    const em_model_spec *spec;
    int64_t capacity; /* padded tokens of a batch */
    bool keep;        /* memory holds all packed weights: see stays */
    int64_t batches;  /* begun so far */
    const volatile sig_atomic_t *stop;
    const char *source;
    em_layer **layers;      /* [spec->layers], NULL where not packed now */
    em_head_spec head_spec; /* the model's, its vocabulary cut where options say so */
    em_head *head;
    em_activations *activations;
    em_flops flops;
};

/* ---- the memory plan ---- */

/* Tokens for each thread that make a batch worth its passes over the packed weights. */
#define USEFUL_TOKENS_PER_THREAD (4 * EM_TILE)
/* And where the weights are kept, more than these gain nothing and only delay progress. */
#define PLENTY_TOKENS_PER_THREAD (64 * EM_TILE)

int64_t em_network_padded(int64_t tokens) { return (tokens + EM_TILE - 1) / EM_TILE * EM_TILE; }

/* The layer dimensions that no layer exceeds. */
static em_layer_spec widest_layer(const em_network *n) {
    em_layer_spec widest = *em_model_layer_spec(n->model, 0);
    widest.hidden = n->spec->hidden;
    widest.heads = n->spec->heads;
    widest.kv_heads = n->spec->kv_heads;
    widest.head_dim = n->spec->head_dim;
    widest.ffn = n->spec->ffn;
    return widest;
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static size_t file_bytes(const em_weight *w) {
    return w->data ? (size_t)w->out * (size_t)w->in * em_dtype_size(w->dtype) : 0;
}

/* The most that making one part of a composed model takes. */
static size_t making_bytes(const em_network *n) {
    size_t most = 0;
    for (int part = -1; part <= n->spec->layers; part++)
        most = larger(most, em_part_bytes(n->model, part));
    return most;
}

/* Mapped pages that are resident at once: the part being packed and the one read ahead. */
static size_t mapped_bytes(const em_network *n) {
    size_t part = larger(file_bytes(&em_model_head(n->model)->output),
                         file_bytes(&em_model_embedding(n->model)->tokens));
    for (int l = 0; l < n->spec->layers; l++) {
        const em_layer_weights *w = em_model_layer_weights(n->model, l);
        const em_weight *all = &w->attention_in; /* the struct is a row of em_weight */
        size_t layer = 0;
        for (size_t i = 0; i < sizeof *w / sizeof *all; i++) layer += file_bytes(&all[i]);
        part = larger(part, layer);
    }
    return 2 * part;
}

/* What a token takes in the caller's arrays: ids, positions, intervals, argmax, digest or KL, its
 * labels with their losses at each depth, and each alpha's argmax and losses. */
static size_t caller_token_bytes(const em_network_options *o) {
    size_t labels = (size_t)o->n_labels, depths = o->n_depths > 1 ? (size_t)o->n_depths : 1;
    return 4 * sizeof(int32_t) + sizeof(uint64_t) + labels * sizeof(int32_t) +
           depths * (sizeof(int32_t) + labels * sizeof(double)) +
           (size_t)o->n_alphas * (sizeof(int32_t) + labels * sizeof(double));
}

typedef struct memory_plan {
    size_t fixed;       /* threads' scratch and mapped pages */
    size_t all_weights; /* every layer and the head, packed */
    size_t one_weight;  /* the largest of them */
    size_t token;
} memory_plan;

static memory_plan measure(const em_network *n, const em_network_options *o) {
    const em_backend_ops *ops = n->backend->ops;
    em_layer_spec widest = widest_layer(n);
    const em_head_spec *head = &n->head_spec;
    size_t head_bytes = ops->head_bytes(n->backend, head);
    size_t host = n->backend->device_memory ? 0 : mapped_bytes(n) + making_bytes(n);
    size_t callers = n->backend->device_memory
                         ? 0
                         : (size_t)(o->batches ? o->batches : 1) * caller_token_bytes(o);
    memory_plan p = {.fixed = ops->fixed_bytes(n->backend, &widest, head) + host,
                     .all_weights = head_bytes,
                     .one_weight = head_bytes,
                     .token = ops->token_bytes(n->backend, &widest) + callers};
    for (int l = 0; l < n->spec->layers; l++) {
        size_t bytes = ops->layer_bytes(n->backend, em_model_layer_spec(n->model, l));
        p.all_weights += bytes;
        p.one_weight = larger(p.one_weight, bytes);
    }
    return p;
}

/* Padded tokens that fit beside weights, no more than wanted; 0: not even one tile. */
static int64_t tokens_beside(const memory_plan *p, size_t weights, size_t memory, int64_t want) {
    size_t taken = p->fixed + weights;
    if (taken >= memory) return 0;
    size_t tiles = (memory - taken) / (p->token * EM_TILE);
    return tiles < (size_t)(want / EM_TILE) ? (int64_t)tiles * EM_TILE : want;
}

/* Tokens of a batch that are worth keeping the weights for, and those beyond which it gains
 * nothing. */
typedef struct batch_sizes {
    int64_t useful, plenty;
} batch_sizes;

static int64_t between(int64_t x, int64_t low, int64_t high) {
    return x < low ? low : x > high ? high : x;
}

/* A device gets its weights over a bus, which takes as long as some ten thousand tokens take it:
 * there any batch is worth keeping them for, and none is too large. */
static batch_sizes batch_sizes_of(const em_backend *b, int64_t row, int64_t want) {
    if (b->device_memory) return (batch_sizes){row, want};
    int64_t threads = b->options.threads;
    return (batch_sizes){between(threads * USEFUL_TOKENS_PER_THREAD, row, want),
                         between(threads * PLENTY_TOKENS_PER_THREAD, row, want)};
}

/* Keeps all weights if a useful batch fits beside them; otherwise each is packed for each batch,
 * and the batch takes all the room that the largest of them leaves. */
static bool plan(em_network *n, const em_network_options *o, em_error *err) {
    memory_plan p = measure(n, o);
    size_t sharers = o->sharers > 1 ? (size_t)o->sharers : 1,
           room = o->memory > o->taken ? (o->memory - o->taken) / sharers : 0;
    int64_t row = em_network_padded(o->row_tokens), want = em_network_padded(o->want_tokens);
    if (want < row) want = row;
    batch_sizes s = batch_sizes_of(n->backend, row, want);
    n->capacity = tokens_beside(&p, p.all_weights, room, s.plenty);
    n->keep = n->capacity >= s.useful;
    if (!n->keep) n->capacity = tokens_beside(&p, p.one_weight, room, want);
    if (n->capacity >= row) return true;
    size_t enough = o->taken + sharers * (p.fixed + p.one_weight + p.token * (size_t)row);
    return em_fail(
        err, EM_MACHINE,
        "a memory of %zu MiB cannot hold one layer and one row of %lld tokens: give --memory "
        "at least %zu MiB, or lower -T or --threads",
        o->memory >> 20, (long long)o->row_tokens, (enough >> 20) + 1);
}

/* vocab 0: the head's own. */
static em_head_spec cut_vocabulary(em_head_spec head, int vocab) {
    if (vocab <= 0 || vocab >= head.vocab) return head;
    head.vocab = vocab;
    head.output.out = vocab;
    if (head.output_bias.data) head.output_bias.out = vocab;
    return head;
}

em_network *em_network_open(em_model *m, em_backend *b, const em_network_options *options,
                            em_error *err) {
    em_network *n = em_alloc(1, sizeof *n, "the network", err);
    if (!n) return NULL;
    n->model = m;
    n->backend = b;
    n->spec = em_model_spec_of(m);
    n->stop = options->stop;
    n->source = options->source;
    n->head_spec = cut_vocabulary(*em_model_head(m), options->vocab);
    n->layers = em_alloc((size_t)n->spec->layers, sizeof *n->layers, "the network", err);
    em_layer_spec widest = widest_layer(n);
    if (n->layers && plan(n, options, err) &&
        (n->activations = b->ops->activations_new(b, &widest, n->capacity,
                                                  (int)(n->capacity / EM_TILE), err)))
        return n;
    em_network_close(n);
    return NULL;
}

int64_t em_network_capacity(const em_network *n) { return n->capacity; }

bool em_network_keeps(const em_network *n) { return n->keep; }

const em_flops *em_network_flops(const em_network *n) { return &n->flops; }

void em_network_close(em_network *n) {
    if (!n) return;
    for (int l = 0; n->layers && l < n->spec->layers; l++)
        n->backend->ops->layer_free(n->backend, n->layers[l]);
    n->backend->ops->head_free(n->backend, n->head);
    n->backend->ops->activations_free(n->backend, n->activations);
    free(n->layers);
    free(n);
}

/* ---- the forward pass ---- */

/* A part has been read: it is hashed while its pages are there, then they may go. Part -1 is the
 * embedding, part spec->layers the head. */
static void part_read(em_network *n, int part) {
    em_model_hash_part(n->model, part);
    em_model_done_with(n->model, part);
}

/* Making a composed model's weights counts as packing them. */
static bool open_part(em_network *n, int part, em_part *out, em_error *err) {
    double begin = omp_get_wtime();
    bool good = em_part_open(n->model, part, n->backend->options.threads, out, err);
    n->backend->times.pack += omp_get_wtime() - begin;
    return good;
}

static bool embed(em_network *n, const em_row_batch *batch, em_error *err) {
    if (!n->layers[0]) em_model_will_need(n->model, 0);
    n->batches++;
    em_part part;
    bool ok = open_part(n, -1, &part, err) &&
              n->backend->ops->embed(n->backend, &part.embedding, batch, n->activations, err);
    em_part_close(&part);
    part_read(n, -1);
    return ok;
}

/* The packed layer l; while it computes, the next part is read ahead. */
static em_layer *layer(em_network *n, int l, em_error *err) {
    if (n->layers[l]) return n->layers[l];
    const em_backend_ops *ops = n->backend->ops;
    em_part part;
    if (open_part(n, l, &part, err))
        n->layers[l] = ops->layer_load(n->backend, em_model_layer_spec(n->model, l), &part.layer,
                                       err);
    em_part_close(&part);
    part_read(n, l);
    em_model_will_need(n->model, l + 1);
    return n->layers[l];
}

static em_head *head(em_network *n, em_error *err) {
    if (n->head) return n->head;
    em_part part;
    if (open_part(n, n->spec->layers, &part, err)) {
        em_head_spec spec = cut_vocabulary(part.head, n->head_spec.vocab);
        n->head = n->backend->ops->head_load(n->backend, &spec, err);
    }
    em_part_close(&part);
    part_read(n, n->spec->layers);
    return n->head;
}

/* x += attention(x), then x += ffn(x); or, in parallel, both of the same x: there the
 * feed-forward comes first, because attention has read x already when its inputs were made. */
static void layer_forward(em_backend *b, const em_layer_spec *spec, const em_layer *l,
                          em_activations *x) {
    b->ops->attention_inputs(b, l, x);
    b->ops->attention(b, l, x);
    if (spec->parallel_residual) {
        b->ops->feed_forward(b, l, x);
        b->ops->attention_output(b, l, x);
    } else {
        b->ops->attention_output(b, l, x);
        b->ops->feed_forward(b, l, x);
    }
}

/* Batches that pack each weight anew although the host's memory holds them all: the next weights
 * take the memory of those let go, and to fill fresh memory costs as much as some packings into
 * memory touched before (docs/speed.md). */
#define PASSING_BATCHES 3

static bool stays(const em_network *n) {
    return n->keep && (n->backend->device_memory || n->batches > PASSING_BATCHES);
}

static void let_go(em_network *n, int l) {
    if (stays(n)) return;
    n->backend->ops->layer_free(n->backend, n->layers[l]);
    n->layers[l] = NULL;
}

static void let_head_go(em_network *n) {
    if (stays(n)) return;
    n->backend->ops->head_free(n->backend, n->head);
    n->head = NULL;
}

static bool token_finite(const em_score_request *r, const em_scores *out, int64_t token) {
    for (int64_t j = token * r->n_labels; j < (token + 1) * r->n_labels; j++)
        if (r->labels[j] >= 0 && !isfinite(out->nll[j])) return false;
    return true;
}

/* A device that failed says so here: its figures are void. */
static bool device_well(const em_network *n, em_error *err) {
    const em_error *e = &n->backend->failure;
    return e->status == EM_OK || em_fail(err, e->status, "%s", e->text);
}

static bool check_finite(const em_row_batch *batch, const em_score_request *r, const em_scores *out,
                         em_error *err) {
    for (int row = 0; row < batch->n_rows; row++)
        for (int32_t i = 0; i < batch->length[row]; i++)
            if (!token_finite(r, out, batch->start[row] + i))
                return em_fail(
                    err, EM_INPUT,
                    "the loss at position %d of row %d of the batch is not finite: the model's "
                    "activations overflow here, though its weights are finite",
                    i, row);
    return true;
}

/* What is wrong with the input here is wrong with the checkpoint: it is named. */
static bool blame(const em_network *n, em_error *err) {
    if (err && err->status == EM_INPUT) em_error_place(err, n->source, 0, -1);
    return false;
}

static bool run_layer(em_network *n, int l, const em_row_batch *batch, em_error *err) {
    if (n->stop && *n->stop) return em_fail(err, EM_INTERRUPTED, "interrupted before layer %d", l);
    const em_layer *packed = layer(n, l, err);
    if (!packed) return blame(n, err);
    layer_forward(n->backend, em_model_layer_spec(n->model, l), packed, n->activations);
    em_flops_add_layer(&n->flops, em_model_layer_spec(n->model, l), batch);
    let_go(n, l);
    return true;
}

bool em_network_forward(em_network *n, const em_row_batch *batch, em_error *err) {
    if (!embed(n, batch, err)) return blame(n, err);
    for (int l = 0; l < n->spec->layers; l++)
        if (!run_layer(n, l, batch, err)) return false;
    return true;
}

static bool score_with(em_network *n, const em_row_batch *batch, const em_score_request *request,
                       em_scores *out, em_error *err) {
    if (!head(n, err)) return blame(n, err);
    n->backend->ops->score(n->backend, n->head, request, n->activations, out);
    em_flops_add_head(&n->flops, &n->head_spec, batch, request);
    return (device_well(n, err) && check_finite(batch, request, out, err)) || blame(n, err);
}

bool em_network_head(em_network *n, const em_row_batch *batch, const em_score_request *request,
                     em_scores *out, em_error *err) {
    bool good = score_with(n, batch, request, out, err);
    let_head_go(n);
    return good;
}

bool em_network_score(em_network *n, const em_row_batch *batch, const em_score_request *request,
                      em_scores *out, em_error *err) {
    return em_network_forward(n, batch, err) && em_network_head(n, batch, request, out, err);
}

/* The head stays packed from the first depth to the last. */
bool em_network_score_depths(em_network *n, const em_row_batch *batch,
                             const em_score_request *request, const int *depths, int n_depths,
                             em_scores *out, em_error *err) {
    if (!embed(n, batch, err)) return blame(n, err);
    int d = 0;
    for (int l = 0; l <= n->spec->layers && d < n_depths; l++) {
        if (depths[d] == l && !score_with(n, batch, request, &out[d++], err)) return false;
        if (d < n_depths && !run_layer(n, l, batch, err)) return false;
    }
    let_head_go(n);
    return true;
}

bool em_network_head_pair(em_network *before, em_network *after, const em_row_batch *batch,
                          const em_pair_request *request, em_pair_scores *out, em_error *err) {
    em_backend *b = before->backend;
    int vocab[] = {before->head_spec.vocab, after->head_spec.vocab};
    if (vocab[0] != vocab[1])
        return em_fail(err, EM_USAGE,
                       "a pair needs vocabularies of one size: these have %d and %d tokens",
                       vocab[0], vocab[1]);
    if (request->n_alphas > EM_PAIR_MAX_ALPHAS)
        return em_fail(err, EM_USAGE, "%d alphas: a pair takes at most %d", request->n_alphas,
                       EM_PAIR_MAX_ALPHAS);
    if (!head(before, err)) return blame(before, err);
    if (!head(after, err)) return blame(after, err);
    b->ops->score_pair(b, before->head, after->head, request, before->activations,
                       after->activations, out);
    em_flops_add_head(&before->flops, &before->head_spec, batch, &request->labels);
    em_flops_add_head(&after->flops, &after->head_spec, batch, &request->labels);
    let_head_go(before);
    let_head_go(after);
    return (device_well(before, err) || blame(before, err)) &&
           (check_finite(batch, &request->labels, &out->before, err) || blame(before, err)) &&
           (check_finite(batch, &request->labels, &out->after, err) || blame(after, err));
}
