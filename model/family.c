#include "model/family.h"

#include <stdio.h>
#include <string.h>

/* ---- keys and names ---- */

static const em_family_keys llama_keys = {
    "num_hidden_layers",       "hidden_size", "num_attention_heads",
    "num_key_value_heads",     "head_dim",    "intermediate_size",
    "max_position_embeddings", "hidden_act",  "rms_norm_eps"};
static const em_family_keys gemma_keys = {
    "num_hidden_layers",       "hidden_size",       "num_attention_heads",
    "num_key_value_heads",     "head_dim",          "intermediate_size",
    "max_position_embeddings", "hidden_activation", "rms_norm_eps"};
static const em_family_keys gpt2_keys = {"n_layer",
                                         "n_embd",
                                         "n_head",
                                         NULL,
                                         NULL,
                                         "n_inner",
                                         "n_positions",
                                         "activation_function",
                                         "layer_norm_epsilon"};
static const em_family_keys gpt_neo_keys = {"num_layers",
                                            "hidden_size",
                                            "num_heads",
                                            NULL,
                                            NULL,
                                            "intermediate_size",
                                            "max_position_embeddings",
                                            "activation_function",
                                            "layer_norm_epsilon"};
static const em_family_keys gpt_neox_keys = {"num_hidden_layers",
                                             "hidden_size",
                                             "num_attention_heads",
                                             NULL,
                                             NULL,
                                             "intermediate_size",
                                             "max_position_embeddings",
                                             "hidden_act",
                                             "layer_norm_eps"};

#define LLAMA_ROOT .prefixes = {"model.", ""}, .outputs = {"lm_head"}
#define LLAMA_NAMES \
    .tokens = "embed_tokens", .final_norm = "norm", .layer = "layers.%d.", \
    .q = "self_attn.q_proj", .k = "self_attn.k_proj", .v = "self_attn.v_proj", \
    .o = "self_attn.o_proj", .gate = "mlp.gate_proj", .up = "mlp.up_proj", .down = "mlp.down_proj"
#define HEAD_NORMS .q_norm = "self_attn.q_norm", .k_norm = "self_attn.k_norm"
#define PRE_NORMS .attention_in = "input_layernorm", .ffn_in = "post_attention_layernorm"
#define GEMMA_NORMS \
    .attention_in = "input_layernorm", .attention_out = "post_attention_layernorm", \
    .ffn_in = "pre_feedforward_layernorm", .ffn_out = "post_feedforward_layernorm"

static const em_family_names llama_names = {LLAMA_ROOT, LLAMA_NAMES, PRE_NORMS};
static const em_family_names qwen3_names = {LLAMA_ROOT, LLAMA_NAMES, PRE_NORMS, HEAD_NORMS};
static const em_family_names olmo2_names = {LLAMA_ROOT, LLAMA_NAMES, HEAD_NORMS,
                                            .attention_out = "post_attention_layernorm",
                                            .ffn_out = "post_feedforward_layernorm"};
static const em_family_names gemma2_names = {LLAMA_ROOT, LLAMA_NAMES, GEMMA_NORMS};
static const em_family_names gemma3_names = {LLAMA_ROOT, LLAMA_NAMES, GEMMA_NORMS, HEAD_NORMS};
static const em_family_names gemma3_image_names = {
    LLAMA_NAMES,
    GEMMA_NORMS,
    HEAD_NORMS,
    .prefixes = {"language_model.model.", "model.language_model.", "model.", ""},
    .outputs = {"lm_head", "language_model.lm_head"},
    .ignored = {"vision_tower.", "model.vision_tower.", "multi_modal_projector.",
                "model.multi_modal_projector."}};
static const em_family_names gpt2_names = {.prefixes = {"transformer.", ""},
                                           .outputs = {"lm_head"},
                                           .tokens = "wte",
                                           .positions = "wpe",
                                           .final_norm = "ln_f",
                                           .layer = "h.%d.",
                                           .attention_in = "ln_1",
                                           .ffn_in = "ln_2",
                                           .qkv = "attn.c_attn",
                                           .o = "attn.c_proj",
                                           .up = "mlp.c_fc",
                                           .down = "mlp.c_proj"};
