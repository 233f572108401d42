#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "model/family.h"

/* ---- typed reads ---- */

bool em_config_fail(const em_config_reader *r, const char *key, const char *what) {
    return em_fail_at(r->err, EM_INPUT, r->source, 0, -1, "%s %s", key, what);
}

static const json_t *find(const em_config_reader *r, const char *key) {
    const json_t *v = key ? json_object_get(r->root, key) : NULL;
    return v && !json_is_null(v) ? v : NULL;
}

bool em_read_int(const em_config_reader *r, const char *key, int64_t least, int64_t most,
                 int64_t *out) {
    const json_t *v = find(r, key);
    if (!v) return true;
    double x = json_number_value(v);
    if (!json_is_number(v) || x != floor(x)) return em_config_fail(r, key, "is no whole number");
    if (x < (double)least || x > (double)most)
        return em_fail_at(r->err, EM_INPUT, r->source, 0, -1,
                          "%s is %.17g; %lld to %lld is supported", key, x, (long long)least,
                          (long long)most);
    *out = (int64_t)x;
    return true;
}

bool em_read_number(const em_config_reader *r, const char *key, double *out) {
    const json_t *v = find(r, key);
    if (!v) return true;
    if (!json_is_number(v)) return em_config_fail(r, key, "is no number");
    *out = json_number_value(v);
    return true;
}

bool em_read_bool(const em_config_reader *r, const char *key, bool *out) {
    const json_t *v = find(r, key);
    if (!v) return true;
    if (!json_is_boolean(v)) return em_config_fail(r, key, "is neither true nor false");
    *out = json_is_true(v);
    return true;
}

bool em_read_positive(const em_config_reader *r, const char *key, double *out) {
    if (!em_read_number(r, key, out)) return false;
    return !find(r, key) || (*out > 0 && isfinite(*out)) ||
           em_config_fail(r, key, "is not above 0");
}

/* ---- what is refused by name ---- */

static bool refuse_quantized(const em_config_reader *r) {
    const json_t *q = find(r, "quantization_config");
    if (!q) return true;
    const char *method = json_string_value(json_object_get(q, "quant_method"));
    return em_fail_at(
        r->err, EM_INPUT, r->source, 0, -1,
        "the checkpoint is quantized (%s), which is not read; use the unquantized one",
        method ? method : "quantization_config");
}

static bool refuse_experts(const em_config_reader *r, const char *model_type) {
    static const char *const keys[] = {"num_local_experts", "num_experts", "n_routed_experts",
                                       "moe_num_experts"};
    bool experts = strstr(model_type, "moe") || strstr(model_type, "mixtral");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (json_integer_value(find(r, keys[i])) > 1) experts = true;
    return !experts || em_fail_at(r->err, EM_INPUT, r->source, 0, -1,
                                  "%s is a mixture of experts, which is not supported", model_type);
}

static bool pick_family(const em_config_reader *r, em_config *c) {
    const char *type = json_string_value(find(r, "model_type"));
    if (!type) return em_config_fail(r, "model_type", "is missing: what family is this?");
    if (!refuse_quantized(r) || !refuse_experts(r, type)) return false;
    c->family = em_family_find(type);
    if (!c->family)
        return em_fail_at(r->err, EM_INPUT, r->source, 0, -1,
                          "model_type %s is not supported; %s are", type, em_family_list());
    snprintf(c->model_type, sizeof c->model_type, "%s", type);
    return true;
}

/* ---- dimensions ---- */

/* A dimension at its default is noted, for the error that a wrong shape gives. */
static bool read_dimension(const em_config_reader *r, em_config *c, const char *key, int64_t most,
                           int64_t fallback, int *out) {
    int64_t x = fallback;
    if (!em_read_int(r, key, 1, most, &x)) return false;
    *out = (int)x;
    size_t used = strlen(c->omitted);
    if (key && !json_object_get(r->root, key))
        snprintf(c->omitted + used, sizeof c->omitted - used, "%s%s = %lld", used ? ", " : "", key,
                 (long long)x);
    return true;
}

/* null means "as many as heads" (or the quotient), also where the default is another. */
static int64_t null_or(const em_config_reader *r, const char *key, int64_t fallback,
                       int64_t derived) {
    bool is_null = key && json_is_null(json_object_get(r->root, key));
    return fallback == 0 || is_null ? derived : fallback;
}

