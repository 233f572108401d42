/* The keys: llama.cpp's gguf-py/gguf/constants.py; what its converter makes of a config.json:
 * conversion/. */
#include "model/gguf_model.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/blocks.h"
#include "model/gguf_names.h"
#include "model/stored.h"

typedef struct maker {
    const em_gguf *g;
    const em_gguf_arch *arch;
    const em_family *family;
    const em_tensors *tensors; /* under GGUF's names */
    json_t *config;
    int64_t heads, kv_heads, head_dim, layers, hidden;
    em_notes *notes;
    em_error *err;
} maker;

/* The key ARCH.NAME, in out. */
static const char *key_name(const maker *m, const char *name, char out[128]) {
    snprintf(out, 128, "%s.%s", m->arch->name, name);
    return out;
}

static bool fail(const maker *m, const char *name, const char *what) {
    char key[128];
    return em_fail_at(m->err, EM_INPUT, m->g->file, 0, -1, "key %s %s", key_name(m, name, key),
                      what);
}

static const em_tensor *tensor(const maker *m, const char *name) {
    for (size_t i = 0; i < m->tensors->n; i++)
        if (!strcmp(m->tensors->items[i].name, name)) return &m->tensors->items[i];
    return NULL;
}

static void set(const maker *m, const char *key, json_t *value) {
    if (key) json_object_set_new(m->config, key, value);
    else json_decref(value);
}

/* ---- numbers ---- */

/* A whole number, or a list of one for each layer in which all are the same. */
static bool read_count(const maker *m, const char *name, int64_t otherwise, int64_t *out) {
    char key[128];
    const em_gguf_key *k = em_gguf_find(m->g, key_name(m, name, key));
    int64_t first = 0, x;
    *out = otherwise;
    if (!k && otherwise) return true;
    if (!k) return fail(m, name, "is missing");
    if (!k->array) return em_gguf_int(m->g, key, 1, 1 << 30, out, m->err);
    for (uint64_t i = 0; i < k->n; i++) {
        if (!em_gguf_int_at(k, i, &x) || x < 1 || x > 1 << 30)
            return fail(m, name, "holds something else than numbers of at least 1");
        if (i == 0) first = x;
        if (x != first)
            return fail(m, name, "is not the same in every layer, which is not supported");
    }
    if (!k->n) return fail(m, name, "is an empty list");
    *out = first;
    return true;
}

/* Copies a number to the config, if it is there. */
static bool copy_number(const maker *m, const char *name, const char *to) {
    char key[128];
    double x = 0;
    if (!em_gguf_find(m->g, key_name(m, name, key))) return true;
    if (!em_gguf_number(m->g, key, &x, m->err)) return false;
    set(m, to, json_real(x));
    return true;
}

static bool read_dimensions(maker *m) {
    const em_family_keys *k = m->family->keys;
    int64_t value_length, positions, ffn;
    char key[128];
    const em_tensor *tokens = tensor(m, "token_embd.weight"), *output = tensor(m, "output.weight"),
                    *up = tensor(m, "blk.0.ffn_up.weight");
    const em_tensor *rows = tokens ? tokens : output;
    if (!rows)
        return em_fail_at(m->err, EM_INPUT, m->g->file, 0, -1,
                          "holds neither token_embd.weight nor output.weight");
    if (!read_count(m, "block_count", 0, &m->layers) ||
        !read_count(m, "embedding_length", 0, &m->hidden) ||
        !read_count(m, "attention.head_count", 0, &m->heads) ||
        !read_count(m, "attention.head_count_kv", m->heads, &m->kv_heads) ||
        !read_count(m, "attention.key_length", m->hidden / m->heads ? m->hidden / m->heads : 1,
                    &m->head_dim) ||
        !read_count(m, "attention.value_length", m->hidden / m->heads ? m->hidden / m->heads : 1,
                    &value_length) ||
        !read_count(m, "context_length", 0, &positions) ||
        !read_count(m, "feed_forward_length", 0, &ffn))
        return false;
    if (!em_gguf_find(m->g, key_name(m, "attention.key_length", key)) && m->hidden % m->heads)
        return fail(m, "attention.head_count", "does not divide embedding_length");
    if (value_length != m->head_dim)
        return fail(m, "attention.value_length",
                    "is another than key_length, which is not supported");
    if (!k->head_dim && m->head_dim * m->heads != m->hidden)
        return fail(m, "attention.key_length", "times head_count is not embedding_length");
    if (!k->kv_heads && m->kv_heads != m->heads)
        return fail(m, "attention.head_count_kv", "is another than head_count");
    /* GPT-2's own n_inner is not written; the tensor knows it. */
    if (m->family->form.in_by_out && up) ffn = up->shape[0];
    set(m, k->layers, json_integer(m->layers));
    set(m, k->hidden, json_integer(m->hidden));
    set(m, k->heads, json_integer(m->heads));
    set(m, k->kv_heads, json_integer(m->kv_heads));
    set(m, k->head_dim, json_integer(m->head_dim));
    set(m, k->ffn, json_integer(ffn));
    set(m, k->max_positions, json_integer(positions));
    set(m, "vocab_size", json_integer(rows->shape[0]));
    set(m, "tie_word_embeddings", json_boolean(!tokens || !output));
    const char *eps = em_gguf_find(m->g, key_name(m, "attention.layer_norm_epsilon", key))
                          ? "attention.layer_norm_epsilon"
                          : "attention.layer_norm_rms_epsilon";
    return copy_number(m, eps, k->norm_eps);
}