static const em_family_names gpt_neo_names = {.prefixes = {"transformer.", ""},
                                              .outputs = {"lm_head"},
                                              .tokens = "wte",
                                              .positions = "wpe",
                                              .final_norm = "ln_f",
                                              .layer = "h.%d.",
                                              .attention_in = "ln_1",
                                              .ffn_in = "ln_2",
                                              .q = "attn.attention.q_proj",
                                              .k = "attn.attention.k_proj",
                                              .v = "attn.attention.v_proj",
                                              .o = "attn.attention.out_proj",
                                              .up = "mlp.c_fc",
                                              .down = "mlp.c_proj"};
static const em_family_names gpt_neox_names = {.prefixes = {"gpt_neox.", ""},
                                               .outputs = {"embed_out", "lm_head"},
                                               .tokens = "embed_in",
                                               .final_norm = "final_layer_norm",
                                               .layer = "layers.%d.",
                                               .attention_in = "input_layernorm",
                                               .ffn_in = "post_attention_layernorm",
                                               .qkv = "attention.query_key_value",
                                               .o = "attention.dense",
                                               .up = "mlp.dense_h_to_4h",
                                               .down = "mlp.dense_4h_to_h"};

/* ---- what a row cannot say ---- */

static void window_everywhere(em_config *c, int64_t window) {
    for (int i = 0; i < c->layers; i++) c->window[i] = (int)window;
}

/* A missing key leaves *window, null sets 0. */
static bool read_window(const em_config_reader *r, const char *key, int64_t *window) {
    if (json_is_null(json_object_get(r->root, key))) *window = 0;
    return em_read_int(r, key, 1, INT32_MAX, window);
}

/* layer_types: the window where it says sliding_attention. *present: config.json has the list. */
static bool read_layer_types(const em_config_reader *r, em_config *c, int64_t window,
                             bool *present) {
    const json_t *types = json_object_get(r->root, "layer_types");
    *present = types && !json_is_null(types);
    if (!*present) return true;
    if (json_array_size(types) != (size_t)c->layers)
        return em_config_fail(r, "layer_types", "is no list with one entry per layer");
    for (int i = 0; i < c->layers; i++) {
        const char *type = json_string_value(json_array_get(types, (size_t)i));
        bool sliding = type && !strcmp(type, "sliding_attention");
        if (!sliding && (!type || strcmp(type, "full_attention")))
            return em_config_fail(r, "layer_types",
                                  "holds something else than full_attention and sliding_attention");
        if (sliding && window == 0)
            return em_config_fail(r, "layer_types",
                                  "names sliding layers, but there is no sliding_window");
        c->window[i] = sliding ? (int)window : 0;
    }
    return true;
}

static bool read_llama(const em_config_reader *r, em_config *c) {
    return em_read_bool(r, "rope_interleaved", &c->rope_interleaved);
}

static bool read_mistral(const em_config_reader *r, em_config *c) {
    int64_t window = 4096;
    if (!read_window(r, "sliding_window", &window)) return false;
    window_everywhere(c, window);
    return true;
}

/* Layers from max_window_layers on slide, if use_sliding_window; layer_types overrides. */
static bool read_qwen(const em_config_reader *r, em_config *c) {
    int64_t window = 4096, first = 28;
    bool use = false, listed;
    if (!em_read_bool(r, "use_sliding_window", &use) ||
        !read_window(r, "sliding_window", &window) ||
        !em_read_int(r, "max_window_layers", 0, INT32_MAX, &first) ||
        !read_layer_types(r, c, use ? window : 0, &listed))
        return false;
    for (int i = 0; i < c->layers && !listed; i++)
        c->window[i] = use && i >= first ? (int)window : 0;
    return true;
}

