#include "model/memory_plan.h"

#include "model/part.h"

/* Tokens for each thread that make a batch worth its passes over the packed weights. */
#define USEFUL_TOKENS_PER_THREAD (4 * EM_TILE)
/* And where the weights are kept, more than these gain nothing and only delay progress. */
#define PLENTY_TOKENS_PER_THREAD (64 * EM_TILE)

int64_t em_network_padded(int64_t tokens) { return (tokens + EM_TILE - 1) / EM_TILE * EM_TILE; }

em_layer_spec em_widest_layer(const em_model *m) {
    const em_model_spec *spec = em_model_spec_of(m);
    em_layer_spec widest = *em_model_layer_spec(m, 0);
    widest.hidden = spec->hidden;
    widest.heads = spec->heads;
    widest.kv_heads = spec->kv_heads;
    widest.head_dim = spec->head_dim;
    widest.ffn = spec->ffn;
    return widest;
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static size_t file_bytes(const em_weight *w) {
    return w->data ? (size_t)w->out * (size_t)w->in * em_dtype_size(w->dtype) : 0;
}

/* The most that making one part of a composed model takes. */
static size_t making_bytes(const em_model *m) {
    size_t most = 0;
    for (int part = -1; part <= em_model_spec_of(m)->layers; part++)
        most = larger(most, em_part_bytes(m, part));
    return most;
}

static size_t layer_file_bytes(const em_layer_weights *w) {
    size_t bytes = 0;
    for (int i = 0; i < EM_LAYER_WEIGHTS; i++) bytes += file_bytes(&w->of[i]);
    return bytes;
}

/* Mapped pages that are resident at once: the part being packed and the one read ahead. */
static size_t mapped_bytes(const em_model *m) {
    size_t part = larger(file_bytes(&em_model_head(m)->output),
                         file_bytes(&em_model_embedding(m)->tokens));
    for (int l = 0; l < em_model_spec_of(m)->layers; l++)
        part = larger(part, layer_file_bytes(em_model_layer_weights(m, l)));
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

/* Bytes. */
typedef struct sizes {
    size_t fixed;       /* threads' scratch and mapped pages */
    size_t all_weights; /* every layer and the head, packed */
    size_t one_weight;  /* the largest of them */
    size_t token;       /* a padded token of a batch */
} sizes;

static sizes measure(const em_model *m, const em_backend *b, const em_head_spec *head,
                     const em_network_options *o) {
    const em_backend_ops *ops = b->ops;
    em_layer_spec widest = em_widest_layer(m);
    size_t head_bytes = ops->head_bytes(b, head);
    size_t host = b->device_memory ? 0 : mapped_bytes(m) + making_bytes(m);
    size_t callers = b->device_memory
                         ? 0
                         : (size_t)(o->batches ? o->batches : 1) * caller_token_bytes(o);
    sizes s = {.fixed = ops->fixed_bytes(b, &widest, head) + host,
               .all_weights = head_bytes,
               .one_weight = head_bytes,
               .token = ops->token_bytes(b, &widest) + callers};
    for (int l = 0; l < em_model_spec_of(m)->layers; l++) {
        size_t bytes = ops->layer_bytes(b, em_model_layer_spec(m, l));
        s.all_weights += bytes;
        s.one_weight = larger(s.one_weight, bytes);
    }
    return s;
}

/* Padded tokens that fit beside weights, no more than wanted; 0: not even one tile. */
static int64_t tokens_beside(const sizes *s, size_t weights, size_t memory, int64_t want) {
    size_t taken = s->fixed + weights;
    if (taken >= memory) return 0;
    size_t tiles = (memory - taken) / (s->token * EM_TILE);
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

static bool too_small(const em_network_options *o, size_t enough, em_error *err) {
    return em_fail(
        err, EM_MACHINE,
        "a memory of %zu MiB cannot hold one layer and one row of %lld tokens: give --memory "
        "at least %zu MiB, or lower -T or --threads",
        o->memory >> 20, (long long)o->row_tokens, (enough >> 20) + 1);
}

bool em_memory_plan_make(em_memory_plan *plan, const em_model *m, const em_backend *b,
                         const em_head_spec *head, const em_network_options *o, em_error *err) {
    sizes s = measure(m, b, head, o);
    size_t sharers = o->sharers > 1 ? (size_t)o->sharers : 1,
           room = o->memory > o->taken ? (o->memory - o->taken) / sharers : 0;
    int64_t row = em_network_padded(o->row_tokens), want = em_network_padded(o->want_tokens);
    if (want < row) want = row;
    batch_sizes worth = batch_sizes_of(b, row, want);
    plan->capacity = tokens_beside(&s, s.all_weights, room, worth.plenty);
    plan->keep = plan->capacity >= worth.useful;
    if (!plan->keep) plan->capacity = tokens_beside(&s, s.one_weight, room, want);
    return plan->capacity >= row ||
           too_small(o, o->taken + sharers * (s.fixed + s.one_weight + s.token * (size_t)row), err);
}
