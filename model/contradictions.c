#include "model/contradictions.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common/dtype.h"

/* ---- two stored matrices ---- */

static float value_at(const em_tensor *t, em_dtype dtype, size_t i) {
    const char *at = (const char *)t->data + i * em_dtype_size(dtype);
    if (dtype == EM_F32) {
        float f;
        memcpy(&f, at, 4);
        return f;
    }
    uint16_t x;
    memcpy(&x, at, 2);
    return dtype == EM_BF16 ? em_bf16_to_f32(x) : em_f16_to_f32(x);
}

static em_dtype dtype_of(const em_tensor *t) {
    return !strcmp(t->type, "F32") ? EM_F32 : !strcmp(t->type, "F16") ? EM_F16 : EM_BF16;
}

bool em_same_values(const em_tensor *a, const em_tensor *b) {
    em_dtype x = dtype_of(a), y = dtype_of(b);
    if (a->n_dims != b->n_dims || memcmp(a->shape, b->shape, (size_t)a->n_dims * sizeof *a->shape))
        return false;
    if (x == y) return a->bytes == b->bytes && !memcmp(a->data, b->data, a->bytes);
    for (size_t i = 0, n = a->bytes / em_dtype_size(x); i < n; i++)
        if (value_at(a, x, i) != value_at(b, y, i)) return false;
    return true;
}

/* ---- config.json and the rest ---- */

static json_t *load(const em_model *m, const char *name) {
    const void *data;
    size_t size;
    return em_bundle_file(m->bundle, name, &data, &size) ? json_loadb(data, size, 0, NULL) : NULL;
}

/* The dtype's name of a config ("bfloat16", "torch.float16") as tensors spell it; NULL: another. */
static const char *stored_name(const char *dtype) {
    static const char *const names[][2] = {
        {"float32", "F32"}, {"float16", "F16"}, {"bfloat16", "BF16"}};
    if (!strncmp(dtype, "torch.", 6)) dtype += 6;
    for (int i = 0; i < 3; i++)
        if (!strcmp(dtype, names[i][0])) return names[i][1];
    return NULL;
}

/* transformers 5 would round to the config's dtype as it loads. */
static bool note_dtype(em_model *m, const json_t *config, em_error *err) {
    const json_t *value = json_object_get(config, "dtype");
    if (!json_is_string(value)) value = json_object_get(config, "torch_dtype");
    const char *says = json_string_value(value), *wanted = says ? stored_name(says) : NULL;
    const char *stored[] = {"F32", "F16", "BF16"};
    const char *found = stored[m->weights[0].of[EM_W_O].dtype];
    if (!wanted || !strcmp(wanted, found)) return true;
    return em_notes_add(&m->notes, err,
                        "%s says dtype %s, the layers' matrices are stored as %s: the stored "
                        "numbers count (transformers 5 rounds them to %s as it loads)",
                        m->source, says, found, says);
}

static bool note_causal(em_model *m, const json_t *config, em_error *err) {
    if (!json_is_false(json_object_get(config, "is_causal"))) return true;
    return em_notes_add(&m->notes, err,
                        "%s says is_causal: false, a network that looks both ways: the mask that "
                        "was asked for counts",
                        m->source);
}

static bool holds(const json_t *value, json_int_t id) {
    if (json_is_integer(value)) return json_integer_value(value) == id;
    for (size_t i = 0; i < json_array_size(value); i++)
        if (json_integer_value(json_array_get(value, i)) == id) return true;
    return false;
}

static bool note_eos(em_model *m, const json_t *config, const json_t *generation, em_error *err) {
    const json_t *there = json_object_get(generation, "eos_token_id");
    const json_t *here = json_object_get(config, "eos_token_id");
    bool named = json_is_integer(there) || json_array_size(there) > 0;
    if (!here || json_is_null(here) || !named || m->spec.eos < 0 || holds(there, m->spec.eos))
        return true;
    return em_notes_add(
        &m->notes, err,
        "%s says eos_token_id %d, generation_config.json says %lld: config.json counts", m->source,
        m->spec.eos,
        (long long)json_integer_value(json_is_array(there) ? json_array_get(there, 0) : there));
}

bool em_model_contradictions(em_model *m, em_error *err) {
    json_t *config = load(m, "config.json"), *generation = load(m, "generation_config.json");
    bool good = note_dtype(m, config, err) && note_causal(m, config, err) &&
                note_eos(m, config, generation, err);
    json_decref(config);
    json_decref(generation);
    return good;
}