/* Every fourth layer has no rotary embedding, unless no_rope_layers says which (1: it has). */
static bool read_smollm3(const em_config_reader *r, em_config *c) {
    int64_t window = 0, interval = 4;
    bool use = false, listed;
    const json_t *list = json_object_get(r->root, "no_rope_layers");
    if (!em_read_int(r, "no_rope_layer_interval", 1, INT32_MAX, &interval)) return false;
    if (json_is_array(list) && json_array_size(list) < (size_t)c->layers)
        return em_config_fail(r, "no_rope_layers", "has fewer entries than layers");
    for (int i = 0; i < c->layers; i++) {
        bool rope = json_is_array(list) ? json_integer_value(json_array_get(list, (size_t)i)) != 0
                                        : (i + 1) % interval != 0;
        c->rope_of[i] = rope ? 0 : -1;
    }
    if (!em_read_bool(r, "use_sliding_window", &use) ||
        !read_window(r, "sliding_window", &window) ||
        !read_layer_types(r, c, use ? window : 0, &listed))
        return false;
    for (int i = 0; i < c->layers && !listed; i++)
        c->window[i] = use && c->rope_of[i] < 0 ? (int)window : 0;
    return true;
}

static bool read_gpt2(const em_config_reader *r, em_config *c) {
    return em_read_bool(r, "scale_attn_weights", &c->scale_attention) &&
           em_read_bool(r, "scale_attn_by_inverse_layer_idx", &c->scale_by_layer);
}

static bool set_neo_layer(const em_config_reader *r, em_config *c, int layer, const json_t *kind,
                          int64_t window) {
    const char *name = json_string_value(kind);
    bool local = name && !strcmp(name, "local");
    if (!local && (!name || strcmp(name, "global")))
        return em_config_fail(r, "attention_types", "holds something else than global and local");
    if (layer < c->layers) c->window[layer] = local ? (int)window : 0;
    return true;
}

/* [[["global", "local"], 12]]: the list, twelve times. Returns the number of layers, -1 with err.
 */
static int64_t expand_neo_types(const em_config_reader *r, em_config *c, const json_t *types,
                                int64_t window) {
    int64_t layer = 0;
    for (size_t i = 0; i < json_array_size(types); i++) {
        const json_t *kinds = json_array_get(json_array_get(types, i), 0),
                     *times = json_array_get(json_array_get(types, i), 1);
        if (!json_array_size(kinds) || !json_is_integer(times)) {
            em_config_fail(r, "attention_types", "is not [[[kind, …], times], …]");
            return -1;
        }
        for (json_int_t k = 0; k < json_integer_value(times) && layer <= c->layers; k++)
            for (size_t j = 0; j < json_array_size(kinds) && layer <= c->layers; j++)
                if (!set_neo_layer(r, c, (int)layer++, json_array_get(kinds, j), window)) return -1;
    }
    return layer;
}

/* Scores are not scaled at all. Local layers see the last window_size keys. */
static bool read_gpt_neo(const em_config_reader *r, em_config *c) {
    int64_t window = 256, n = 0;
    const json_t *layers = json_object_get(r->root, "attention_layers"),
                 *types = json_object_get(r->root, "attention_types");
    c->scale_attention = false;
    if (!em_read_int(r, "window_size", 1, INT32_MAX, &window)) return false;
    if (json_is_array(layers)) {
        for (n = 0; n < (int64_t)json_array_size(layers) && n <= c->layers; n++)
            if (!set_neo_layer(r, c, (int)n, json_array_get(layers, (size_t)n), window))
                return false;
    } else if (json_is_array(types)) {
        n = expand_neo_types(r, c, types, window);
        if (n < 0) return false;
    } else {
        for (n = 0; n < c->layers; n++) c->window[n] = n % 2 ? (int)window : 0;
        n = 24; /* the default list is that long */
    }
    return n == c->layers ||
           em_config_fail(r, "attention_types", "does not have one entry per layer");
}

