/* Llama and those that are built like it. */
#include "model/families/kin.h"

/* clang-format off */
const em_family_keys em_llama_keys = {
    .layers = "num_hidden_layers", .hidden = "hidden_size", .heads = "num_attention_heads",
    .kv_heads = "num_key_value_heads", .head_dim = "head_dim", .ffn = "intermediate_size",
    .max_positions = "max_position_embeddings", .activation = "hidden_act", .norm_eps = "rms_norm_eps"};
/* clang-format on */

const em_family_names em_llama_names = {EM_LLAMA_ROOT, EM_LLAMA_NAMES, EM_PRE_NORMS};
/* clang-format off */
const em_family_names em_plain_llama_names = {
    EM_LLAMA_ROOT, EM_PRE_NORMS, .tokens = "embed_tokens", .final_norm = "norm",
    .layer = "layers.%d.", .q = "self_attn.q_proj", .k = "self_attn.k_proj",
    .v = "self_attn.v_proj", .o = "self_attn.o_proj", .up = "mlp.up_proj", .down = "mlp.down_proj"};
/* clang-format on */
static const em_family_names mistral3_names = {EM_TEXT_ROOT, EM_LLAMA_NAMES, EM_PRE_NORMS,
                                               .ignored = {"vision_tower.", "model.vision_tower.",
                                                           "multi_modal_projector.",
                                                           "model.multi_modal_projector."}};

/* rope_interleaved: llama2.c's own, made from its header. */
static bool read_llama(const em_config_reader *r, em_config *c) {
    return em_read_bool(r, "rope_interleaved", &c->form.rope_interleaved);
}

static bool read_mistral(const em_config_reader *r, em_config *c) {
    int64_t window = 4096;
    if (!em_read_window(r, "sliding_window", &window)) return false;
    em_window_everywhere(c, window);
    return true;
}

/* layer_types, or the window everywhere. */
static bool read_ministral(const em_config_reader *r, em_config *c) {
    int64_t window = 4096;
    bool listed;
    if (!em_read_window(r, "sliding_window", &window) ||
        !em_read_layer_types(r, c, window, &listed))
        return false;
    if (!listed) em_window_everywhere(c, window);
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
        !em_read_window(r, "sliding_window", &window) ||
        !em_read_layer_types(r, c, use ? window : 0, &listed))
        return false;
    for (int i = 0; i < c->layers && !listed; i++)
        c->window[i] = use && c->rope_of[i] < 0 ? (int)window : 0;
    return true;
}

