/* GPT-NeoX and what has its bones: LayerNorm, a part of each head rotated, both branches of a layer
 * from one x. */
#include "model/families/kin.h"

/* clang-format off */
static const em_family_keys gpt_neox_keys = {
    .layers = "num_hidden_layers", .hidden = "hidden_size", .heads = "num_attention_heads",
    .ffn = "intermediate_size", .max_positions = "max_position_embeddings",
    .activation = "hidden_act", .norm_eps = "layer_norm_eps",
    .rope_theta = "rotary_emb_base", .rope_partial = "rotary_pct"};
static const em_family_names gpt_neox_names = {
    .prefixes = {"gpt_neox.", ""}, .outputs = {"embed_out", "lm_head"},
    .tokens = "embed_in", .final_norm = "final_layer_norm", .layer = "layers.%d.",
    .attention_in = "input_layernorm", .ffn_in = "post_attention_layernorm",
    .qkv = "attention.query_key_value", .o = "attention.dense",
    .up = "mlp.dense_h_to_4h", .down = "mlp.dense_4h_to_h"};
static const em_family_keys stablelm_keys = {
    .layers = "num_hidden_layers", .hidden = "hidden_size", .heads = "num_attention_heads",
    .kv_heads = "num_key_value_heads", .ffn = "intermediate_size",
    .max_positions = "max_position_embeddings", .activation = "hidden_act",
    .norm_eps = "layer_norm_eps"};
/* clang-format on */

static bool read_gpt_neox(const em_config_reader *r, em_config *c) {
    bool parallel = true;
    if (!em_read_bool(r, "use_parallel_residual", &parallel)) return false;
    if (!parallel) c->form.residual = EM_SEQUENTIAL;
    return true;
}

static bool read_stablelm(const em_config_reader *r, em_config *c) {
    bool parallel = false, normed = false;
    if (!em_read_bool(r, "use_parallel_residual", &parallel) ||
        !em_read_bool(r, "qk_layernorm", &normed))
        return false;
    if (parallel) c->form.residual = EM_PARALLEL_ONE_NORM;
    return !normed || em_config_fail(r, "qk_layernorm", "true is not supported");
}

/* clang-format off */
const em_family em_neox_kin[] = {
    {.model_type = "gpt_neox", .called = "GPT-NeoX, Pythia",
     .keys = &gpt_neox_keys, .names = &gpt_neox_names,
     .form = {.norm = EM_LAYER_NORM, .qkv = EM_QKV_BY_GROUP, .residual = EM_PARALLEL},
     .qkv_bias = EM_KEY("attention_bias", true), .o_bias = EM_KEY("attention_bias", true),
     .mlp_bias = EM_ALWAYS,
     .vocab = 50432, .layers = 44, .hidden = 6144, .heads = 64, .ffn = 24576,
     .max_positions = 2048, .norm_eps = 1e-5, .activation = "gelu", .theta = 1e4, .partial = 0.25,
     .eos = 2, .read = read_gpt_neox},
    {.model_type = "stablelm", .called = "StableLM",
     .keys = &stablelm_keys, .names = &em_llama_names,
     .form = {.norm = EM_LAYER_NORM, .gated = true},
     .qkv_bias = EM_KEY("use_qkv_bias", false),
     .vocab = 50304, .layers = 32, .hidden = 2560, .heads = 32, .kv_heads = 32, .ffn = 6912,
     .max_positions = 4096, .norm_eps = 1e-5, .activation = "silu", .theta = 1e4, .partial = 0.25,
     .eos = 0, .read = read_stablelm},
    {0}};
/* clang-format on */
