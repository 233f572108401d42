/* Qwen 2, 2.5 and 3. */
#include "model/families/kin.h"

static const em_family_names qwen3_names = {EM_LLAMA_ROOT, EM_LLAMA_NAMES, EM_PRE_NORMS,
                                            EM_HEAD_NORMS};

/* Layers from max_window_layers on slide, if use_sliding_window; layer_types overrides. */
static bool read_qwen(const em_config_reader *r, em_config *c) {
    int64_t window = 4096, first = 28;
    bool use = false, listed;
    if (!em_read_bool(r, "use_sliding_window", &use) ||
        !em_read_window(r, "sliding_window", &window) ||
        !em_read_int(r, "max_window_layers", 0, INT32_MAX, &first) ||
        !em_read_layer_types(r, c, use ? window : 0, &listed))
        return false;
    for (int i = 0; i < c->layers && !listed; i++)
        c->window[i] = use && i >= first ? (int)window : 0;
    return true;
}

/* clang-format off */
const em_family em_qwen_kin[] = {
    {.model_type = "qwen2", .called = "Qwen 2, 2.5",
     .keys = &em_llama_keys, .names = &em_llama_names,
     .form = {.norm = EM_RMS, .gated = true},
     .qkv_bias = EM_ALWAYS,
     .vocab = 151936, .layers = 32, .hidden = 4096, .heads = 32, .kv_heads = 32, .ffn = 22016,
     .max_positions = 32768, .norm_eps = 1e-6, .activation = "silu", .theta = 1e4, .eos = -1,
     .read = read_qwen},
    {.model_type = "qwen3", .called = "Qwen 3",
     .keys = &em_llama_keys, .names = &qwen3_names,
     .form = {.norm = EM_RMS, .head_norm = EM_HEAD_NORM_EACH, .gated = true},
     .qkv_bias = EM_KEY("attention_bias", false), .o_bias = EM_KEY("attention_bias", false),
     .vocab = 151936, .layers = 32, .hidden = 4096, .heads = 32, .kv_heads = 32, .head_dim = 128,
     .ffn = 22016,
     .max_positions = 32768, .norm_eps = 1e-6, .activation = "silu", .theta = 1e4, .eos = -1,
     .read = read_qwen},
    {0}};
/* clang-format on */
