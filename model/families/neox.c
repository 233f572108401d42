/* GPT-NeoX and others with LayerNorm and a rotary embedding, often of a part of each head; many
 * have both branches of a layer from one x. */
#include "model/families/kin.h"

#include <math.h>

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
static const em_family_keys nemotron_keys = {
    .layers = "num_hidden_layers", .hidden = "hidden_size", .heads = "num_attention_heads",
    .kv_heads = "num_key_value_heads", .head_dim = "head_dim", .ffn = "intermediate_size",
    .max_positions = "max_position_embeddings", .activation = "hidden_act",
    .norm_eps = "norm_eps"};
static const em_family_keys gptj_keys = {
    .layers = "n_layer", .hidden = "n_embd", .heads = "n_head", .ffn = "n_inner",
    .max_positions = "n_positions", .activation = "activation_function",
    .norm_eps = "layer_norm_epsilon"};
static const em_family_names gptj_names = {
    .prefixes = {"transformer.", ""}, .outputs = {"lm_head"},
    .tokens = "wte", .final_norm = "ln_f", .layer = "h.%d.", .attention_in = "ln_1",
    .q = "attn.q_proj", .k = "attn.k_proj", .v = "attn.v_proj", .o = "attn.out_proj",
    .up = "mlp.fc_in", .down = "mlp.fc_out"};
static const em_family_keys starcoder2_keys = {
    .layers = "num_hidden_layers", .hidden = "hidden_size", .heads = "num_attention_heads",
    .kv_heads = "num_key_value_heads", .head_dim = "head_dim", .ffn = "intermediate_size",
    .max_positions = "max_position_embeddings", .activation = "hidden_act",
    .norm_eps = "norm_epsilon"};
static const em_family_names starcoder2_names = {
    EM_LLAMA_ROOT, EM_PRE_NORMS, .tokens = "embed_tokens", .final_norm = "norm",
    .layer = "layers.%d.", .q = "self_attn.q_proj", .k = "self_attn.k_proj",
    .v = "self_attn.v_proj", .o = "self_attn.o_proj", .up = "mlp.c_fc", .down = "mlp.c_proj"};
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

/* rotary_dim counts elements where the others give a share. */
static bool read_gptj(const em_config_reader *r, em_config *c) {
    int64_t dim = 64;
    if (json_is_null(json_object_get(r->root, "rotary_dim")))
        return em_config_fail(r, "rotary_dim", "null is not supported");
    if (!em_read_int(r, "rotary_dim", 2, c->head_dim, &dim)) return false;
    if (dim > c->head_dim) return em_config_fail(r, "rotary_dim", "is more than a head has");
    c->rope[0].partial = (double)dim / c->head_dim;
    while (em_rope_dim(&c->rope[0], c->head_dim) < dim)
        c->rope[0].partial = nextafter(c->rope[0].partial, 2);
    return true;
}

static bool read_starcoder2(const em_config_reader *r, em_config *c) {
    int64_t window = 0;
    if (!em_read_window(r, "sliding_window", &window)) return false;
    em_window_everywhere(c, window);
    return true;
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
    {.model_type = "gptj", .called = "GPT-J",
     .keys = &gptj_keys, .names = &gptj_names,
     .form = {.norm = EM_LAYER_NORM, .residual = EM_PARALLEL_ONE_NORM, .rope_interleaved = true},
     .mlp_bias = EM_ALWAYS, .head_bias = EM_ALWAYS,
     .vocab = 50400, .layers = 28, .hidden = 4096, .heads = 16,
     .max_positions = 2048, .norm_eps = 1e-5, .activation = "gelu_new", .theta = 1e4, .partial = 1,
     .eos = 50256, .read = read_gptj},
    {.model_type = "starcoder2", .called = "StarCoder 2",
     .keys = &starcoder2_keys, .names = &starcoder2_names,
     .form = {.norm = EM_LAYER_NORM, .tied = true},
     .qkv_bias = EM_KEY("use_bias", true), .o_bias = EM_KEY("use_bias", true),
     .mlp_bias = EM_KEY("use_bias", true),
     .vocab = 49152, .layers = 30, .hidden = 3072, .heads = 24, .kv_heads = 2, .ffn = 12288,
     .max_positions = 4096, .norm_eps = 1e-5, .activation = "gelu_pytorch_tanh", .theta = 1e4,
     .eos = 50256, .read = read_starcoder2},
    {.model_type = "nemotron", .called = "Nemotron 4, Minitron",
     .keys = &nemotron_keys, .names = &em_plain_llama_names,
     .form = {.norm = {.kind = EM_NORM_LAYER, .plus_one = true}},
     .qkv_bias = EM_KEY("attention_bias", false), .o_bias = EM_KEY("attention_bias", false),
     .mlp_bias = EM_KEY("mlp_bias", false),
     .vocab = 256000, .layers = 32, .hidden = 6144, .heads = 48, .ffn = 24576,
     .max_positions = 4096, .norm_eps = 1e-5, .activation = "relu2", .theta = 1e4, .partial = 0.5,
     .eos = 3},
    {0}};
/* clang-format on */
