/* OLMo 2: norms after the blocks. */
#include "model/families/kin.h"

static const em_family_names olmo2_names = {EM_LLAMA_ROOT, EM_LLAMA_NAMES, EM_HEAD_NORMS,
                                            .attention_out = "post_attention_layernorm",
                                            .ffn_out = "post_feedforward_layernorm"};

/* clang-format off */
const em_family em_olmo_kin[] = {
    {.model_type = "olmo2", .called = "OLMo 2",
     .keys = &em_llama_keys, .names = &olmo2_names,
     .form = {.norm = EM_RMS, .head_norm = EM_HEAD_NORM_ALL, .gated = true},
     .qkv_bias = EM_KEY("attention_bias", false), .o_bias = EM_KEY("attention_bias", false),
     .vocab = 50304, .layers = 32, .hidden = 4096, .heads = 32, .ffn = 11008,
     .max_positions = 2048, .norm_eps = 1e-5, .activation = "silu", .theta = 1e4, .eos = 50279},
    {0}};
/* clang-format on */
