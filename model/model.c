#include "model/model.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "model/config_read.h"
#include "model/contradictions.h"
#include "model/model_parts.h"
#include "model/stored.h"

/* ---- config.json ---- */

static void name_source(em_model *m, const char *file, char *out, size_t n) {
    const char *path = em_bundle_path(m->bundle);
    bool directory = !strcmp(em_bundle_format(m->bundle), "directory");
    if (directory) snprintf(out, n, "%s/%s", path, file);
    else snprintf(out, n, "%s in %s", file, path);
}

/* generation_config.json's EOS, where config.json names none; then the family's default. */
static bool read_eos(em_model *m, em_error *err) {
    const void *data;
    size_t size;
    em_model_spec *s = &m->spec;
    char source[320];
    json_error_t e;
    s->eos = m->config.eos;
    snprintf(s->eos_note, sizeof s->eos_note, "%s", m->config.eos_note);
    snprintf(s->eos_origin, sizeof s->eos_origin, "%s",
             s->eos < 0            ? ""
             : m->config.eos_named ? "config.json"
                                   : "the family's default");
    if ((m->config.eos_named && s->eos >= 0) ||
        !em_bundle_file(m->bundle, "generation_config.json", &data, &size))
        return true;
    name_source(m, "generation_config.json", source, sizeof source);
    json_t *root = json_loadb(data, size, 0, &e);
    if (!root)
        return em_fail_at(err, EM_INPUT, source, 0, e.position, "is no valid JSON: %s", e.text);
    int32_t eos;
    bool good = em_config_eos(root, source, &eos, s->eos_note, err);
    json_decref(root);
    if (good && eos >= 0) {
        s->eos = eos;
        snprintf(s->eos_origin, sizeof s->eos_origin, "generation_config.json");
    }
    return good;
}

static bool read_config(em_model *m, em_error *err) {
    const void *data;
    size_t size;
    if (!em_bundle_file(m->bundle, "config.json", &data, &size))
        return em_fail_at(err, EM_INPUT, em_bundle_path(m->bundle), 0, -1, "holds no config.json");
    name_source(m, "config.json", m->source, sizeof m->source);
    return em_config_read(m->source, data, size, &m->config, err);
}

/* ---- specs ---- */

static bool make_frequencies(em_model *m, em_rope ropes[2], em_error *err) {
    const em_config *c = &m->config;
    for (int i = 0; i < 2; i++) {
        ropes[i] = (em_rope){.scale = 1};
        if (c->rope[i].theta == 0) continue;
        int dim = em_rope_dim(&c->rope[i], c->head_dim);
        m->inv_freq[i] = em_alloc((size_t)dim / 2, sizeof(float), "rotary frequencies", err);
        if (!m->inv_freq[i]) return false;
        float scale = em_rope_frequencies(&c->rope[i], dim, m->inv_freq[i]);
        ropes[i] = (em_rope){dim, c->form.rope_interleaved, scale, m->inv_freq[i]};
    }
    return true;
}

/* What multiplies q.k: 1 / sqrt(head_dim), but for GPT-Neo (1), Gemma and one GPT-2 option. */
static float attention_scale(const em_config *c, int layer) {
    double scale = c->scale_attention ? 1 / sqrt(c->query_scale > 0 ? c->query_scale : c->head_dim)
                                      : 1;
    return (float)(c->scale_by_layer ? scale / (layer + 1) : scale);
}

static em_layer_spec layer_spec(const em_config *c, int layer, const em_rope *ropes) {
    const em_form *f = &c->form;
    return (em_layer_spec){.hidden = c->hidden,
                           .heads = c->heads,
                           .kv_heads = c->kv_heads,
                           .head_dim = c->head_dim,
                           .ffn = c->ffn,
                           .norm = f->norm.kind,
                           .norm_eps = (float)c->norm_eps,
                           .norm_plus_one = f->norm.plus_one,
                           .head_norm = f->head_norm,
                           .attention_scale = attention_scale(c, layer),
                           .attention_softcap = (float)c->attention_softcap,
                           .window = c->window[layer],
                           .rope = c->rope_of[layer] < 0 ? (em_rope){.scale = 1}
                                                         : ropes[c->rope_of[layer]],
                           .activation = c->activation,
                           .gated = f->gated,
                           .parallel_residual = f->residual != EM_SEQUENTIAL};
}

