/* adapter_config.json of a PEFT LoRA (https://github.com/huggingface/peft, LoraConfig): which
 * modules it changes, at which rank and scale. Modules are named as in transformers:
 * "model.layers.0.self_attn.q_proj". */
#ifndef EM_MODEL_ADAPTER_CONFIG_H
#define EM_MODEL_ADAPTER_CONFIG_H

#include <jansson.h>
#include "common/error.h"

typedef struct em_adapter_config {
    json_t *root;       /* owned */
    const char *source; /* for errors; the caller's, outlives the config */
    int64_t rank;       /* r and lora_alpha, where no pattern names the module */
    double alpha;
    bool rslora; /* alpha / sqrt(r) instead of alpha / r */
    bool biases; /* the adapter's own biases replace the base's: bias is all or lora_only */
} em_adapter_config;

/* What is not supported, and every key that is not known and says something, is refused by name
 * (EM_INPUT). */
bool em_adapter_config_read(const char *source, const void *data, size_t size,
                            em_adapter_config *out, em_error *err);
void em_adapter_config_free(em_adapter_config *c); /* frees and zeroes */

/* Whether PEFT puts a LoRA on the module (check_target_module_exists). linear: it is a Linear or
 * Conv1D and not the head, which is what all-linear means. Errors (EM_INPUT): a pattern that is no
 * regular expression. */
bool em_adapter_config_targets(const em_adapter_config *c, const char *module, bool linear,
                               bool *out, em_error *err);

/* The module's rank, by rank_pattern, and what multiplies B A, by alpha_pattern (get_pattern_key).
 */
bool em_adapter_config_rank(const em_adapter_config *c, const char *module, int64_t *rank,
                            double *scale, em_error *err);

#endif
