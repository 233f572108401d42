/* What the CUDA engine's host files share. The engine queues work and returns: the host converts
 * the next layer's weights while the device computes, and waits only for scores. An error of a
 * stage that cannot return one is kept in em_backend.failure. */
#ifndef EM_KERNELS_CUDA_CUDA_H
#define EM_KERNELS_CUDA_CUDA_H

#include "kernels/backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/layout.h"

/* ---- memory ---- */

/* Pinned buffers of the host through which weights and embeddings go, one after another. */
enum { EM_STAGING_BUFFERS = 4, EM_STAGING_BYTES = 8 << 20 };

typedef struct em_staging {
    void *buffers[EM_STAGING_BUFFERS];
    em_event sent[EM_STAGING_BUFFERS];
    int next;
} em_staging;

/* Device memory of one layer or head. Blocks are used again: the copy stream then waits for the
 * stages that still read what the block held. */
typedef struct em_block {
    char *data;
    size_t bytes;
    bool used;
    em_event done; /* where the compute stream is through with it */
    int64_t freed; /* when, counted in frees */
    struct em_block *next;
} em_block;

/* Device memory that a chunk of EM_CUDA_TOKENS tokens passes through. */
typedef enum em_workspace {
    EM_WORKSPACE_INPUT,         /* of a product, of type: [widest input] */
    EM_WORKSPACE_WIDE,          /* qkv or the feed-forward's inner product, of type */
    EM_WORKSPACE_SUM,           /* a product in f32 on its way into the residual stream: [hidden] */
    EM_WORKSPACE_LOGITS,        /* [EM_CUDA_SLICE] f32 */
    EM_WORKSPACE_LOGITS_BEFORE, /* a pair's other model */
    EM_WORKSPACE_INPUT_BEFORE,
    EM_WORKSPACE_LABELS, /* what score.c sends, */
    EM_WORKSPACE_SUMS,   /* and fetches */
    EM_WORKSPACE_COUNT
} em_workspace;

typedef struct em_timed {
    em_event from, to;
    double *seconds;
} em_timed;

typedef struct em_cuda {
    em_backend base; /* first: an em_backend is an em_cuda */
    em_device device;
    em_products *products;
    em_stream compute, copy;
    em_staging staging;
    size_t allocated; /* bytes of the device, now */
    em_block *blocks;
    int64_t frees;
    void *workspaces[EM_WORKSPACE_COUNT];
    size_t workspace_bytes[EM_WORKSPACE_COUNT];
    void *host; /* pinned: scores on their way out */
    size_t host_bytes;
    em_timed *timed; /* stages whose time is not read yet, and events for more */
    size_t n_timed, timed_capacity;
} em_cuda;

/* The CUDA engine behind b, which em_backend_cuda_open opened. */
static inline em_cuda *em_cuda_of(em_backend *b) { return (em_cuda *)b; }

/* The staging buffers. False with err (EM_MACHINE): memory is out; em_cuda_memory_close is still
 * right. */
bool em_cuda_memory_open(em_cuda *c, em_error *err);
/* Releases blocks, workspaces, staging buffers and the host's memory, used or not. */
void em_cuda_memory_close(em_cuda *c);

/* Memory of the device, not cleared, counted in c->allocated; give it back with em_cuda_give. what:
 * for the error. NULL with err (EM_MACHINE): there is not so much. */
void *em_cuda_take(em_cuda *c, size_t bytes, const char *what, em_error *err);
/* Waits for what uses p. bytes: those that it was taken with; p may be NULL. */
void em_cuda_give(em_cuda *c, void *p, size_t bytes);

/* A block of at least so many bytes, one that was given back where that fits; what the copy stream
 * does from here on comes after the work that still reads it. c owns it; give it back. NULL with
 * err (EM_MACHINE): memory is out. */
em_block *em_block_take(em_cuda *c, size_t bytes, const char *what, em_error *err);
/* To be used again after the compute stream's work queued so far; b may be NULL. */
void em_block_give(em_cuda *c, em_block *b);
/* The workspace has at least so many bytes from here on; what it held is lost where it grows. c
 * owns it. False with err (EM_MACHINE): memory is out. */
bool em_workspace_reserve(em_cuda *c, em_workspace which, size_t bytes, em_error *err);
/* The next staging buffer, EM_STAGING_BYTES that may be written: waits until what it held before
 * was sent. c owns it. NULL with err (EM_MACHINE): the device failed. */
void *em_staging_next(em_cuda *c, em_error *err);
/* Queues a copy of the first bytes of the buffer that em_staging_next gave, to the device's memory
 * at to, and returns. False with err (EM_MACHINE). */
bool em_staging_send(em_cuda *c, em_stream s, void *to, size_t bytes, em_error *err);
/* Pinned memory of the host of at least so many bytes; c owns it, and what it held is lost where it
 * grows. NULL with err (EM_MACHINE): memory is out. */
void *em_cuda_host(em_cuda *c, size_t bytes, em_error *err);

/* A stage begins at what the compute stream is given from here on; its time will be added to
 * *seconds, on the device's clock. A failure is kept in c->base.failure. */
