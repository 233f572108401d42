/* Gemma: norms of 1 + w (four in 2 and 3), scaled embeddings, windows on some layers. */
#include "model/families/kin.h"

/* clang-format off */
static const em_family_keys gemma_keys = {
    .layers = "num_hidden_layers", .hidden = "hidden_size", .heads = "num_attention_heads",
    .kv_heads = "num_key_value_heads", .head_dim = "head_dim", .ffn = "intermediate_size",
    .max_positions = "max_position_embeddings", .activation = "hidden_activation", .norm_eps = "rms_norm_eps"};
/* clang-format on */

#define GEMMA_NORMS \
    .attention_in = "input_layernorm", .attention_out = "post_attention_layernorm", \
    .ffn_in = "pre_feedforward_layernorm", .ffn_out = "post_feedforward_layernorm"

static const em_family_names gemma2_names = {EM_LLAMA_ROOT, EM_LLAMA_NAMES, GEMMA_NORMS};
static const em_family_names gemma3_names = {EM_LLAMA_ROOT, EM_LLAMA_NAMES, GEMMA_NORMS,
                                             EM_HEAD_NORMS};
static const em_family_names gemma3_image_names = {
    EM_LLAMA_NAMES, GEMMA_NORMS, EM_HEAD_NORMS, EM_TEXT_ROOT,
    .ignored = {"vision_tower.", "model.vision_tower.", "multi_modal_projector.",
                "model.multi_modal_projector."}};

static bool refuse_bidirectional(const em_config_reader *r) {
    bool both = false;
    if (!em_read_bool(r, "use_bidirectional_attention", &both)) return false;
    return !both || em_config_fail(r, "use_bidirectional_attention", "true is not supported");
}

static bool read_gemma_windows(const em_config_reader *r, em_config *c, int64_t pattern) {
    return refuse_bidirectional(r) && em_read_windows(r, c, 4096, pattern);
}

/* "gelu" is what the first releases say and not what they are. */
static bool read_gemma(const em_config_reader *r, em_config *c) {
    if (c->activation == EM_GELU) c->activation = EM_GELU_TANH;
    return refuse_bidirectional(r);
}

static bool read_gemma2(const em_config_reader *r, em_config *c) {
    c->query_scale = 256;
    c->attention_softcap = json_is_null(json_object_get(r->root, "attn_logit_softcapping")) ? 0
                                                                                            : 50;
    c->logit_softcap = json_is_null(json_object_get(r->root, "final_logit_softcapping")) ? 0 : 30;
    return em_read_positive(r, "query_pre_attn_scalar", &c->query_scale) &&
           em_read_positive(r, "attn_logit_softcapping", &c->attention_softcap) &&
           em_read_positive(r, "final_logit_softcapping", &c->logit_softcap) &&
           read_gemma_windows(r, c, 2);
}

static bool read_gemma3_rope(const em_config_reader *r, em_config *c) {
    c->rope[0].theta = 1e6;
    c->rope[1].theta = 1e4;
    return em_read_rope_by_kind(r, c, "a Gemma 3", "rope_local_base_freq");
}

static bool read_gemma3(const em_config_reader *r, em_config *c) {
    int64_t pattern = 6;
    double softcap = 0;
    c->query_scale = 256;
    if (!em_read_number(r, "attn_logit_softcapping", &softcap)) return false;
    if (softcap != 0)
        return em_config_fail(r, "attn_logit_softcapping",
                              "is not used by Gemma 3 and must be null");
    return em_read_positive(r, "query_pre_attn_scalar", &c->query_scale) &&
           em_read_positive(r, "final_logit_softcapping", &c->logit_softcap) &&
           em_read_int(r, "sliding_window_pattern", 1, INT32_MAX, &pattern) &&
           read_gemma_windows(r, c, pattern) && read_gemma3_rope(r, c);
}

/* clang-format off */
#define GEMMA3 \
     .keys = &gemma_keys, \
     .form = {.norm = EM_RMS_PLUS_ONE, .head_norm = EM_HEAD_NORM_EACH, .gated = true, \
              .scaled_embedding = true, .tied = true}, \
     .qkv_bias = EM_KEY("attention_bias", false), .o_bias = EM_KEY("attention_bias", false), \
     .vocab = 262208, .layers = 26, .hidden = 2304, .heads = 8, .kv_heads = 4, .head_dim = 256, \
     .ffn = 9216, .max_positions = 131072, .norm_eps = 1e-6, .activation = "gelu_pytorch_tanh", \
     .eos = 1, .read = read_gemma3

const em_family em_gemma_kin[] = {
    {.model_type = "gemma", .called = "Gemma",
     .keys = &em_llama_keys, .names = &em_llama_names,
     .form = {.norm = EM_RMS_PLUS_ONE, .gated = true, .scaled_embedding = true, .tied = true},
     .qkv_bias = EM_KEY("attention_bias", false), .o_bias = EM_KEY("attention_bias", false),
     .vocab = 256000, .layers = 28, .hidden = 3072, .heads = 16, .kv_heads = 16, .head_dim = 256,
     .ffn = 24576, .max_positions = 8192, .norm_eps = 1e-6, .activation = "gelu_pytorch_tanh",
     .theta = 1e4, .eos = 1, .read = read_gemma},
    {.model_type = "gemma2", .called = "Gemma 2",
     .keys = &gemma_keys, .names = &gemma2_names,
     .form = {.norm = EM_RMS_PLUS_ONE, .gated = true, .scaled_embedding = true, .tied = true},
     .qkv_bias = EM_KEY("attention_bias", false), .o_bias = EM_KEY("attention_bias", false),
     .vocab = 256000, .layers = 26, .hidden = 2304, .heads = 8, .kv_heads = 4, .head_dim = 256,
     .ffn = 9216, .max_positions = 8192, .norm_eps = 1e-6, .activation = "gelu_pytorch_tanh",
     .theta = 1e4, .eos = 1, .read = read_gemma2},
    {.model_type = "gemma3", .called = "Gemma 3, the text of models with images",
     .names = &gemma3_image_names, .nested = "gemma3_text", GEMMA3},
    {.model_type = "gemma3_text", .called = "Gemma 3", .names = &gemma3_names, GEMMA3},
    {0}};
/* clang-format on */
