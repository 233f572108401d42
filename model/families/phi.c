/* Phi: the first ones have LayerNorm and parallel branches, Phi 3 is a Llama with fused matrices.
 */
#include "model/families/kin.h"

/* clang-format off */
static const em_family_keys phi_keys = {
    .layers = "num_hidden_layers", .hidden = "hidden_size", .heads = "num_attention_heads",
    .kv_heads = "num_key_value_heads", .head_dim = "head_dim", .ffn = "intermediate_size",
    .max_positions = "max_position_embeddings", .activation = "hidden_act",
    .norm_eps = "layer_norm_eps"};
static const em_family_names phi_names = {
    EM_LLAMA_ROOT, .tokens = "embed_tokens", .final_norm = "final_layernorm",
    .layer = "layers.%d.", .attention_in = "input_layernorm",
    .q = "self_attn.q_proj", .k = "self_attn.k_proj", .v = "self_attn.v_proj",
    .o = "self_attn.dense", .up = "mlp.fc1", .down = "mlp.fc2"};
static const em_family_names phi3_names = {
    EM_LLAMA_ROOT, EM_PRE_NORMS, .tokens = "embed_tokens", .final_norm = "norm",
    .layer = "layers.%d.", .qkv = "self_attn.qkv_proj", .o = "self_attn.o_proj",
    .gate_up = "mlp.gate_up_proj", .down = "mlp.down_proj"};
/* clang-format on */

static bool read_phi(const em_config_reader *r, em_config *c) {
    return em_refuse_unless(r, "qk_layernorm", false);
}

/* The length before longrope is a key beside the object, 4096 where that is missing. */
static bool read_phi3(const em_config_reader *r, em_config *c) {
    int64_t window = 0;
    em_rope_config *rope = &c->rope[0];
    rope->original = 4096;
    if (rope->type != EM_ROPE_DEFAULT && rope->type != EM_ROPE_LONG)
        return em_config_fail(r, "rope_type",
                              "of a Phi 3 other than default and longrope is not supported");
    if (!em_read_positive(r, "original_max_position_embeddings", &rope->original)) return false;
    if (rope->original < 2)
        return em_config_fail(r, "original_max_position_embeddings", "is not above 1");
    if (!em_read_window(r, "sliding_window", &window)) return false;
    em_window_everywhere(c, window);
    return true;
}

/* clang-format off */
const em_family em_phi_kin[] = {
    {.model_type = "phi", .called = "Phi 1, 1.5, 2",
     .keys = &phi_keys, .names = &phi_names,
     .form = {.norm = EM_LAYER_NORM, .residual = EM_PARALLEL_ONE_NORM},
     .qkv_bias = EM_ALWAYS, .o_bias = EM_ALWAYS, .mlp_bias = EM_ALWAYS, .head_bias = EM_ALWAYS,
     .vocab = 51200, .layers = 24, .hidden = 2048, .heads = 32, .ffn = 8192,
     .max_positions = 2048, .norm_eps = 1e-5, .activation = "gelu_new", .theta = 1e4,
     .partial = 0.5, .eos = 2, .read = read_phi},
    {.model_type = "phi3", .called = "Phi 3, 3.5, 4",
     .keys = &em_llama_keys, .names = &phi3_names,
     .form = {.norm = EM_RMS, .qkv = EM_QKV_IN_TURN, .gated = true},
     .vocab = 32064, .layers = 32, .hidden = 3072, .heads = 32, .ffn = 8192,
     .max_positions = 4096, .norm_eps = 1e-5, .activation = "silu", .theta = 1e4,
     .partial = 1, .eos = 32000, .read = read_phi3},
    {0}};
/* clang-format on */
