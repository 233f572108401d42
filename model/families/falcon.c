/* Falcon: one key head for all (7B) or groups (40B, 11B), fused; branches in parallel, with one
 * norm or two. */
#include "model/families/kin.h"

/* clang-format off */
static const em_family_keys falcon_keys = {
    .layers = "num_hidden_layers", .hidden = "hidden_size", .heads = "num_attention_heads",
    .ffn = "ffn_hidden_size", .max_positions = "max_position_embeddings",
    .activation = "activation", .norm_eps = "layer_norm_epsilon"};

#define FALCON_NAMES \
    .prefixes = {"transformer.", ""}, .outputs = {"lm_head"}, .tokens = "word_embeddings", \
    .final_norm = "ln_f", .layer = "h.%d.", .qkv = "self_attention.query_key_value", \
    .o = "self_attention.dense", .up = "mlp.dense_h_to_4h", .down = "mlp.dense_4h_to_h"

static const em_family_names falcon_names = {FALCON_NAMES, EM_PRE_NORMS};
static const em_family_names two_norms = {FALCON_NAMES, .attention_in = "ln_attn",
                                          .ffn_in = "ln_mlp"};
/* clang-format on */

/* Heads of k and v: num_kv_heads in the new architecture, else one or one for each of q. */
static bool read_kv_heads(const em_config_reader *r, em_config *c, bool is_new) {
    bool one = true;
    int64_t heads = c->heads;
    if (!em_read_bool(r, "multi_query", &one) ||
        !em_read_int(r, "num_kv_heads", 1, c->heads, &heads))
        return false;
    c->kv_heads = is_new ? (int)heads : one ? 1 : c->heads;
    return c->heads % c->kv_heads == 0 ||
           em_config_fail(r, "num_kv_heads", "does not divide num_attention_heads");
}

static bool read_falcon(const em_config_reader *r, em_config *c) {
    bool is_new = false, parallel = true;
    if (!em_refuse_unless(r, "alibi", false) ||
        !em_read_bool(r, "new_decoder_architecture", &is_new) ||
        !em_read_bool(r, "parallel_attn", &parallel) || !read_kv_heads(r, c, is_new))
        return false;
    int64_t norms = is_new ? 2 : 1;
    if (!em_read_int(r, "num_ln_in_parallel_attn", 1, norms, &norms)) return false;
    if (is_new && !parallel)
        return em_config_fail(r, "parallel_attn", "false is no new_decoder_architecture");
    c->form.residual = !parallel ? EM_SEQUENTIAL : norms == 2 ? EM_PARALLEL : EM_PARALLEL_ONE_NORM;
    if (norms == 2) c->names = &two_norms;
    return true;
}

/* clang-format off */
const em_family em_falcon_kin[] = {
    {.model_type = "falcon", .called = "Falcon without ALiBi",
     .keys = &falcon_keys, .names = &falcon_names,
     .form = {.norm = EM_LAYER_NORM, .qkv = EM_QKV_BY_GROUP, .tied = true},
     .qkv_bias = EM_KEY("bias", false), .o_bias = EM_KEY("bias", false),
     .mlp_bias = EM_KEY("bias", false),
     .vocab = 65024, .layers = 32, .hidden = 4544, .heads = 71,
     .max_positions = 2048, .norm_eps = 1e-5, .activation = "gelu", .theta = 1e4, .eos = 11,
     .read = read_falcon},
    {0}};
/* clang-format on */
