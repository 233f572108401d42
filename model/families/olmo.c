/* OLMo, whose norms only norm, and OLMo 2 and 3, whose norms come after the blocks. */
#include "model/families/kin.h"

static const em_family_names olmo2_names = {EM_LLAMA_ROOT, EM_LLAMA_NAMES, EM_HEAD_NORMS,
                                            .attention_out = "post_attention_layernorm",
                                            .ffn_out = "post_feedforward_layernorm"};

static bool read_olmo(const em_config_reader *r, em_config *c) {
    return !em_read_value(r, "clip_qkv") ||
           em_config_fail(r, "clip_qkv", "is not supported unless it is null");
}

static bool read_olmo3(const em_config_reader *r, em_config *c) {
    c->rope[0].theta = c->rope[1].theta = 5e5;
    return em_read_windows(r, c, 4096, 4) && em_read_rope_by_kind(r, c, "an OLMo 3", NULL);
}

/* clang-format off */
static const em_family_keys olmo_keys = {
    .layers = "num_hidden_layers", .hidden = "hidden_size", .heads = "num_attention_heads",
    .kv_heads = "num_key_value_heads", .head_dim = "head_dim", .ffn = "intermediate_size",
    .max_positions = "max_position_embeddings", .activation = "hidden_act"};

const em_family em_olmo_kin[] = {
    {.model_type = "olmo", .called = "OLMo",
     .keys = &olmo_keys, .names = &em_llama_names,
     .form = {.norm = {.kind = EM_NORM_LAYER, .no_weight = true}, .gated = true},
     .qkv_bias = EM_KEY("attention_bias", false), .o_bias = EM_KEY("attention_bias", false),
     .vocab = 50304, .layers = 32, .hidden = 4096, .heads = 32, .ffn = 11008,
     .max_positions = 2048, .norm_eps = 1e-5, .activation = "silu", .theta = 1e4, .eos = 50279,
     .read = read_olmo},
    {.model_type = "olmo2", .called = "OLMo 2",
     .keys = &em_llama_keys, .names = &olmo2_names,
     .form = {.norm = EM_RMS, .head_norm = EM_HEAD_NORM_ALL, .gated = true},
     .qkv_bias = EM_KEY("attention_bias", false), .o_bias = EM_KEY("attention_bias", false),
     .vocab = 50304, .layers = 32, .hidden = 4096, .heads = 32, .ffn = 11008,
     .max_positions = 2048, .norm_eps = 1e-5, .activation = "silu", .theta = 1e4, .eos = 50279},
    {.model_type = "olmo3", .called = "OLMo 3",
     .keys = &em_llama_keys, .names = &olmo2_names,
     .form = {.norm = EM_RMS, .head_norm = EM_HEAD_NORM_ALL, .gated = true},
     .qkv_bias = EM_KEY("attention_bias", false), .o_bias = EM_KEY("attention_bias", false),
     .vocab = 50304, .layers = 32, .hidden = 4096, .heads = 32, .ffn = 11008,
     .max_positions = 2048, .norm_eps = 1e-5, .activation = "silu", .eos = 50279,
     .read = read_olmo3},
    {0}};
/* clang-format on */
