#include "model/contradictions.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "model/stored.h"

/* ---- two stored matrices ---- */

bool em_same_values(const em_tensor *a, const em_tensor *b) {
    enum { SOME = 1024 };
    float x[SOME], y[SOME];
    if (a->n_dims != b->n_dims || memcmp(a->shape, b->shape, (size_t)a->n_dims * sizeof *a->shape))
        return false;
    if (!strcmp(a->type, b->type)) return !memcmp(a->data, b->data, a->bytes);
    for (int64_t at = 0, n, all = em_tensor_elements(a); at < all; at += n) {
        n = all - at < SOME ? all - at : SOME;
        em_tensor_part(a, at, n, x);
        em_tensor_part(b, at, n, y);
        for (int64_t i = 0; i < n; i++)
            if (x[i] != y[i]) return false;
    }
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