static bool make_layers(em_model *m, em_error *err) {
    const em_config *c = &m->config;
    em_rope ropes[2];
    m->layers = em_alloc((size_t)c->layers, sizeof *m->layers, "layers", err);
    m->weights = em_alloc((size_t)c->layers, sizeof *m->weights, "layers", err);
    if (!m->layers || !m->weights || !make_frequencies(m, ropes, err)) return false;
    for (int i = 0; i < c->layers; i++) m->layers[i] = layer_spec(c, i, ropes);
    return true;
}

static void make_ends(em_model *m) {
    const em_config *c = &m->config;
    const em_form *f = &c->form;
    m->embedding.scale = f->scaled_embedding ? (float)sqrt(c->hidden) : 1;
    m->head = (em_head_spec){.hidden = c->hidden,
                             .vocab = c->vocab,
                             .norm = f->norm.kind,
                             .norm_eps = (float)c->norm_eps,
                             .norm_plus_one = f->norm.plus_one,
                             .softcap = (float)c->logit_softcap};
}

static bool make_parts(em_model *m, em_error *err) {
    int64_t n = em_bundle_tensors(m->bundle);
    m->part_of = em_alloc((size_t)n, sizeof *m->part_of, "tensors", err);
    for (int64_t i = 0; i < n && m->part_of; i++) m->part_of[i] = EM_PART_UNUSED;
    return m->part_of != NULL;
}

static void fill_spec(em_model *m) {
    const em_config *c = &m->config;
    em_model_spec *s = &m->spec;
    snprintf(s->family, sizeof s->family, "%s", c->model_type);
    s->layers = c->layers, s->hidden = c->hidden, s->vocab = c->vocab, s->heads = c->heads;
    s->kv_heads = c->kv_heads, s->head_dim = c->head_dim, s->ffn = c->ffn;
    s->max_positions = c->max_positions;
    s->length_limited = c->length_limited;
    s->learned_positions = m->embedding.positions.data != NULL;
    s->weight_dtype = m->weights[0].of[EM_W_O].dtype;
    s->tied = c->form.tied;
    for (int64_t i = 0; i < em_bundle_tensors(m->bundle); i++) {
        if (m->part_of[i] == EM_PART_UNUSED) continue; /* of a shape that nothing has checked */
        const em_tensor *t = em_bundle_tensor_at(m->bundle, i);
        int64_t n = 1;
        for (int d = 0; d < t->n_dims; d++) n *= t->shape[d];
        s->parameters += n;
    }
}

/* The types of the weights that are read, the largest share first. */
static void name_types(em_model *m) {
    struct {
        const char *name;
        int64_t elements;
    } types[40] = {{0}};
    int n = 0;
    bool packed = false;
    em_model_spec *s = &m->spec;
    for (int64_t i = 0, k; i < em_bundle_tensors(m->bundle); i++) {
        const em_tensor *t = em_bundle_tensor_at(m->bundle, i);
        if (m->part_of[i] == EM_PART_UNUSED) continue;
        packed |= !em_tensor_is_plain(t);
        for (k = 0; k < n && strcmp(types[k].name, t->type); k++) {}
        if (k == 40) continue;
        if (k == n) types[n++].name = t->type;
        types[k].elements += em_tensor_elements(t);
    }
    for (size_t used = 0; packed && n > 0 && used < sizeof s->weight_types;) {
        int most = 0;
        for (int k = 1; k < n; k++)
            if (types[k].elements > types[most].elements) most = k;
        used += (size_t)snprintf(s->weight_types + used, sizeof s->weight_types - used,
                                 "%s%s %.1f %%", used ? ", " : "", types[most].name,
                                 100.0 * (double)types[most].elements / (double)s->parameters);
        types[most] = types[--n];
    }
}