void em_stage_begin(em_cuda *c, double *seconds);
/* The stage that began last ends here. Also keeps what its kernels had to say at their start. */
void em_stage_end(em_cuda *c);
/* Adds the times of all stages that ended since; the device must be through with them. */
void em_stages_settle(em_cuda *c);
/* Releases the clock's events. */
void em_stages_close(em_cuda *c);

/* ---- weights ---- */

/* Bytes of a layer's block and where its parts lie; from the spec alone. */
typedef struct em_layer_layout {
    em_cuda_widths widths;
    int hidden, ffn, attended, qkv, inner; /* padded */
    size_t qkv_at, o_at, inner_at, down_at, vectors_at, bytes;
    int n_vectors; /* floats */
} em_layer_layout;

struct em_layer {
    em_layer_spec spec;
    em_layer_layout at;
    em_block *block;
    const float *qkv_bias, *o_bias, *inner_bias, *down_bias, *q_norm, *k_norm,
        *inv_freq; /* device; NULL: none */
    em_cuda_norm attention_in, attention_out, ffn_in, ffn_out;
};

struct em_head {
    em_head_spec spec;
    int hidden; /* padded */
    em_block *block;
    em_cuda_norm norm;
    const float *bias;
};

/* Of a layer of that spec with weights in type: no memory is taken. */
em_layer_layout em_layer_layout_of(const em_layer_spec *s, em_dtype type);
/* Bytes of a head's block. */
size_t em_cuda_head_bytes(const em_head_spec *s, em_dtype type);

/* ---- a batch ---- */

/* What attention visits under one window of a layer. */
typedef struct em_attention_plan {
    bool made;
    int window, n_items;
    em_attention_item *items; /* device */
    em_seen *seen;            /* device, [max_tokens] */
} em_attention_plan;

enum { EM_PLANS = 2 }; /* a model has one window, or none and one */
enum { EM_ACTIVATION_ARRAYS = 7 + 2 * EM_PLANS };

typedef struct em_device_array {
    void *data;
    size_t bytes;
} em_device_array;

struct em_activations {
    int64_t max_tokens, n_tokens; /* padded to EM_CUDA_TOKENS */
    int hidden;                   /* padded */
    const em_row_batch *batch;
    int64_t *token;     /* host, [max_tokens]: place in the batch's arrays; -1: none */
    int32_t *row_start; /* host, [max_rows]: a row's first padded token */
    int max_rows;
    em_attention_plan plans[EM_PLANS];
    int next_plan;
    em_attention_item *items; /* host scratch */
    em_seen *seen;
    int32_t *host_positions, *positions; /* positions: device, [max_tokens]; -1: none */
    int32_t *host_slots, *slots; /* slots: device, [max_tokens]: a token's row among the batch's
                                    distinct ones; -1: none */
    float *x;                    /* device, [max_tokens, hidden], zeros beyond the model's own */
    char *q, *k, *v,
        *attended; /* device: see layout.h; attended: [max_tokens, padded heads * head_dim] */
    em_device_array arrays[EM_ACTIVATION_ARRAYS]; /* all of these, to be given back */
    int n_arrays;
};

/* ---- stages ---- */

/* The entries of the same names in em_backend_ops: what each does, takes, owns and refuses is said
 * there. Stages queue work and return; what fails later is in em_backend.failure. */
em_layer *em_cuda_layer_load(em_backend *b, const em_layer_spec *spec, const em_layer_weights *w,
                             em_error *err);
void em_cuda_layer_free(em_backend *b, em_layer *l);
em_head *em_cuda_head_load(em_backend *b, const em_head_spec *spec, em_error *err);
void em_cuda_head_free(em_backend *b, em_head *h);
em_activations *em_cuda_activations_new(em_backend *b, const em_layer_spec *s, int64_t max_tokens,
                                        int max_rows, em_error *err);
void em_cuda_activations_free(em_backend *b, em_activations *a);
bool em_cuda_embed(em_backend *b, const em_embedding *e, const em_row_batch *batch,
                   em_activations *a, em_error *err);
void em_cuda_attention_inputs(em_backend *b, const em_layer *l, em_activations *a);
void em_cuda_attention(em_backend *b, const em_layer *l, em_activations *a);
void em_cuda_attention_output(em_backend *b, const em_layer *l, em_activations *a);
void em_cuda_feed_forward(em_backend *b, const em_layer *l, em_activations *a);
void em_cuda_score(em_backend *b, const em_head *h, const em_score_request *request,
                   em_activations *a, em_scores *out);
void em_cuda_score_pair(em_backend *b, const em_head *before, const em_head *after,
                        const em_pair_request *request, em_activations *x_before,
                        em_activations *x_after, em_pair_scores *out);

/* Chunks of EM_CUDA_TOKENS that so many padded tokens come to. */
static inline int64_t em_cuda_chunks(int64_t tokens) {
    return (tokens + EM_CUDA_TOKENS - 1) / EM_CUDA_TOKENS;
}

#endif
