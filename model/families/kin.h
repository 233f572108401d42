/* For the files of this folder: a list of rows each, and what several readers share. Defaults are
 * those of transformers 5.23, models/NAME/configuration_NAME.py. */
#ifndef EM_MODEL_FAMILIES_KIN_H
#define EM_MODEL_FAMILIES_KIN_H

#include "model/families/family.h"

/* Each ends with a row without a model_type. */
extern const em_family em_exaone_kin[], em_falcon_kin[], em_gemma_kin[], em_glm_kin[],
    em_gpt2_kin[], em_llama_kin[], em_neox_kin[], em_olmo_kin[], em_phi_kin[], em_qwen_kin[];

/* ---- for rows ---- */

#define EM_RMS \
    { .kind = EM_NORM_RMS }
#define EM_RMS_PLUS_ONE \
    { .kind = EM_NORM_RMS, .plus_one = true }
#define EM_LAYER_NORM \
    { .kind = EM_NORM_LAYER }

/* Always there; or as a key says, and else as its default. */
#define EM_ALWAYS \
    { .value = true }
#define EM_KEY(name, otherwise) \
    { .key = (name), .value = (otherwise) }

/* What Llama's relatives call things. */
#define EM_LLAMA_ROOT .prefixes = {"model.", ""}, .outputs = {"lm_head"}
#define EM_LLAMA_NAMES \
    .tokens = "embed_tokens", .final_norm = "norm", .layer = "layers.%d.", \
    .q = "self_attn.q_proj", .k = "self_attn.k_proj", .v = "self_attn.v_proj", \
    .o = "self_attn.o_proj", .gate = "mlp.gate_proj", .up = "mlp.up_proj", .down = "mlp.down_proj"
#define EM_HEAD_NORMS .q_norm = "self_attn.q_norm", .k_norm = "self_attn.k_norm"
/* The text model inside one with images, as releases 4 and 5 of transformers store it. */
#define EM_TEXT_ROOT \
    .prefixes = {"language_model.model.", "model.language_model.", "model.", ""}, \
    .outputs = {"lm_head", "language_model.lm_head"}
#define EM_PRE_NORMS .attention_in = "input_layernorm", .ffn_in = "post_attention_layernorm"

extern const em_family_keys em_llama_keys;
extern const em_family_names em_llama_names, em_plain_llama_names; /* plain: without a gate */

/* ---- for readers ---- */

/* Fails (EM_INPUT) where the key is there, not null and not `value`: what it asks for is not
 * supported. */
bool em_refuse_unless(const em_config_reader *r, const char *key, bool value);

/* The same window in every layer; 0: none. */
void em_window_everywhere(em_config *c, int64_t window);
/* A window's key. Missing leaves *window, null sets 0. */
bool em_read_window(const em_config_reader *r, const char *key, int64_t *window);
/* layer_types: `window` in the layers that it calls sliding_attention, none in those of
 * full_attention. *present: config.json has the list; else no window is set. Errors (EM_INPUT):
 * another kind, another length than the number of layers, sliding layers without a window. */
bool em_read_layer_types(const em_config_reader *r, em_config *c, int64_t window, bool *present);
/* The same, and where the list is missing every pattern-th layer sees everything while the others
 * slide (a window of null is refused then). window: sliding_window's default. */
bool em_read_windows(const em_config_reader *r, em_config *c, int64_t window, int64_t pattern);
/* Two sets of frequencies, rope[0] for full layers and rope[1] for those with a window, over the
 * bases in *c: rope_parameters by layer type (transformers 5), or rope_theta and rope_scaling for
 * the full ones and, where the family has it, a key for the sliding ones (4). called: for errors.
 */
bool em_read_rope_by_kind(const em_config_reader *r, em_config *c, const char *called,
                          const char *sliding_key);

#endif