/* Keys of biases say what is stored. */
static void note_bias(const maker *m, em_bias bias, const char *name) {
    if (bias.key) set(m, bias.key, json_boolean(tensor(m, name) != NULL));
}

/* ---- rotary embedding ---- */

static bool read_scaling(const maker *m, json_t *scaling) {
    char key[128];
    em_gguf_text type = {"none", 4};
    double factor = 0, original = 0, attention = 0;
    if (!em_gguf_text_of(m->g, key_name(m, "rope.scaling.type", key), &type, m->err) ||
        !em_gguf_number(m->g, key_name(m, "rope.scaling.factor", key), &factor, m->err) ||
        !em_gguf_number(m->g, key_name(m, "rope.scaling.original_context_length", key), &original,
                        m->err) ||
        !em_gguf_number(m->g, key_name(m, "rope.scaling.attn_factor", key), &attention, m->err))
        return false;
    bool linear = type.n == 6 && !memcmp(type.data, "linear", 6),
         yarn = type.n == 4 && !memcmp(type.data, "yarn", 4),
         none = type.n == 4 && !memcmp(type.data, "none", 4);
    if (!linear && !yarn && !none)
        return fail(m, "rope.scaling.type", "is another than none, linear and yarn");
    if (attention != 0 && attention != 1)
        return fail(m, "rope.scaling.attn_factor", "other than 1 is not supported");
    if (none) return true;
    json_object_set_new(scaling, "rope_type", json_string(linear ? "linear" : "yarn"));
    json_object_set_new(scaling, "factor", json_real(factor));
    if (original != 0)
        json_object_set_new(scaling, "original_max_position_embeddings", json_real(original));
    return true;
}

/* rope_freqs.weight: what each frequency is divided by; Llama 3's scaling is baked into it. */
static bool read_factors(const maker *m, json_t *scaling) {
    const em_tensor *t = tensor(m, "rope_freqs.weight");
    if (!t) return true;
    float factors[EM_MAX_HEAD_DIM / 2];
    if (t->n_dims != 1 || t->shape[0] > EM_MAX_HEAD_DIM / 2 || strcmp(t->type, "F32"))
        return em_fail_at(m->err, EM_INPUT, m->g->file, 0, -1,
                          "tensor rope_freqs.weight is no list of F32 factors");
    if (json_object_size(scaling))
        return fail(m, "rope.scaling.type", "and the tensor rope_freqs.weight are both there");
    em_tensor_values(t, 1, factors);
    json_t *list = json_array();
    for (int64_t i = 0; i < t->shape[0]; i++) json_array_append_new(list, json_real(factors[i]));
    json_object_set_new(scaling, "rope_type", json_string("divided"));
    json_object_set_new(scaling, "factors", list);
    return true;
}