static bool fill(em_model *m, em_error *err) {
    m->next_part = EM_PART_EMBEDDING;
    if (!read_config(m, err) || !make_layers(m, err) || !make_parts(m, err)) return false;
    make_ends(m);
    if (!em_model_find_weights(m, err)) return false;
    fill_spec(m);
    name_types(m);
    m->hash = XXH3_createState();
    if (!m->hash) return em_fail_memory(err, 512, "a fingerprint");
    XXH3_128bits_reset(m->hash);
    return read_eos(m, err) && em_notes_join(&m->notes, em_bundle_notes(m->bundle), err) &&
           em_model_contradictions(m, err);
}

/* ---- opening and closing ---- */

em_model *em_model_over(const em_bundle *b, em_error *err) {
    em_model *m = em_alloc(1, sizeof *m, "a model", err);
    if (!m) return NULL;
    m->bundle = b;
    if (fill(m, err)) return m;
    em_model_close(m);
    return NULL;
}

em_model *em_model_open(const char *path, em_error *err) {
    em_bundle *b = em_bundle_open(path, err);
    if (!b) return NULL;
    em_model *m = em_model_over(b, err);
    if (m) m->owned = b;
    else em_bundle_close(b);
    return m;
}

void em_model_close(em_model *m) {
    if (!m) return;
    em_config_free(&m->config);
    free(m->layers);
    free(m->weights);
    free(m->inv_freq[0]);
    free(m->inv_freq[1]);
    free(m->part_of);
    em_notes_free(&m->notes);
    XXH3_freeState(m->hash);
    em_composition_free(m->composition);
    em_bundle_close(m->owned);
    free(m);
}

const em_model_spec *em_model_spec_of(const em_model *m) { return &m->spec; }
const em_bundle *em_model_bundle(const em_model *m) { return m->bundle; }
const char *em_model_name(const em_model *m) {
    return m->composition && m->composition->adapter.name ? m->composition->adapter.name
                                                          : em_bundle_name(m->bundle);
}
const char *em_model_path(const em_model *m) {
    return m->composition && m->composition->adapter.path ? m->composition->adapter.path
                                                          : em_bundle_path(m->bundle);
}
const em_notes *em_model_notes(const em_model *m) { return &m->notes; }
const em_layer_spec *em_model_layer_spec(const em_model *m, int layer) { return &m->layers[layer]; }
const em_embedding *em_model_embedding(const em_model *m) { return &m->embedding; }
const em_head_spec *em_model_head(const em_model *m) { return &m->head; }
const em_layer_weights *em_model_layer_weights(const em_model *m, int layer) {
    return &m->weights[layer];
}

/* ---- paging ---- */

/* What a part reads of another file than the base's. */
static void advise_made(const em_composition *c, int part,
                        void (*what)(const em_bundle *, const em_tensor *)) {
    for (size_t i = 0; i < c->n; i++)
        if (c->made[i].part == part && c->made[i].after)
            what(c->sources[1]->bundle, c->made[i].after);
}

/* A tied matrix is the embedding's, and the head needs it too. */
static void advise(const em_model *m, int part,
                   void (*what)(const em_bundle *, const em_tensor *)) {
    bool tied_head = part == m->spec.layers && m->spec.tied;
    for (int64_t i = 0; i < em_bundle_tensors(m->bundle); i++) {
        const em_tensor *t = em_bundle_tensor_at(m->bundle, i);
        if (m->part_of[i] == part || (tied_head && t->data == m->head.output.data))
            what(m->bundle, t);
    }
    if (m->composition) advise_made(m->composition, part, what);
}

void em_model_will_need(const em_model *m, int layer) { advise(m, layer, em_bundle_will_need); }
void em_model_done_with(const em_model *m, int layer) { advise(m, layer, em_bundle_done_with); }

/* ---- the tokenizer beside the model ---- */

bool em_model_tokenizer(const em_model *m, const char **name, const void **data, size_t *size,
                        const void **config, size_t *config_size) {
    static const char *const names[] = {"tokenizer.json", "tokenizer.model"};
    *config = NULL;
    *config_size = 0;
    for (int i = 0; i < 2; i++)
        if (em_bundle_file(m->bundle, names[i], data, size)) {
            *name = names[i];
            em_bundle_file(m->bundle, "tokenizer_config.json", config, config_size);
            return true;
        }
    return false;
}