static bool read_heads(const em_config_reader *r, em_config *c) {
    const em_family *f = c->family;
    const em_family_keys *k = f->keys;
    if (!read_dimension(r, c, k->heads, 1 << 16, f->heads, &c->heads) ||
        !read_dimension(r, c, k->kv_heads, 1 << 16, null_or(r, k->kv_heads, f->kv_heads, c->heads),
                        &c->kv_heads))
        return false;
    int64_t quotient = c->hidden / c->heads,
            head_dim = null_or(r, k->head_dim, f->head_dim, quotient);
    if (!find(r, k->head_dim) && head_dim == quotient && c->hidden % c->heads)
        return em_fail_at(r->err, EM_INPUT, r->source, 0, -1, "%s %d is no multiple of %s %d",
                          k->hidden, c->hidden, k->heads, c->heads);
    if (!read_dimension(r, c, k->head_dim, INT32_MAX, head_dim, &c->head_dim)) return false;
    if (c->head_dim < 1 || c->head_dim > EM_MAX_HEAD_DIM)
        return em_fail_at(r->err, EM_INPUT, r->source, 0, -1,
                          "a head has %d elements; 1 to %d are supported", c->head_dim,
                          EM_MAX_HEAD_DIM);
    if (c->heads % c->kv_heads)
        return em_fail_at(r->err, EM_INPUT, r->source, 0, -1, "%s %d is no multiple of %s %d",
                          k->heads, c->heads, k->kv_heads, c->kv_heads);
    return true;
}

static bool read_dimensions(const em_config_reader *r, em_config *c) {
    const em_family *f = c->family;
    const em_family_keys *k = f->keys;
    c->max_positions = f->max_positions;
    return read_dimension(r, c, "vocab_size", 1 << 27, f->vocab, &c->vocab) &&
           read_dimension(r, c, k->layers, EM_MAX_LAYERS, f->layers, &c->layers) &&
           read_dimension(r, c, k->hidden, 1 << 20, f->hidden, &c->hidden) && read_heads(r, c) &&
           read_dimension(r, c, k->ffn, 1 << 22, null_or(r, k->ffn, f->ffn, 4 * (int64_t)c->hidden),
                          &c->ffn) &&
           em_read_int(r, k->max_positions, 1, (int64_t)1 << 40, &c->max_positions);
}

/* ---- features ---- */

static bool read_bias(const em_config_reader *r, em_bias rule, const char *key, bool *out) {
    *out = rule == EM_BIAS_ALWAYS || rule == EM_BIAS_KEY_TRUE;
    return rule == EM_BIAS_NONE || rule == EM_BIAS_ALWAYS || em_read_bool(r, key, out);
}

static bool read_activation(const em_config_reader *r, em_config *c) {
    static const struct {
        const char *name;
        em_activation kind;
    } rows[] = {{"silu", EM_SILU},
                {"swish", EM_SILU},
                {"gelu", EM_GELU},
                {"gelu_python", EM_GELU},
                {"relu", EM_RELU},
                {"gelu_new", EM_GELU_TANH},
                {"gelu_fast", EM_GELU_TANH},
                {"gelu_pytorch_tanh", EM_GELU_TANH},
                {"gelu_python_tanh", EM_GELU_TANH},
                {"gelu_accurate", EM_GELU_TANH}};
    const json_t *v = find(r, c->family->keys->activation);
    const char *name = v ? json_string_value(v) : c->family->activation;
    for (size_t i = 0; i < sizeof rows / sizeof *rows && name; i++)
        if (!strcmp(rows[i].name, name)) {
            c->activation = rows[i].kind;
            return true;
        }
    return em_fail_at(
        r->err, EM_INPUT, r->source, 0, -1,
        "%s %s is not supported; silu, gelu, gelu_new, gelu_pytorch_tanh and relu are",
        c->family->keys->activation, name ? name : "(no string)");
}

static bool read_features(const em_config_reader *r, em_config *c) {
    const em_family *f = c->family;
    c->norm_eps = f->norm_eps;
    c->tied = f->tied;
    c->scale_attention = true;
    return em_read_positive(r, f->keys->norm_eps, &c->norm_eps) && read_activation(r, c) &&
           read_bias(r, f->qkv_bias, "attention_bias", &c->qkv_bias) &&
           read_bias(r, f->o_bias, "attention_bias", &c->o_bias) &&
           read_bias(r, f->mlp_bias, "mlp_bias", &c->mlp_bias) &&
           em_read_bool(r, "tie_word_embeddings", &c->tied);
}