static bool read_rotary(const maker *m) {
    const em_family_keys *k = m->family->keys;
    int64_t rotated = m->head_dim;
    char key[128];
    if (m->family->theta == 0 && strcmp(m->arch->name, "gemma3")) return true;
    if (!em_gguf_int(m->g, key_name(m, "rope.dimension_count", key), 1, 1 << 20, &rotated, m->err))
        return false;
    if (rotated > m->head_dim) return fail(m, "rope.dimension_count", "is above the head's size");
    if (rotated != m->head_dim && m->family->partial == 0)
        return fail(m, "rope.dimension_count", "below the head's size is not supported here");
    if (m->family->partial != 0)
        set(m, k->rope_partial ? k->rope_partial : "partial_rotary_factor",
            json_real((double)rotated / (double)m->head_dim));
    json_t *scaling = json_object();
    bool good = copy_number(m, "rope.freq_base", k->rope_theta ? k->rope_theta : "rope_theta") &&
                copy_number(m, "rope.freq_base_swa", "rope_local_base_freq") &&
                read_scaling(m, scaling) && read_factors(m, scaling);
    if (json_object_size(scaling)) json_object_set(m->config, "rope_scaling", scaling);
    json_decref(scaling);
    return good;
}

/* ---- what only some have ---- */

static bool read_window(const maker *m) {
    char key[128];
    int64_t window = 0;
    const em_gguf_key *k = em_gguf_find(m->g, key_name(m, "attention.sliding_window", key));
    if (!k) return true;
    if (!em_gguf_int(m->g, key, 0, INT32_MAX, &window, m->err)) return false;
    if (!strcmp(m->arch->name, "llama")) set(m, "model_type", json_string("mistral"));
    else if (!m->arch->plus_one)
        return fail(m, "attention.sliding_window", "is not supported here");
    set(m, "sliding_window", window ? json_integer(window) : json_null());
    return true;
}

/* One number, every so-manieth layer is global; or a list, true where a layer slides. */
static bool read_pattern(const maker *m) {
    char key[128];
    int64_t every = 0;
    const em_gguf_key *k = em_gguf_find(m->g, key_name(m, "attention.sliding_window_pattern", key));
    if (!k) return true;
    if (!m->arch->plus_one)
        return fail(m, "attention.sliding_window_pattern", "is not supported here");
    if (!k->array) {
        if (!em_gguf_int(m->g, key, 1, INT32_MAX, &every, m->err)) return false;
        set(m, "sliding_window_pattern", json_integer(every));
        return true;
    }
    if (k->type != EM_GGUF_BOOL)
        return fail(m, "attention.sliding_window_pattern", "is no list of bools");
    json_t *types = json_array();
    for (uint64_t i = 0; i < k->n; i++)
        json_array_append_new(types,
                              json_string(k->data[i] ? "sliding_attention" : "full_attention"));
    set(m, "layer_types", types);
    return true;
}

/* Gemma scales queries by a number that the file lacks: as llama.cpp, by the head's size, but for
 * the two 27B models. */
static void set_query_scale(const maker *m) {
    bool large = (m->layers == 46 && !strcmp(m->arch->name, "gemma2")) ||
                 (m->layers == 62 && !strcmp(m->arch->name, "gemma3"));
    if (m->arch->plus_one)
        set(m, "query_pre_attn_scalar", json_integer(large ? m->hidden / m->heads : m->head_dim));
}

static bool read_others(const maker *m) {
    char key[128];
    bool parallel = true, causal = true;
    int64_t experts = 0;
    const em_gguf_key *k = em_gguf_find(m->g, key_name(m, "use_parallel_residual", key));
    if (!em_gguf_bool(m->g, key, &parallel, m->err)) return false;
    if (k) set(m, "use_parallel_residual", json_boolean(parallel));
    if (!em_gguf_int(m->g, key_name(m, "expert_count", key), 0, INT32_MAX, &experts, m->err) ||
        !em_gguf_bool(m->g, key_name(m, "attention.causal", key), &causal, m->err))
        return false;
    if (experts) return fail(m, "expert_count", "is there: mixtures of experts are not supported");
    if (!causal) set(m, "is_causal", json_false());
    set_query_scale(m);
    return read_window(m) && read_pattern(m) &&
           copy_number(m, "attn_logit_softcapping", "attn_logit_softcapping") &&
           copy_number(m, "final_logit_softcapping", "final_logit_softcapping");
}

static bool read_specials(const maker *m) {
    int64_t eos = -1, bos = -1;
    if (!em_gguf_int(m->g, "tokenizer.ggml.eos_token_id", 0, UINT32_MAX, &eos, m->err) ||
        !em_gguf_int(m->g, "tokenizer.ggml.bos_token_id", 0, UINT32_MAX, &bos, m->err))
        return false;
    set(m, "eos_token_id", eos < 0 || eos > INT32_MAX ? json_null() : json_integer(eos));
    set(m, "bos_token_id", bos < 0 || bos > INT32_MAX ? json_null() : json_integer(bos));
    return true;
}

