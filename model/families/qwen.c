/* Qwen 2, 2.5 and 3, and the text of those with images: their three positions are one for text. */
#include "model/families/kin.h"

static const em_family_names qwen3_names = {EM_LLAMA_ROOT, EM_LLAMA_NAMES, EM_PRE_NORMS,
                                            EM_HEAD_NORMS};
static const em_family_names qwen2_image_names = {EM_TEXT_ROOT, EM_LLAMA_NAMES, EM_PRE_NORMS,
                                                  .ignored = {"visual.", "model.visual."}};
static const em_family_names qwen3_image_names = {EM_TEXT_ROOT, EM_LLAMA_NAMES, EM_PRE_NORMS,
                                                  EM_HEAD_NORMS,
                                                  .ignored = {"visual.", "model.visual."}};

/* Layers from max_window_layers on slide, if use_sliding_window; layer_types overrides. */
static bool read_windows(const em_config_reader *r, em_config *c, int64_t first) {
    int64_t window = 4096;
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

static bool read_qwen(const em_config_reader *r, em_config *c) { return read_windows(r, c, 28); }

static bool read_qwen2_image(const em_config_reader *r, em_config *c) {
    return read_windows(r, c, 80);
}

/* clang-format off */
#define QWEN2_IMAGE \
     .keys = &em_llama_keys, .names = &qwen2_image_names, \
     .form = {.norm = EM_RMS, .gated = true}, \
     .qkv_bias = EM_ALWAYS, \
     .vocab = 152064, .layers = 80, .hidden = 8192, .heads = 64, .kv_heads = 8, .ffn = 29568, \
     .max_positions = 32768, .norm_eps = 1e-5, .activation = "silu", .theta = 1e6, .eos = 151645, \
     .read = read_qwen2_image

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
    {.model_type = "qwen2_vl", .called = "Qwen 2 VL, text", .nested = "qwen2_vl_text", QWEN2_IMAGE},
    {.model_type = "qwen2_5_vl", .called = "Qwen 2.5 VL, text", .nested = "qwen2_5_vl_text",
     QWEN2_IMAGE},
    {.model_type = "qwen3_vl", .called = "Qwen 3 VL, text", .nested = "qwen3_vl_text",
     .keys = &em_llama_keys, .names = &qwen3_image_names,
     .form = {.norm = EM_RMS, .head_norm = EM_HEAD_NORM_EACH, .gated = true},
     .qkv_bias = EM_KEY("attention_bias", false), .o_bias = EM_KEY("attention_bias", false),
     .vocab = 151936, .layers = 32, .hidden = 4096, .heads = 32, .kv_heads = 32, .head_dim = 128,
     .ffn = 22016,
     .max_positions = 128000, .norm_eps = 1e-6, .activation = "silu", .theta = 5e5, .eos = -1},
    {0}};
/* clang-format on */