/* ---- rotary embedding ---- */

static bool read_rope_type(const em_config_reader *r, const json_t *object, const char *name,
                           em_rope_config *out) {
    static const char *const names[] = {"default", "linear", "llama3", "yarn"};
    const json_t *v = json_object_get(object, "rope_type");
    const char *type = json_string_value(v ? v : json_object_get(object, "type"));
    out->type = EM_ROPE_DEFAULT;
    if (!type) return true;
    for (int i = 0; i < 4; i++)
        if (!strcmp(names[i], type)) {
            out->type = (em_rope_type)i;
            return true;
        }
    return em_fail_at(r->err, EM_INPUT, r->source, 0, -1,
                      "%s: rope_type %s is not supported; default, linear, llama3 and yarn are",
                      name, type);
}

static bool need(const em_config_reader *r, const char *key, double value) {
    return (value > 0 && isfinite(value)) ||
           em_config_fail(r, key, "of the rotary embedding is missing or not above 0");
}

/* The keys that a type has; a YaRN without a factor takes the ratio of the two lengths. */
static bool check_rope(const em_config_reader *r, const em_config *c, em_rope_config *out) {
    if (!need(r, "rope_theta", out->theta) || out->theta <= 1)
        return em_config_fail(r, "rope_theta", "is not above 1");
    if (out->type == EM_ROPE_YARN && out->factor == 0 && out->original > 0)
        out->factor = (double)c->max_positions / out->original;
    if (out->type != EM_ROPE_DEFAULT && !need(r, "factor", out->factor)) return false;
    if (out->type != EM_ROPE_DEFAULT && out->factor < 0x1p-10)
        return em_config_fail(r, "factor", "of the rotary embedding is below 1/1024");
    if (out->type == EM_ROPE_LLAMA3 && (!need(r, "low_freq_factor", out->low_freq) ||
                                        !need(r, "high_freq_factor", out->high_freq)))
        return false;
    if (out->type == EM_ROPE_LLAMA3 && out->high_freq <= out->low_freq)
        return em_config_fail(r, "high_freq_factor", "is not above low_freq_factor");
    if (out->type == EM_ROPE_YARN &&
        (!need(r, "beta_fast", out->beta_fast) || !need(r, "beta_slow", out->beta_slow)))
        return false;
    return need(r, "original_max_position_embeddings", out->original);
}

bool em_read_rope(const em_config_reader *r, const json_t *object, const char *name,
                  const em_config *c, em_rope_config *out) {
    em_config_reader inner = {object, r->source, r->err};
    out->original = (double)c->max_positions;
    out->beta_fast = out->beta_slow = 0;
    out->truncate = true;
    if (!read_rope_type(r, object, name, out) ||
        !em_read_number(&inner, "rope_theta", &out->theta) ||
        !em_read_number(&inner, "partial_rotary_factor", &out->partial) ||
        !em_read_number(&inner, "factor", &out->factor) ||
        !em_read_number(&inner, "original_max_position_embeddings", &out->original) ||
        !em_read_number(r, "original_max_position_embeddings", &out->original) ||
        !em_read_number(&inner, "low_freq_factor", &out->low_freq) ||
        !em_read_number(&inner, "high_freq_factor", &out->high_freq) ||
        !em_read_number(&inner, "attention_factor", &out->attention_factor) ||
        !em_read_number(&inner, "beta_fast", &out->beta_fast) ||
        !em_read_number(&inner, "beta_slow", &out->beta_slow) ||
        !em_read_number(&inner, "mscale", &out->mscale) ||
        !em_read_number(&inner, "mscale_all_dim", &out->mscale_all_dim) ||
        !em_read_bool(&inner, "truncate", &out->truncate))
        return false;
    if (out->beta_fast == 0) out->beta_fast = 32;
    if (out->beta_slow == 0) out->beta_slow = 1;
    return check_rope(r, c, out);
}

