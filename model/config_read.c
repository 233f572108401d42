#include "model/config_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "model/families/family.h"
#include "model/config/rope_reader.h"

/* ---- what is refused by name ---- */

static bool refuse_quantized(const em_config_reader *r) {
    const json_t *q = em_read_value(r, "quantization_config");
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
        if (json_integer_value(em_read_value(r, keys[i])) > 1) experts = true;
    return !experts || em_fail_at(r->err, EM_INPUT, r->source, 0, -1,
                                  "%s is a mixture of experts, which is not supported", model_type);
}

/* Where flatten puts text_config's own model_type. */
#define TEXT_TYPE "text_config.model_type"

static bool pick_family(const em_config_reader *r, em_config *c) {
    const char *type = json_string_value(em_read_value(r, "model_type"));
    char list[EM_FAMILY_LIST];
    if (!type) return em_config_fail(r, "model_type", "is missing: what family is this?");
    if (!refuse_quantized(r) || !refuse_experts(r, type)) return false;
    const em_family *f = c->family = em_family_find(type);
    if (!f)
        return em_fail_at(r->err, EM_INPUT, r->source, 0, -1,
                          "model_type %s is not supported; %s are", type,
                          em_family_list(list, sizeof list));
    const char *inner = json_string_value(em_read_value(r, TEXT_TYPE));
    if (inner && strcmp(inner, f->nested))
        return em_fail_at(r->err, EM_INPUT, r->source, 0, -1,
                          "text_config of model_type %s is not supported in a %s; %s is", inner,
                          type, f->nested);
    c->names = f->names;
    c->form = f->form;
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
    if (!em_read_value(r, k->head_dim) && head_dim == quotient && c->hidden % c->heads)
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

static bool read_bias(const em_config_reader *r, const em_bias *rule, bool *out) {
    *out = rule->value;
    return em_read_bool(r, rule->key, out);
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
                {"relu2", EM_RELU2},
                {"gelu_new", EM_GELU_TANH},
                {"gelu_fast", EM_GELU_TANH},
                {"gelu_pytorch_tanh", EM_GELU_TANH},
                {"gelu_python_tanh", EM_GELU_TANH},
                {"gelu_accurate", EM_GELU_TANH}};
    const json_t *v = em_read_value(r, c->family->keys->activation);
    const char *name = v ? json_string_value(v) : c->family->activation;
    for (size_t i = 0; i < sizeof rows / sizeof *rows && name; i++)
        if (!strcmp(rows[i].name, name)) {
            c->activation = rows[i].kind;
            return true;
        }
    return em_fail_at(
        r->err, EM_INPUT, r->source, 0, -1,
        "%s %s is not supported; silu, gelu, gelu_new, gelu_pytorch_tanh, relu and relu2 are",
        c->family->keys->activation, name ? name : "(no string)");
}

static bool read_features(const em_config_reader *r, em_config *c) {
    const em_family *f = c->family;
    c->norm_eps = f->norm_eps;
    c->scale_attention = true;
    return em_read_positive(r, f->keys->norm_eps, &c->norm_eps) && read_activation(r, c) &&
           read_bias(r, &f->qkv_bias, &c->form.qkv_bias) &&
           read_bias(r, &f->o_bias, &c->form.o_bias) &&
           read_bias(r, &f->mlp_bias, &c->form.mlp_bias) &&
           read_bias(r, &f->head_bias, &c->form.head_bias) &&
           em_read_bool(r, "tie_word_embeddings", &c->form.tied);
}

/* ---- rotary embedding ---- */

/* One set of frequencies for all layers. */
static bool read_rope(const em_config_reader *r, em_config *c) {
    const em_family *f = c->family;
    em_rope_config *rope = &c->rope[0];
    const json_t *scaling = em_read_value(r, "rope_scaling"),
                 *parameters = em_read_value(r, "rope_parameters");
    const json_t *object = json_object_size(scaling) ? scaling : parameters;
    if (json_object_get(object, "full_attention") || json_object_get(object, "sliding_attention"))
        return em_config_fail(r, "rope_parameters",
                              "by layer type are not supported for this family");
    *rope = (em_rope_config){.theta = f->theta, .partial = f->partial > 0 ? f->partial : 1};
    if (!em_read_number(r, f->keys->rope_theta ? f->keys->rope_theta : "rope_theta",
                        &rope->theta) ||
        !em_read_number(r, f->keys->rope_partial ? f->keys->rope_partial : "partial_rotary_factor",
                        &rope->partial))
        return false;
    return em_read_rope(r, object, object == scaling ? "rope_scaling" : "rope_parameters",
                        c->max_positions, rope);
}

static bool check_rope_dims(const em_config_reader *r, const em_config *c) {
    bool some = c->family->partial > 0; /* of a head may be rotated */
    for (int i = 0; i < 2; i++) {
        double share = c->rope[i].partial;
        if (c->rope[i].theta == 0) continue;
        if (share != 1 && !(some && share > 0 && share < 1))
            return em_config_fail(r, "the rotated share of a head",
                                  "is not supported for this family");
        int dim = em_rope_dim(&c->rope[i], c->head_dim);
        if (dim < 2 || dim % 2)
            return em_fail_at(r->err, EM_INPUT, r->source, 0, -1,
                              "%d rotated elements of a head; an even number is supported", dim);
        bool by_pair = c->rope[i].type == EM_ROPE_LONG || c->rope[i].type == EM_ROPE_DIVIDED;
        if (by_pair && c->rope[i].n_factors != dim / 2)
            return em_fail_at(r->err, EM_INPUT, r->source, 0, -1,
                              "%s has %d entries for %d pairs of a head",
                              c->rope[i].type == EM_ROPE_LONG ? "short_factor" : "factors",
                              c->rope[i].n_factors, dim / 2);
    }
    return true;
}

/* Longer rows have longrope's long_factor, all their tokens: no row is read as two networks. */
static void limit_length(em_config *c) {
    for (int i = 0; i < 2; i++) {
        const em_rope_config *rope = &c->rope[i];
        if (rope->theta == 0 || rope->type != EM_ROPE_LONG) continue;
        c->length_limited = true;
        if (rope->original < (double)c->max_positions) c->max_positions = (int64_t)rope->original;
    }
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
    const em_family *f = type ? em_family_find(type) : NULL;
    if (!f || !f->nested || !json_is_object(text)) return json_incref(root);
    json_t *flat = json_copy(text);
    if (json_object_get(flat, "model_type"))
        json_object_set(flat, TEXT_TYPE, json_object_get(flat, "model_type"));
    json_object_set(flat, "model_type", json_object_get(root, "model_type"));
    for (size_t i = 0; i < sizeof above / sizeof *above; i++)
        if (json_object_get(root, above[i]))
            json_object_set(flat, above[i], json_object_get(root, above[i]));
    return flat;
}

static bool read_root(const em_config_reader *r, em_config *c) {
    bool good = pick_family(r, c) && read_dimensions(r, c) && read_features(r, c) &&
                allocate_layers(r, c) && (c->family->theta == 0 || read_rope(r, c)) &&
                (!c->family->read || c->family->read(r, c)) && check_rope_dims(r, c) &&
                read_specials(r, c);
    if (good) limit_length(c);
    return good;
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
