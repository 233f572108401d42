/* EXAONE 4: norms after the blocks, every fourth layer without window and rotary embedding. */
#include "model/families/kin.h"

static const em_family_names exaone4_names = {EM_LLAMA_ROOT, EM_LLAMA_NAMES, EM_HEAD_NORMS,
                                              .attention_out = "post_attention_layernorm",
                                              .ffn_out = "post_feedforward_layernorm"};

/* Without a window all layers see everything, and all have the rotary embedding. */
static bool read_exaone4(const em_config_reader *r, em_config *c) {
    int64_t window = 4096, pattern = 4;
    bool listed = em_read_value(r, "layer_types");
    if (!em_read_window(r, "sliding_window", &window) ||
        (!listed && !em_read_int(r, "sliding_window_pattern", 1, INT32_MAX, &pattern)))
        return false;
    if (window == 0 && listed) return em_read_layer_types(r, c, 0, &listed);
    if (!em_read_windows(r, c, 4096, pattern)) return false;
    for (int i = 0; i < c->layers; i++) c->rope_of[i] = c->window[i] ? 0 : -1;
    return true;
}

/* clang-format off */
const em_family em_exaone_kin[] = {
    {.model_type = "exaone4", .called = "EXAONE 4",
     .keys = &em_llama_keys, .names = &exaone4_names,
     .form = {.norm = EM_RMS, .head_norm = EM_HEAD_NORM_EACH, .gated = true},
     .vocab = 102400, .layers = 32, .hidden = 4096, .heads = 32, .kv_heads = 32, .ffn = 16384,
     .max_positions = 2048, .norm_eps = 1e-5, .activation = "silu", .theta = 1e4, .eos = 2,
     .read = read_exaone4},
    {0}};
/* clang-format on */