/* clang-format off */
const em_family em_llama_kin[] = {
    {.model_type = "llama", .called = "Llama 1 to 3, SmolLM, llama2.c",
     .keys = &em_llama_keys, .names = &em_llama_names,
     .form = {.norm = EM_RMS, .gated = true},
     .qkv_bias = EM_KEY("attention_bias", false), .o_bias = EM_KEY("attention_bias", false),
     .mlp_bias = EM_KEY("mlp_bias", false),
     .vocab = 32000, .layers = 32, .hidden = 4096, .heads = 32, .ffn = 11008,
     .max_positions = 2048, .norm_eps = 1e-6, .activation = "silu", .theta = 1e4, .eos = 2,
     .read = read_llama},
    {.model_type = "mistral", .called = "Mistral",
     .keys = &em_llama_keys, .names = &em_llama_names,
     .form = {.norm = EM_RMS, .gated = true},
     .vocab = 32000, .layers = 32, .hidden = 4096, .heads = 32, .kv_heads = 8, .ffn = 14336,
     .max_positions = 131072, .norm_eps = 1e-6, .activation = "silu", .theta = 1e4, .eos = 2,
     .read = read_mistral},
    {.model_type = "smollm3", .called = "SmolLM 3",
     .keys = &em_llama_keys, .names = &em_llama_names,
     .form = {.norm = EM_RMS, .gated = true, .tied = true},
     .qkv_bias = EM_KEY("attention_bias", false), .o_bias = EM_KEY("attention_bias", false),
     .mlp_bias = EM_KEY("mlp_bias", false),
     .vocab = 128256, .layers = 36, .hidden = 2048, .heads = 16, .kv_heads = 4, .ffn = 11008,
     .max_positions = 32768, .norm_eps = 1e-6, .activation = "silu", .theta = 2e6, .eos = 128001,
     .read = read_smollm3},
    {.model_type = "ernie4_5", .called = "ERNIE 4.5, dense",
     .keys = &em_llama_keys, .names = &em_llama_names,
     .form = {.norm = EM_RMS, .gated = true, .tied = true, .rope_interleaved = true},
     .qkv_bias = EM_KEY("use_bias", false), .o_bias = EM_KEY("use_bias", false),
     .mlp_bias = EM_KEY("use_bias", false),
     .vocab = 103424, .layers = 18, .hidden = 1024, .heads = 16, .kv_heads = 2, .head_dim = 128,
     .ffn = 3072,
     .max_positions = 131072, .norm_eps = 1e-5, .activation = "silu", .theta = 5e5, .eos = 2},
    {.model_type = "seed_oss", .called = "Seed-OSS",
     .keys = &em_llama_keys, .names = &em_llama_names,
     .form = {.norm = EM_RMS, .gated = true},
     .qkv_bias = EM_KEY("attention_bias", true), .o_bias = EM_KEY("attention_out_bias", false),
     .mlp_bias = EM_KEY("mlp_bias", false),
     .vocab = 155136, .layers = 64, .hidden = 4096, .heads = 80, .kv_heads = 8, .head_dim = 128,
     .ffn = 27648,
     .max_positions = 524288, .norm_eps = 1e-6, .activation = "silu", .theta = 1e4, .eos = 2},
    {.model_type = "ministral", .called = "Ministral",
     .keys = &em_llama_keys, .names = &em_llama_names,
     .form = {.norm = EM_RMS, .gated = true},
     .vocab = 32000, .layers = 32, .hidden = 4096, .heads = 32, .kv_heads = 8, .ffn = 14336,
     .max_positions = 131072, .norm_eps = 1e-6, .activation = "silu", .theta = 1e4, .eos = 2,
     .read = read_ministral},
    {.model_type = "mistral3", .called = "Mistral Small 3.1, 3.2, text", .nested = "mistral",
     .keys = &em_llama_keys, .names = &mistral3_names,
     .form = {.norm = EM_RMS, .gated = true, .tied = true},
     .vocab = 32000, .layers = 32, .hidden = 4096, .heads = 32, .kv_heads = 8, .ffn = 14336,
     .max_positions = 131072, .norm_eps = 1e-6, .activation = "silu", .theta = 1e4, .eos = 2,
     .read = read_mistral},
    {.model_type = "helium", .called = "Helium",
     .keys = &em_llama_keys, .names = &em_llama_names,
     .form = {.norm = EM_RMS, .gated = true, .rope_interleaved = true},
     .qkv_bias = EM_KEY("attention_bias", false), .mlp_bias = EM_KEY("mlp_bias", false),
     .vocab = 48000, .layers = 24, .hidden = 2560, .heads = 20, .kv_heads = 20, .head_dim = 128,
     .ffn = 7040,
     .max_positions = 4096, .norm_eps = 1e-8, .activation = "silu", .theta = 1e5, .eos = 2},
    {.model_type = "arcee", .called = "Arcee AFM",
     .keys = &em_llama_keys, .names = &em_plain_llama_names,
     .form = {.norm = EM_RMS},
     .qkv_bias = EM_KEY("attention_bias", false), .o_bias = EM_KEY("attention_bias", false),
     .mlp_bias = EM_KEY("mlp_bias", false),
     .vocab = 32000, .layers = 32, .hidden = 2560, .heads = 32, .ffn = 18432,
     .max_positions = 4096, .norm_eps = 1e-5, .activation = "relu2", .theta = 1e4, .eos = 128001},
    {0}};
/* clang-format on */
