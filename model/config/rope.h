/* Rotary frequencies as transformers computes them (modeling_rope_utils.py), in float. */
#ifndef EM_MODEL_CONFIG_ROPE_H
#define EM_MODEL_CONFIG_ROPE_H

#include <stdbool.h>
#include <stdint.h>

typedef enum em_rope_type {
    EM_ROPE_DEFAULT,
    EM_ROPE_LINEAR,
    EM_ROPE_LLAMA3,
    EM_ROPE_YARN,
    EM_ROPE_LONG,   /* longrope, arXiv 2402.13753: each frequency has a factor of its own */
    EM_ROPE_DIVIDED /* ours, GGUF's rope_freqs: each frequency is divided by its own factor */
} em_rope_type;

#define EM_MAX_ROPE_PAIRS 128

typedef struct em_rope_config {
    em_rope_type type;
    double theta;
    double partial;             /* share of a head's elements that is rotated */
    double factor;              /* not for default; longrope: for the scale alone */
    double original;            /* original_max_position_embeddings: llama3, yarn, longrope */
    double low_freq, high_freq; /* llama3 */
    double attention_factor;    /* yarn, longrope; 0: from factor (and mscale) */
    double beta_fast, beta_slow, mscale, mscale_all_dim; /* yarn */
    bool truncate;                                       /* yarn */
    double longest; /* longrope: max_position_embeddings, over original the factor where it is 0 */
    int n_factors;  /* longrope: of short_factor; divided */
    double factors[EM_MAX_ROPE_PAIRS]; /* of rows up to `original`; longer ones have others */
} em_rope_config;

/* Rotated elements of a head. */
int em_rope_dim(const em_rope_config *c, int head_dim);
/* inv_freq: [dim / 2]. Returns the factor for cos and sin (1 but for yarn). */
float em_rope_frequencies(const em_rope_config *c, int dim, float *inv_freq);

#endif
