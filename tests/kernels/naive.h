/* A transformer in double precision, token by token, as plainly as it can be written: what the
 * backend's stages are tested against. Random networks of any shape go with it. */
#ifndef EM_TESTS_KERNELS_NAIVE_H
#define EM_TESTS_KERNELS_NAIVE_H

#include "kernels/backend.h"

#ifndef NETWORK_LAYERS /* tests/kernels/CMakeLists.txt gives one test others */
#define NETWORK_LAYERS 2
#endif
#ifndef NETWORK_VOCAB
#define NETWORK_VOCAB 1100 /* three slices of the vocabulary, the last one short and odd */
#endif
#define NETWORK_POSITIONS 700

/* How a family differs from Llama: what a random network is drawn from. */
typedef struct network_shape {
    const char *name;
    em_layer_spec layer;
    em_dtype dtype;
    bool biases, learned_positions;
    bool no_norm_in, norm_out;
    bool transposed;  /* matrices stored [in, out] */
    bool fused_heads; /* q, k, v in one tensor, head by head */
    float embedding_scale, head_softcap;
} network_shape;

typedef struct network {
    network_shape shape;
    em_embedding embedding;
    em_layer_weights layers[NETWORK_LAYERS];
    em_head_spec head;
    float inv_freq[2][128];
    void *owned[128];
    int n_owned;
    uint64_t random;
} network;

extern const network_shape network_shapes[];
extern const int n_network_shapes;

network *network_new(const network_shape *shape);
void network_free(network *n);
const em_layer_spec *network_layer(const network *n,
                                   int layer); /* the second has another rope and no window */

/* nll of each token of one row under its labels (-1: left alone), argmax where there is a label. */
void naive_score(const network *n, int length, const int32_t *ids, const int32_t *positions,
                 const int32_t *lo, const int32_t *hi, const int32_t *labels, double *nll,
                 int32_t *argmax);

/* The row's logits: [length, NETWORK_VOCAB]. */
void naive_logits(const network *n, int length, const int32_t *ids, const int32_t *positions,
                  const int32_t *lo, const int32_t *hi, double *logits);

/* Counter-based random numbers in [-1, 1). */
float network_random(uint64_t *state);

#endif