static bool read_gpt_neox(const em_config_reader *r, em_config *c) {
    c->parallel_residual = true;
    return em_read_bool(r, "use_parallel_residual", &c->parallel_residual);
}

static bool refuse_bidirectional(const em_config_reader *r) {
    bool both = false;
    if (!em_read_bool(r, "use_bidirectional_attention", &both)) return false;
    return !both || em_config_fail(r, "use_bidirectional_attention", "true is not supported");
}

/* Where layer_types is missing, every pattern-th layer sees everything and the others slide. */
static bool read_gemma_windows(const em_config_reader *r, em_config *c, int64_t pattern) {
    int64_t window = 4096;
    bool listed;
    if (!refuse_bidirectional(r) || !read_window(r, "sliding_window", &window) ||
        !read_layer_types(r, c, window, &listed))
        return false;
    if (!listed && window == 0)
        return em_config_fail(r, "sliding_window", "null is not supported here");
    for (int i = 0; i < c->layers && !listed; i++)
        c->window[i] = (i + 1) % pattern ? (int)window : 0;
    return true;
}

static bool read_gemma2(const em_config_reader *r, em_config *c) {
    c->query_scale = 256;
    c->attention_softcap = json_is_null(json_object_get(r->root, "attn_logit_softcapping")) ? 0
                                                                                            : 50;
    c->logit_softcap = json_is_null(json_object_get(r->root, "final_logit_softcapping")) ? 0 : 30;
    return em_read_positive(r, "query_pre_attn_scalar", &c->query_scale) &&
           em_read_positive(r, "attn_logit_softcapping", &c->attention_softcap) &&
           em_read_positive(r, "final_logit_softcapping", &c->logit_softcap) &&
           read_gemma_windows(r, c, 2);
}

/* rope_parameters by layer type (5), or rope_theta and rope_scaling for the full layers and
 * rope_local_base_freq for the sliding ones (4). */
static bool read_gemma3_rope(const em_config_reader *r, em_config *c) {
    const json_t *both = json_object_get(r->root, "rope_parameters"),
                 *scaling = json_object_get(r->root, "rope_scaling");
    const json_t *full = json_object_get(both, "full_attention"),
                 *sliding = json_object_get(both, "sliding_attention");
    if (json_object_size(both) && !full && !sliding)
        return em_config_fail(r, "rope_parameters", "of a Gemma 3 must be by layer type");
    c->rope[0] = c->rope[1] = (em_rope_config){.theta = 1e6, .partial = 1};
    c->rope[1].theta = 1e4;
    if (!em_read_number(r, "rope_theta", &c->rope[0].theta) ||
        !em_read_number(r, "rope_local_base_freq", &c->rope[1].theta))
        return false;
    for (int i = 0; i < c->layers; i++) c->rope_of[i] = c->window[i] ? 1 : 0;
    return em_read_rope(r, json_is_object(scaling) ? scaling : full, "rope_parameters", c,
                        &c->rope[0]) &&
           em_read_rope(r, sliding, "rope_parameters", c, &c->rope[1]);
}

static bool read_gemma3(const em_config_reader *r, em_config *c) {
    int64_t pattern = 6;
    double softcap = 0;
    c->query_scale = 256;
    if (!em_read_number(r, "attn_logit_softcapping", &softcap)) return false;
    if (softcap != 0)
        return em_config_fail(r, "attn_logit_softcapping",
                              "is not used by Gemma 3 and must be null");
    return em_read_positive(r, "query_pre_attn_scalar", &c->query_scale) &&
           em_read_positive(r, "final_logit_softcapping", &c->logit_softcap) &&
           em_read_int(r, "sliding_window_pattern", 1, INT32_MAX, &pattern) &&
           read_gemma_windows(r, c, pattern) && read_gemma3_rope(r, c);
}

/* ---- the families; defaults from transformers 5.23, models/NAME/configuration_NAME.py ---- */