/* ---- keys that nothing asked for ---- */

static bool known(const char *name) {
    static const char *const names[] = {"block_count",
                                        "context_length",
                                        "embedding_length",
                                        "feed_forward_length",
                                        "vocab_size",
                                        "attention.head_count",
                                        "attention.head_count_kv",
                                        "attention.key_length",
                                        "attention.value_length",
                                        "attention.layer_norm_epsilon",
                                        "attention.layer_norm_rms_epsilon",
                                        "attention.sliding_window",
                                        "attention.sliding_window_pattern",
                                        "attention.causal",
                                        "rope.dimension_count",
                                        "rope.freq_base",
                                        "rope.freq_base_swa",
                                        "rope.scaling.type",
                                        "rope.scaling.factor",
                                        "rope.scaling.original_context_length",
                                        "rope.scaling.attn_factor",
                                        "rope.scaling.finetuned",
                                        "use_parallel_residual",
                                        "attn_logit_softcapping",
                                        "final_logit_softcapping",
                                        "expert_count",
                                        "expert_used_count",
                                        "tensor_data_layout"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], name)) return true;
    return false;
}

/* Keys of the architecture describe the network: one that is not understood may change it. */
static bool check_keys(const maker *m) {
    size_t n = strlen(m->arch->name);
    char name[128];
    for (size_t i = 0; i < m->g->n; i++) {
        em_gguf_text t = m->g->keys[i].name;
        if (t.n <= n + 1 || t.n - n >= sizeof name || memcmp(t.data, m->arch->name, n) ||
            t.data[n] != '.')
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(t.n - n - 1), t.data + n + 1);
        if (!known(name))
            return fail(m, name, "is not known; leaving it out could change the result");
    }
    return true;
}

/* ---- together ---- */

static bool make_config(maker *m) {
    m->config = json_object();
    if (!m->config) return em_fail_memory(m->err, 64, "a config");
    set(m, "model_type", json_string(m->family->model_type));
    if (!read_dimensions(m)) return false;
    note_bias(m, m->family->qkv_bias, "blk.0.attn_q.bias");
    note_bias(m, m->family->o_bias, "blk.0.attn_output.bias");
    note_bias(m, m->family->mlp_bias, "blk.0.ffn_up.bias");
    note_bias(m, m->family->head_bias, "output.bias");
    return read_rotary(m) && read_others(m) && read_specials(m) && check_keys(m);
}

/* Renames every tensor; rope_freqs is in the config by now and goes. */
static bool rename_tensors(const maker *m, em_tensors *tensors) {
    em_tensors renamed = {0};
    char name[512];
    bool good = true;
    for (size_t i = 0; i < tensors->n && good; i++) {
        em_tensor t = tensors->items[i];
        if (!strcmp(t.name, "rope_freqs.weight")) continue;
        if (em_gguf_tensor_name(m->arch, m->family, (int)m->heads, (int)m->kv_heads, &t, name,
                                sizeof name))
            t.name = name;
        good = em_tensors_add(&renamed, &t, m->err);
    }
    em_tensors_free(tensors);
    *tensors = renamed;
    return good;
}

bool em_gguf_model_make(const em_gguf *g, em_tensors *tensors, em_buffer *config, em_notes *notes,
                        em_error *err) {
    char list[256];
    em_gguf_text name = {"", 0};
    maker m = {.g = g, .tensors = tensors, .notes = notes, .err = err};
    if (!em_gguf_text_of(g, "general.architecture", &name, err)) return false;
    m.arch = em_gguf_arch_of(name.data, name.n);
    if (!m.arch)
        return em_fail_at(err, EM_INPUT, g->file, 0, -1,
                          "general.architecture %.*s is not supported; these are: %s",
                          name.n < 60 ? (int)name.n : 60, name.data,
                          em_gguf_arch_list(list, sizeof list));
    m.family = em_family_find(m.arch->model_type);
    bool good = make_config(&m) && rename_tensors(&m, tensors);
    char *text = good ? json_dumps(m.config, JSON_INDENT(1)) : NULL;
    if (good && !text) good = em_fail_memory(err, 1024, "a config");
    if (text) em_buffer_puts(config, text);
    free(text);
    json_decref(m.config);
    return good;
}
