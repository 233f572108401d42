/* GLM-4 as transformers has it: half of each head turned in neighbouring pairs, gate and up in one.
 */
#include "model/families/kin.h"

/* clang-format off */
#define GLM_NAMES \
    EM_LLAMA_ROOT, EM_PRE_NORMS, .tokens = "embed_tokens", .final_norm = "norm", \
    .layer = "layers.%d.", .q = "self_attn.q_proj", .k = "self_attn.k_proj", \
    .v = "self_attn.v_proj", .o = "self_attn.o_proj", .gate_up = "mlp.gate_up_proj", \
    .down = "mlp.down_proj"

static const em_family_names glm_names = {GLM_NAMES};
static const em_family_names glm4_names = {
    GLM_NAMES, .attention_out = "post_self_attn_layernorm", .ffn_out = "post_mlp_layernorm"};

#define GLM \
     .keys = &em_llama_keys, \
     .form = {.norm = EM_RMS, .gated = true, .rope_interleaved = true}, \
     .qkv_bias = EM_KEY("attention_bias", true), \
     .vocab = 151552, .layers = 40, .hidden = 4096, .heads = 32, .kv_heads = 2, .head_dim = 128, \
     .ffn = 13696, .max_positions = 131072, .norm_eps = 1.5625e-7, .activation = "silu", \
     .theta = 1e4, .partial = 0.5, .eos = 151329

const em_family em_glm_kin[] = {
    {.model_type = "glm", .called = "GLM-4", .names = &glm_names, GLM},
    {.model_type = "glm4", .called = "GLM-4-0414", .names = &glm4_names, GLM},
    {0}};
/* clang-format on */
