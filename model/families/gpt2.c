/* GPT-2 and others with LayerNorm, learned positions, biases. */
#include "model/families/kin.h"

#include <string.h>

/* clang-format off */
static const em_family_keys gpt2_keys = {
    .layers = "n_layer", .hidden = "n_embd", .heads = "n_head", .ffn = "n_inner",
    .max_positions = "n_positions", .activation = "activation_function",
    .norm_eps = "layer_norm_epsilon"};
static const em_family_keys gpt_neo_keys = {
    .layers = "num_layers", .hidden = "hidden_size", .heads = "num_heads",
    .ffn = "intermediate_size", .max_positions = "max_position_embeddings",
    .activation = "activation_function", .norm_eps = "layer_norm_epsilon"};

#define GPT2_NAMES \
    .prefixes = {"transformer.", ""}, .outputs = {"lm_head"}, .tokens = "wte", \
    .positions = "wpe", .final_norm = "ln_f", .layer = "h.%d.", .attention_in = "ln_1", \
    .ffn_in = "ln_2", .up = "mlp.c_fc", .down = "mlp.c_proj"
/* clang-format on */

static const em_family_names gpt2_names = {GPT2_NAMES, .qkv = "attn.c_attn", .o = "attn.c_proj"};
static const em_family_names gpt_neo_names = {
    GPT2_NAMES, .q = "attn.attention.q_proj", .k = "attn.attention.k_proj",
    .v = "attn.attention.v_proj", .o = "attn.attention.out_proj"};

/* clang-format off */
static const em_family_keys opt_keys = {
    .layers = "num_hidden_layers", .hidden = "hidden_size", .heads = "num_attention_heads",
    .ffn = "ffn_dim", .max_positions = "max_position_embeddings",
    .activation = "activation_function"};
static const em_family_names opt_names = {
    .prefixes = {"model.decoder.", "decoder.", ""}, .outputs = {"lm_head"},
    .tokens = "embed_tokens", .positions = "embed_positions", .final_norm = "final_layer_norm",
    .layer = "layers.%d.", .attention_in = "self_attn_layer_norm", .ffn_in = "final_layer_norm",
    .q = "self_attn.q_proj", .k = "self_attn.k_proj", .v = "self_attn.v_proj",
    .o = "self_attn.out_proj", .up = "fc1", .down = "fc2"};
/* clang-format on */

static bool read_gpt2(const em_config_reader *r, em_config *c) {
    return em_read_bool(r, "scale_attn_weights", &c->scale_attention) &&
           em_read_bool(r, "scale_attn_by_inverse_layer_idx", &c->scale_by_layer);
}

/* All heads share one of k and v, or have their own: then all three lie head by head. */
static bool read_gpt_bigcode(const em_config_reader *r, em_config *c) {
    bool one = true;
    if (!em_read_bool(r, "multi_query", &one)) return false;
    if (one) c->kv_heads = 1;
    else c->form.qkv = EM_QKV_BY_GROUP;
    return em_read_bool(r, "scale_attn_weights", &c->scale_attention);
}

/* The 350M model norms after the blocks and has an embedding of another width. */
static bool read_opt(const em_config_reader *r, em_config *c) {
    bool affine = true;
    int64_t width = c->hidden;
    if (!em_refuse_unless(r, "do_layer_norm_before", true) ||
        !em_refuse_unless(r, "_remove_final_layer_norm", false) ||
        !em_read_bool(r, "layer_norm_elementwise_affine", &affine) ||
        !em_read_int(r, "word_embed_proj_dim", 1, INT32_MAX, &width))
        return false;
    c->form.norm.no_weight = !affine;
    return width == c->hidden ||
           em_config_fail(r, "word_embed_proj_dim", "other than hidden_size is not supported");
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

/* clang-format off */
const em_family em_gpt2_kin[] = {
    {.model_type = "gpt2", .called = "GPT-2",
     .keys = &gpt2_keys, .names = &gpt2_names,
     .form = {.norm = EM_LAYER_NORM, .qkv = EM_QKV_IN_TURN, .in_by_out = true, .tied = true},
     .qkv_bias = EM_ALWAYS, .o_bias = EM_ALWAYS, .mlp_bias = EM_ALWAYS,
     .vocab = 50257, .layers = 12, .hidden = 768, .heads = 12,
     .max_positions = 1024, .norm_eps = 1e-5, .activation = "gelu_new", .eos = 50256,
     .read = read_gpt2},
    {.model_type = "gpt_neo", .called = "GPT-Neo",
     .keys = &gpt_neo_keys, .names = &gpt_neo_names,
     .form = {.norm = EM_LAYER_NORM, .tied = true},
     .o_bias = EM_ALWAYS, .mlp_bias = EM_ALWAYS,
     .vocab = 50257, .layers = 24, .hidden = 2048, .heads = 16,
     .max_positions = 2048, .norm_eps = 1e-5, .activation = "gelu_new", .eos = 50256,
     .read = read_gpt_neo},
    {.model_type = "gpt_bigcode", .called = "StarCoder, SantaCoder",
     .keys = &gpt2_keys, .names = &gpt2_names,
     .form = {.norm = EM_LAYER_NORM, .qkv = EM_QKV_IN_TURN, .tied = true},
     .qkv_bias = EM_ALWAYS, .o_bias = EM_ALWAYS, .mlp_bias = EM_ALWAYS,
     .vocab = 50257, .layers = 12, .hidden = 768, .heads = 12,
     .max_positions = 1024, .norm_eps = 1e-5, .activation = "gelu_pytorch_tanh", .eos = 50256,
     .read = read_gpt_bigcode},
    {.model_type = "opt", .called = "OPT but for 350M",
     .keys = &opt_keys, .names = &opt_names,
     .form = {.norm = EM_LAYER_NORM, .tied = true},
     .qkv_bias = EM_KEY("enable_bias", true), .o_bias = EM_KEY("enable_bias", true),
     .mlp_bias = EM_KEY("enable_bias", true),
     .vocab = 50272, .layers = 12, .hidden = 768, .heads = 12, .ffn = 3072,
     .max_positions = 2048, .norm_eps = 1e-5, .activation = "relu", .position_offset = 2,
     .eos = 2, .read = read_opt},
    {0}};
/* clang-format on */
