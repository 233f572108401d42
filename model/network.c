#include "model/network.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>

#include "common/size.h"
#include "model/memory_plan.h"
#include "model/part.h"

struct em_network {
    em_model *model;
    em_backend *backend;
    const em_model_spec *spec;
    em_memory_plan plan;
    int64_t batches; /* begun so far */
    const volatile sig_atomic_t *stop;
    const char *source;
    em_layer **layers;      /* [spec->layers], NULL where not packed now */
    em_head_spec head_spec; /* the model's, its vocabulary cut where options say so */
    em_head *head;
    em_activations *activations;
    em_flops flops;
};

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
    em_layer_spec widest = em_widest_layer(m);
    if (n->layers && em_memory_plan_make(&n->plan, m, b, &n->head_spec, options, err) &&
        (n->activations = b->ops->activations_new(b, &widest, n->plan.capacity,
                                                  (int)(n->plan.capacity / EM_TILE), err)))
        return n;
    em_network_close(n);
    return NULL;
}

int64_t em_network_capacity(const em_network *n) { return n->plan.capacity; }

bool em_network_keeps(const em_network *n) { return n->plan.keep; }

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

/* ---- weights come and go ---- */

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

/* The packed layer l; while it computes, the next part is read ahead. */
static em_layer *packed_layer(em_network *n, int l, em_error *err) {
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

static em_head *packed_head(em_network *n, em_error *err) {
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

/* Batches that pack each weight anew although the host's memory holds them all: the next weights
 * take the memory of those let go, and to fill fresh memory costs as much as some packings into
 * memory touched before (docs/speed.md). */
#define PASSING_BATCHES 3

static bool stays(const em_network *n) {
    return n->plan.keep && (n->backend->device_memory || n->batches > PASSING_BATCHES);
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

/* ---- what can go wrong ---- */

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

/* ---- the forward pass, as docs/model.md has it ---- */

/* x = embedding of ids and positions */
static bool embed_tokens(em_network *n, const em_row_batch *batch, em_error *err) {
    if (!n->layers[0]) em_model_will_need(n->model, 0);
    n->batches++;
    em_part part;
    bool ok = open_part(n, -1, &part, err) &&
              n->backend->ops->embed(n->backend, &part.embedding, batch, n->activations, err);
    em_part_close(&part);
    part_read(n, -1);
    return ok;
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

static bool run_layer(em_network *n, int l, const em_row_batch *batch, em_error *err) {
    if (n->stop && *n->stop) return em_fail(err, EM_INTERRUPTED, "interrupted before layer %d", l);
    const em_layer *packed = packed_layer(n, l, err);
    if (!packed) return blame(n, err);
    layer_forward(n->backend, em_model_layer_spec(n->model, l), packed, n->activations);
    em_flops_add_layer(&n->flops, em_model_layer_spec(n->model, l), batch);
    let_go(n, l);
    return true;
}

bool em_network_forward(em_network *n, const em_row_batch *batch, em_error *err) {
    if (!embed_tokens(n, batch, err)) return blame(n, err);
    for (int l = 0; l < n->spec->layers; l++)
        if (!run_layer(n, l, batch, err)) return false;
    return true;
}

static bool score_with(em_network *n, const em_row_batch *batch, const em_score_request *request,
                       em_scores *out, em_error *err) {
    if (!packed_head(n, err)) return blame(n, err);
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
    if (!embed_tokens(n, batch, err)) return blame(n, err);
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
    if (!packed_head(before, err)) return blame(before, err);
    if (!packed_head(after, err)) return blame(after, err);
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
