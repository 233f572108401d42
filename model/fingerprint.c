/* What tells two models apart: every weight under our own name, so that formats agree. */
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>

#include "model/composition.h"

static const struct {
    const char *name;
    size_t offset;
} layer_fields[] = {
#define FIELD(f) \
    { #f, offsetof(em_layer_weights, f) }
    FIELD(attention_in),
    FIELD(attention_in_bias),
    FIELD(attention_out),
    FIELD(attention_out_bias),
    FIELD(ffn_in),
    FIELD(ffn_in_bias),
    FIELD(ffn_out),
    FIELD(ffn_out_bias),
    FIELD(q),
    FIELD(k),
    FIELD(v),
    FIELD(o),
    FIELD(q_bias),
    FIELD(k_bias),
    FIELD(v_bias),
    FIELD(o_bias),
    FIELD(q_norm),
    FIELD(k_norm),
    FIELD(gate),
    FIELD(up),
    FIELD(down),
    FIELD(gate_bias),
    FIELD(up_bias),
    FIELD(down_bias)
#undef FIELD
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

static void hash_weight(em_model *m, int layer, const char *name, const em_weight *w) {
    char head[160];
    if (!w->data) return;
    int n = snprintf(head, sizeof head, "%d.%s [%lld, %lld] %s\n", layer, name, (long long)w->out,
                     (long long)w->in, em_dtype_name(w->dtype));
    XXH3_128bits_update(m->hash, head, (size_t)n);
    hash_elements(m->hash, w);
}

static void hash_layer(em_model *m, int layer) {
    const char *weights = (const char *)&m->weights[layer];
    for (size_t i = 0; i < sizeof layer_fields / sizeof *layer_fields; i++)
        hash_weight(m, layer, layer_fields[i].name,
                    (const em_weight *)(weights + layer_fields[i].offset));
}

static void hash_head(em_model *m) {
    em_buffer text = {0};
    hash_weight(m, m->spec.layers, "final_norm", &m->head.final_norm);
    hash_weight(m, m->spec.layers, "final_norm_bias", &m->head.final_norm_bias);
    if (!m->spec.tied) hash_weight(m, m->spec.layers, "output", &m->head.output);
    em_config_describe(&m->config, &text);
    XXH3_128bits_update(m->hash, text.data, text.length);
    em_buffer_free(&text);
    em_hash_hex(XXH3_128bits_digest(m->hash), m->fingerprint);
}

static bool hash_part(em_model *m, int layer) {
    if (m->composition) return em_composition_hash_part(m, layer);
    if (layer != m->next_part) return false;
    m->next_part++;
    if (layer == EM_PART_EMBEDDING) {
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