#define GEMMA3 \
    .keys = &gemma_keys, .norm = EM_NORM_RMS, .head_norm = EM_HEAD_NORM_EACH, .gated = true, \
    .norm_plus_one = true, .scaled_embedding = true, .tied = true, .qkv_bias = EM_BIAS_KEY_FALSE, \
    .o_bias = EM_BIAS_KEY_FALSE, .vocab = 262208, .layers = 26, .hidden = 2304, .heads = 8, \
    .kv_heads = 4, .head_dim = 256, .ffn = 9216, .max_positions = 131072, .norm_eps = 1e-6, \
    .activation = "gelu_pytorch_tanh", .eos = 1, .read = read_gemma3

static const em_family families[] = {
    {.model_type = "gemma2",
     .keys = &gemma_keys,
     .names = &gemma2_names,
     .norm = EM_NORM_RMS,
     .gated = true,
     .norm_plus_one = true,
     .scaled_embedding = true,
     .tied = true,
     .qkv_bias = EM_BIAS_KEY_FALSE,
     .o_bias = EM_BIAS_KEY_FALSE,
     .vocab = 256000,
     .layers = 26,
     .hidden = 2304,
     .heads = 8,
     .kv_heads = 4,
     .head_dim = 256,
     .ffn = 9216,
     .max_positions = 8192,
     .norm_eps = 1e-6,
     .activation = "gelu_pytorch_tanh",
     .theta = 1e4,
     .eos = 1,
     .read = read_gemma2},
    {.model_type = "gemma3", .names = &gemma3_image_names, GEMMA3},
    {.model_type = "gemma3_text", .names = &gemma3_names, GEMMA3},
    {.model_type = "gpt2",
     .keys = &gpt2_keys,
     .names = &gpt2_names,
     .layout = EM_FUSED_CONV1D,
     .norm = EM_NORM_LAYER,
     .tied = true,
     .qkv_bias = EM_BIAS_ALWAYS,
     .o_bias = EM_BIAS_ALWAYS,
     .mlp_bias = EM_BIAS_ALWAYS,
     .vocab = 50257,
     .layers = 12,
     .hidden = 768,
     .heads = 12,
     .max_positions = 1024,
     .norm_eps = 1e-5,
     .activation = "gelu_new",
     .eos = 50256,
     .read = read_gpt2},
    {.model_type = "gpt_neo",
     .keys = &gpt_neo_keys,
     .names = &gpt_neo_names,
     .norm = EM_NORM_LAYER,
     .tied = true,
     .o_bias = EM_BIAS_ALWAYS,
     .mlp_bias = EM_BIAS_ALWAYS,
     .vocab = 50257,
     .layers = 24,
     .hidden = 2048,
     .heads = 16,
     .max_positions = 2048,
     .norm_eps = 1e-5,
     .activation = "gelu_new",
     .eos = 50256,
     .read = read_gpt_neo},
    {.model_type = "gpt_neox",
     .keys = &gpt_neox_keys,
     .names = &gpt_neox_names,
     .layout = EM_FUSED_BY_HEAD,
     .norm = EM_NORM_LAYER,
     .qkv_bias = EM_BIAS_KEY_TRUE,
     .o_bias = EM_BIAS_KEY_TRUE,
     .mlp_bias = EM_BIAS_ALWAYS,
     .vocab = 50432,
     .layers = 44,
     .hidden = 6144,
     .heads = 64,
     .ffn = 24576,
     .max_positions = 2048,
     .norm_eps = 1e-5,
     .activation = "gelu",
     .theta = 1e4,
     .eos = 2,
     .read = read_gpt_neox},
    {.model_type = "llama",
     .keys = &llama_keys,
     .names = &llama_names,
     .norm = EM_NORM_RMS,
     .gated = true,
     .qkv_bias = EM_BIAS_KEY_FALSE,
     .o_bias = EM_BIAS_KEY_FALSE,
     .mlp_bias = EM_BIAS_KEY_FALSE,
     .vocab = 32000,
     .layers = 32,
     .hidden = 4096,
     .heads = 32,
     .ffn = 11008,
     .max_positions = 2048,
     .norm_eps = 1e-6,
     .activation = "silu",
     .theta = 1e4,
     .eos = 2,
     .read = read_llama},
    {.model_type = "mistral",
     .keys = &llama_keys,
     .names = &llama_names,
     .norm = EM_NORM_RMS,
     .gated = true,
     .vocab = 32000,
     .layers = 32,
     .hidden = 4096,
     .heads = 32,
     .kv_heads = 8,
     .ffn = 14336,
     .max_positions = 131072,
     .norm_eps = 1e-6,
     .activation = "silu",
     .theta = 1e4,
     .eos = 2,
     .read = read_mistral},
    {.model_type = "olmo2",
     .keys = &llama_keys,
     .names = &olmo2_names,
     .norm = EM_NORM_RMS,
     .head_norm = EM_HEAD_NORM_ALL,
     .gated = true,
     .qkv_bias = EM_BIAS_KEY_FALSE,
     .o_bias = EM_BIAS_KEY_FALSE,
     .vocab = 50304,
     .layers = 32,
     .hidden = 4096,
     .heads = 32,
     .ffn = 11008,
     .max_positions = 2048,
     .norm_eps = 1e-5,
     .activation = "silu",
     .theta = 1e4,
     .eos = 50279},
    {.model_type = "qwen2",
     .keys = &llama_keys,
     .names = &llama_names,
     .norm = EM_NORM_RMS,
     .gated = true,
     .qkv_bias = EM_BIAS_ALWAYS,
     .vocab = 151936,
     .layers = 32,
     .hidden = 4096,
     .heads = 32,
     .kv_heads = 32,
     .ffn = 22016,
     .max_positions = 32768,
     .norm_eps = 1e-6,
     .activation = "silu",
     .theta = 1e4,
     .eos = -1,
     .read = read_qwen},
    {.model_type = "qwen3",
     .keys = &llama_keys,
     .names = &qwen3_names,
     .norm = EM_NORM_RMS,
     .head_norm = EM_HEAD_NORM_EACH,
     .gated = true,
     .qkv_bias = EM_BIAS_KEY_FALSE,
     .o_bias = EM_BIAS_KEY_FALSE,
     .vocab = 151936,
     .layers = 32,
     .hidden = 4096,
     .heads = 32,
     .kv_heads = 32,
     .head_dim = 128,
     .ffn = 22016,
     .max_positions = 32768,
     .norm_eps = 1e-6,
     .activation = "silu",
     .theta = 1e4,
     .eos = -1,
     .read = read_qwen},
    {.model_type = "smollm3",
     .keys = &llama_keys,
     .names = &llama_names,
     .norm = EM_NORM_RMS,
     .gated = true,
     .tied = true,
     .qkv_bias = EM_BIAS_KEY_FALSE,
     .o_bias = EM_BIAS_KEY_FALSE,
     .mlp_bias = EM_BIAS_KEY_FALSE,
     .vocab = 128256,
     .layers = 36,
     .hidden = 2048,
     .heads = 16,
     .kv_heads = 4,
     .ffn = 11008,
     .max_positions = 32768,
     .norm_eps = 1e-6,
     .activation = "silu",
     .theta = 2e6,
     .eos = 128001,
     .read = read_smollm3},
};

#define N_FAMILIES (sizeof families / sizeof *families)

const em_family *em_family_find(const char *model_type) {
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (!strcmp(families[i].model_type, model_type)) return &families[i];
    return NULL;
}

const char *em_family_list(void) {
    return "gemma2, gemma3, gemma3_text, gpt2, gpt_neo, gpt_neox, llama, mistral, olmo2, qwen2, "
           "qwen3, smollm3";
}

bool em_family_is_nested(const char *model_type) { return !strcmp(model_type, "gemma3"); }