/* One set of frequencies for all layers. GPT-NeoX has keys of its own for base and share. */
static bool read_rope(const em_config_reader *r, em_config *c) {
    bool neox = c->family->layout == EM_FUSED_BY_HEAD;
    em_rope_config *rope = &c->rope[0];
    const json_t *scaling = find(r, "rope_scaling"), *parameters = find(r, "rope_parameters");
    const json_t *object = json_object_size(scaling) ? scaling : parameters;
    if (json_object_get(object, "full_attention") || json_object_get(object, "sliding_attention"))
        return em_config_fail(r, "rope_parameters",
                              "by layer type are not supported for this family");
    *rope = (em_rope_config){.theta = c->family->theta, .partial = neox ? 0.25 : 1};
    if (!em_read_number(r, neox ? "rotary_emb_base" : "rope_theta", &rope->theta) ||
        !em_read_number(r, neox ? "rotary_pct" : "partial_rotary_factor", &rope->partial))
        return false;
    return em_read_rope(r, object, object == scaling ? "rope_scaling" : "rope_parameters", c, rope);
}

static bool check_rope_dims(const em_config_reader *r, const em_config *c) {
    for (int i = 0; i < 2; i++) {
        if (c->rope[i].theta == 0) continue;
        bool some = c->family->layout == EM_FUSED_BY_HEAD && c->rope[i].partial > 0 &&
                    c->rope[i].partial < 1;
        if (!some && c->rope[i].partial != 1)
            return em_config_fail(r, "the rotated share of a head",
                                  "is not supported for this family");
        int dim = em_rope_dim(&c->rope[i], c->head_dim);
        if (dim < 2 || dim % 2)
            return em_fail_at(r->err, EM_INPUT, r->source, 0, -1,
                              "%d rotated elements of a head; an even number is supported", dim);
    }
    return true;
}

/* ---- BOS and EOS ---- */

bool em_config_eos(const json_t *root, const char *source, int32_t *eos, char note[160],
                   em_error *err) {
    const json_t *v = json_object_get(root, "eos_token_id");
    size_t n = json_array_size(v), used = 0;
    const json_t *first = json_is_array(v) ? json_array_get(v, 0) : v;
    *eos = -1;
    if (!first || json_is_null(first) || json_integer_value(first) == -1)
        return true; /* -1: some say so for none */
    if (!json_is_integer(first) || json_integer_value(first) < 0 ||
        json_integer_value(first) > INT32_MAX)
        return em_fail_at(err, EM_INPUT, source, 0, -1, "eos_token_id is no token id");
    *eos = (int32_t)json_integer_value(first);
    for (size_t i = 1; i < n && used < 120; i++)
        used += (size_t)snprintf(note + used, 160 - used, "%s%lld",
                                 used ? ", " : "eos_token_id is a list; not taken: ",
                                 (long long)json_integer_value(json_array_get(v, i)));
    return true;
}

static bool read_specials(const em_config_reader *r, em_config *c) {
    if (!em_config_eos(r->root, r->source, &c->eos, c->eos_note, r->err)) return false;
    c->eos_named = json_object_get(r->root, "eos_token_id") != NULL;
    if (!c->eos_named) c->eos = c->family->eos;
    return true;
}

/* ---- the whole ---- */

static bool allocate_layers(const em_config_reader *r, em_config *c) {
    c->window = em_alloc((size_t)c->layers, sizeof *c->window, "layer windows", r->err);
    c->rope_of = em_alloc((size_t)c->layers, sizeof *c->rope_of, "layer frequencies", r->err);
    if (!c->window || !c->rope_of) return false;
    if (c->family->theta == 0) memset(c->rope_of, -1, (size_t)c->layers);
    return true;
}

/* A multimodal config: dimensions are under text_config, tying and token ids may be above it. */
static json_t *flatten(json_t *root) {
    static const char *const above[] = {"tie_word_embeddings", "eos_token_id",
                                        "quantization_config"};
    const char *type = json_string_value(json_object_get(root, "model_type"));
    json_t *text = json_object_get(root, "text_config");
    if (!type || !em_family_is_nested(type) || !json_is_object(text)) return json_incref(root);
    json_t *flat = json_copy(text);
    json_object_set(flat, "model_type", json_object_get(root, "model_type"));
    for (size_t i = 0; i < sizeof above / sizeof *above; i++)
        if (json_object_get(root, above[i]))
            json_object_set(flat, above[i], json_object_get(root, above[i]));
    return flat;
}

