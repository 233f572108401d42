/* What tells two models apart: every weight under our own name, so that formats agree. */
#include <pthread.h>
#include <stdio.h>

#include "model/model_parts.h"
#include "model/stored.h"
#include "model/tensors.h"

/* Part of every fingerprint: a name that changes makes all of them others. */
static const char *const layer_names[EM_LAYER_WEIGHTS] = {
    [EM_W_ATTENTION_IN] = "attention_in",
    [EM_W_ATTENTION_IN_BIAS] = "attention_in_bias",
    [EM_W_ATTENTION_OUT] = "attention_out",
    [EM_W_ATTENTION_OUT_BIAS] = "attention_out_bias",
    [EM_W_FFN_IN] = "ffn_in",
    [EM_W_FFN_IN_BIAS] = "ffn_in_bias",
    [EM_W_FFN_OUT] = "ffn_out",
    [EM_W_FFN_OUT_BIAS] = "ffn_out_bias",
    [EM_W_Q] = "q",
    [EM_W_K] = "k",
    [EM_W_V] = "v",
    [EM_W_O] = "o",
    [EM_W_Q_BIAS] = "q_bias",
    [EM_W_K_BIAS] = "k_bias",
    [EM_W_V_BIAS] = "v_bias",
    [EM_W_O_BIAS] = "o_bias",
    [EM_W_Q_NORM] = "q_norm",
    [EM_W_K_NORM] = "k_norm",
    [EM_W_GATE] = "gate",
    [EM_W_UP] = "up",
    [EM_W_DOWN] = "down",
    [EM_W_GATE_BIAS] = "gate_bias",
    [EM_W_UP_BIAS] = "up_bias",
    [EM_W_DOWN_BIAS] = "down_bias",
};

/* The view's elements in the order in which they are stored: runs of neighbours, which is [in, out]
 * for GPT-2's Conv1D and [out, in] everywhere else. */
static void hash_elements(XXH3_state_t *h, const em_weight *w) {
    size_t size = em_dtype_size(w->dtype);
    const char *data = w->data;
    if (w->in_stride == 1 && w->out_stride == w->in) {
        for (int64_t o = 0; o < w->out; o += w->block)
            XXH3_128bits_update(h, data + em_weight_index(w, o, 0) * (int64_t)size,
                                (size_t)(w->block * w->in) * size);
        return;
    }
    for (int64_t i = 0; i < w->in; i++)
        XXH3_128bits_update(h, data + em_weight_index(w, 0, i) * (int64_t)size,
                            (size_t)w->out * size);
}

static void hash_tensor(XXH3_state_t *h, const char *name, const em_tensor *t) {
    char head[320], shape[160];
    if (!t) return;
    int n = snprintf(head, sizeof head, "%s %s %s\n", name,
                     em_shape_text(t->n_dims, t->shape, shape, sizeof shape), t->type);
    XXH3_128bits_update(h, head, (size_t)n);
    XXH3_128bits_update(h, t->data, t->bytes);
}

static void hash_weight(em_model *m, int layer, const char *name, const em_weight *w) {
    char head[160];
    if (!w->data || !w->name) return; /* absent, or in no file */
    const em_tensor *t = em_bundle_tensor(m->bundle, w->name);
    if (t && !em_tensor_is_plain(t)) { /* the stored bytes, once for all of its views */
        int n = snprintf(head, sizeof head, "%d.%s layout %d heads %d ", layer, name, t->layout,
                         t->heads);
        XXH3_128bits_update(m->hash, head, (size_t)n);
        if (w->data == t->data) hash_tensor(m->hash, name, t);
        return;
    }
    int n = snprintf(head, sizeof head, "%d.%s [%lld, %lld] %s\n", layer, name, (long long)w->out,
                     (long long)w->in, em_dtype_name(w->dtype));
    XXH3_128bits_update(m->hash, head, (size_t)n);
    hash_elements(m->hash, w);
}

static void hash_layer(em_model *m, int layer) {
    for (int i = 0; i < EM_LAYER_WEIGHTS; i++)
        hash_weight(m, layer, layer_names[i], &m->weights[layer].of[i]);
}

static void hash_head(em_model *m) {
    em_buffer text = {0};
    hash_weight(m, m->spec.layers, "final_norm", &m->head.final_norm);
    hash_weight(m, m->spec.layers, "final_norm_bias", &m->head.final_norm_bias);
    if (!m->spec.tied) hash_weight(m, m->spec.layers, "output", &m->head.output);
    hash_weight(m, m->spec.layers, "output_bias", &m->head.output_bias);
    em_config_describe(&m->config, &text);
    XXH3_128bits_update(m->hash, text.data, text.length);
    em_buffer_free(&text);
    em_hash_hex(XXH3_128bits_digest(m->hash), m->fingerprint);
}

/* ---- of composed models ---- */

/* What the adapter changes, tensor by tensor; names are the base's and so do not depend on how keys
 * are spelt. */
static void hash_adapter(XXH3_state_t *h, const em_composition *c) {
    char line[400];
    for (size_t i = 0; i < c->n; i++) {
        const em_made *t = &c->made[i];
        int n = snprintf(line, sizeof line, "%d %s %d %.17g\n", t->part, t->place->name, t->fresh,
                         t->scale);
        XXH3_128bits_update(h, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
        if (t->values != t->place) hash_tensor(h, "values", t->values);
        hash_tensor(h, "a", t->a);
        hash_tensor(h, "b", t->b);
        hash_tensor(h, "shift", t->shift);
    }
}

static void finish_hash(em_model *m) {
    const em_composition *c = m->composition;
    char line[80];
    XXH3_128bits_update(m->hash, c->sources[0]->fingerprint, 16);
    if (c->sources[1]) {
        int n = snprintf(line, sizeof line, " %s alpha %.17g\n", c->sources[1]->fingerprint,
                         c->alpha);
        XXH3_128bits_update(m->hash, line, (size_t)n);
    } else {
        hash_adapter(m->hash, c);
    }
    em_hash_hex(XXH3_128bits_digest(m->hash), m->fingerprint);
}

static void hash_sources(em_model *m, int part) {
    for (int i = 0; i < 2; i++) /* no-op where the source has passed by itself already */
        if (m->composition->sources[i]) em_model_hash_part(m->composition->sources[i], part);
    if (part == m->spec.layers) finish_hash(m);
}

/* ---- together ---- */

static bool hash_part(em_model *m, int layer) {
    if (layer != m->next_part) return false;
    m->next_part++;
    if (m->composition) {
        hash_sources(m, layer);
    } else if (layer == EM_PART_EMBEDDING) {
        hash_weight(m, layer, "tokens", &m->embedding.tokens);
        hash_weight(m, layer, "positions", &m->embedding.positions);
    } else if (layer < m->spec.layers) {
        hash_layer(m, layer);
    } else {
        hash_head(m);
    }
    return true;
}

/* An interrupted run's report asks for the fingerprint while a thread may still read the weights.
 * Models share parts with what is composed of them, so one lock serves all; a composed model's
 * parts take it twice. */
bool em_model_hash_part(em_model *m, int layer) {
    static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
    pthread_mutex_lock(&lock);
    bool turn = hash_part(m, layer);
    pthread_mutex_unlock(&lock);
    return turn;
}

const char *em_model_fingerprint(const em_model *m) { return m->fingerprint; }