static bool read_root(const em_config_reader *r, em_config *c) {
    return pick_family(r, c) && read_dimensions(r, c) && read_features(r, c) &&
           allocate_layers(r, c) && (c->family->theta == 0 || read_rope(r, c)) &&
           (!c->family->read || c->family->read(r, c)) && check_rope_dims(r, c) &&
           read_specials(r, c);
}

bool em_config_read(const char *source, const void *data, size_t size, em_config *out,
                    em_error *err) {
    json_error_t e;
    *out = (em_config){0};
    json_t *root = json_loadb(data, size, JSON_REJECT_DUPLICATES, &e);
    if (!root)
        return em_fail_at(err, EM_INPUT, source, 0, e.position, "is no valid JSON: %s", e.text);
    bool good = json_is_object(root) ||
                em_fail_at(err, EM_INPUT, source, 0, 0, "is no JSON object");
    json_t *flat = good ? flatten(root) : NULL;
    em_config_reader r = {flat, source, err};
    good = good && read_root(&r, out);
    json_decref(flat);
    json_decref(root);
    if (!good) em_config_free(out);
    return good;
}

void em_config_free(em_config *c) {
    free(c->window);
    free(c->rope_of);
    *c = (em_config){0};
}

/* ---- for fingerprints ---- */

static void describe_rope(const em_config *c, int i, em_buffer *out) {
    static const char *const names[] = {"default", "linear", "llama3", "yarn"};
    const em_rope_config *r = &c->rope[i];
    em_buffer_printf(out, "rope.%d=%s theta=%.17g partial=%.17g", i, names[r->type], r->theta,
                     r->partial);
    if (r->type != EM_ROPE_DEFAULT) em_buffer_printf(out, " factor=%.17g", r->factor);
    if (r->type == EM_ROPE_LLAMA3)
        em_buffer_printf(out, " original=%.17g low=%.17g high=%.17g", r->original, r->low_freq,
                         r->high_freq);
    if (r->type == EM_ROPE_YARN)
        em_buffer_printf(out,
                         " original=%.17g attention=%.17g fast=%.17g slow=%.17g mscale=%.17g "
                         "all=%.17g truncate=%d",
                         r->original, r->attention_factor, r->beta_fast, r->beta_slow, r->mscale,
                         r->mscale_all_dim, r->truncate);
    em_buffer_puts(out, "\n");
}

static void describe_layers(const em_config *c, em_buffer *out) {
    em_buffer_puts(out, "rope_of_layer=");
    for (int i = 0; i < c->layers; i++) em_buffer_printf(out, " %d", c->rope_of[i]);
    em_buffer_puts(out, "\nwindow_of_layer=");
    for (int i = 0; i < c->layers; i++) em_buffer_printf(out, " %d", c->window[i]);
    em_buffer_puts(out, "\n");
}

void em_config_describe(const em_config *c, em_buffer *out) {
    const em_family *f = c->family;
    em_buffer_printf(out, "activation=%d\nattention_softcap=%.17g\n", c->activation,
                     c->attention_softcap);
    em_buffer_printf(out,
                     "embedding_scaled=%d\nffn=%d\ngated=%d\nhead_dim=%d\nhead_norm=%d\nheads=%"
                     "d\nhidden=%d\nkv_heads=%d\nlayers=%d\n",
                     f->scaled_embedding, c->ffn, f->gated, c->head_dim, f->head_norm, c->heads,
                     c->hidden, c->kv_heads, c->layers);
    em_buffer_printf(out,
                     "logit_softcap=%.17g\nnorm=%d\nnorm_eps=%.17g\nnorm_plus_one=%d\nparallel_"
                     "residual=%d\nquery_scale=%.17g\n",
                     c->logit_softcap, f->norm, c->norm_eps, f->norm_plus_one, c->parallel_residual,
                     c->query_scale);
    for (int i = 0; i < 2; i++)
        if (c->rope[i].theta != 0) describe_rope(c, i, out);
    em_buffer_printf(out, "rope_interleaved=%d\n", c->rope_interleaved);
    describe_layers(c, out);
    em_buffer_printf(out, "scale_attention=%d\nscale_by_layer=%d\ntied=%d\nvocab=%d\n",
                     c->scale_attention, c->scale_by_layer, c->tied, c->vocab);
}
