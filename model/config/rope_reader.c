#include "model/config/rope_reader.h"

#include <math.h>
#include <string.h>

static bool read_rope_type(const em_config_reader *r, const json_t *object, const char *name,
                           em_rope_config *out) {
    static const char *const names[] = {"default", "linear",   "llama3",
                                        "yarn",    "longrope", "divided"};
    const json_t *v = json_object_get(object, "rope_type");
    const char *type = json_string_value(v ? v : json_object_get(object, "type"));
    out->type = EM_ROPE_DEFAULT;
    if (!type) return true;
    for (int i = 0; i < 6; i++)
        if (!strcmp(names[i], type)) {
            out->type = (em_rope_type)i;
            return true;
        }
    if (!strcmp(type, "mrope")) return true; /* three positions for images; one for text */
    if (!strcmp(type, "su")) {               /* longrope's first name */
        out->type = EM_ROPE_LONG;
        return true;
    }
    return em_fail_at(r->err, EM_INPUT, r->source, 0, -1,
                      "%s: rope_type %s is not supported; default, linear, llama3, yarn and "
                      "longrope are",
                      name, type);
}

/* longrope's factors of rows that are not longer than the original length. */
static bool read_factors(const em_config_reader *r, em_rope_config *out) {
    const char *key = out->type == EM_ROPE_DIVIDED ? "factors" : "short_factor";
    const json_t *list = em_read_value(r, key);
    size_t n = json_array_size(list);
    if (!list) return true;
    if (n == 0 || n > EM_MAX_ROPE_PAIRS) return em_config_fail(r, key, "is no list of 1 to 128");
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_array_get(list, i);
        out->factors[i] = json_number_value(x);
        if (!json_is_number(x) || !(out->factors[i] > 0x1p-10))
            return em_config_fail(r, key, "holds something else than numbers above 1/1024");
    }
    out->n_factors = (int)n;
    return true;
}

static bool need(const em_config_reader *r, const char *key, double value) {
    return (value > 0 && isfinite(value)) ||
           em_config_fail(r, key, "of the rotary embedding is missing or not above 0");
}

/* The keys that a type has; a YaRN without a factor takes the ratio of the two lengths. */
static bool check_rope(const em_config_reader *r, int64_t max_positions, em_rope_config *out) {
    if (!need(r, "rope_theta", out->theta) || out->theta <= 1)
        return em_config_fail(r, "rope_theta", "is not above 1");
    if (out->type == EM_ROPE_YARN && out->factor == 0 && out->original > 0)
        out->factor = (double)max_positions / out->original;
    bool whole = out->type != EM_ROPE_DEFAULT && out->type != EM_ROPE_LONG &&
                 out->type != EM_ROPE_DIVIDED; /* one factor */
    if (whole && !need(r, "factor", out->factor)) return false;
    if (whole && out->factor < 0x1p-10)
        return em_config_fail(r, "factor", "of the rotary embedding is below 1/1024");
    if (out->type == EM_ROPE_LLAMA3 && (!need(r, "low_freq_factor", out->low_freq) ||
                                        !need(r, "high_freq_factor", out->high_freq)))
        return false;
    if (out->type == EM_ROPE_LLAMA3 && out->high_freq <= out->low_freq)
        return em_config_fail(r, "high_freq_factor", "is not above low_freq_factor");
    if (out->type == EM_ROPE_YARN &&
        (!need(r, "beta_fast", out->beta_fast) || !need(r, "beta_slow", out->beta_slow)))
        return false;
    if (out->type == EM_ROPE_LONG && !out->n_factors)
        return em_config_fail(r, "short_factor", "of the rotary embedding is missing");
    if (out->type == EM_ROPE_LONG && out->original < 2)
        return em_config_fail(r, "original_max_position_embeddings", "is not above 1");
    return need(r, "original_max_position_embeddings", out->original);
}

bool em_read_rope(const em_config_reader *r, const json_t *object, const char *name,
                  int64_t max_positions, em_rope_config *out) {
    em_config_reader inner = {object, r->source, r->err};
    out->original = out->longest = (double)max_positions;
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
        !em_read_bool(&inner, "truncate", &out->truncate) || !read_factors(&inner, out))
        return false;
    if (out->beta_fast == 0) out->beta_fast = 32;
    if (out->beta_slow == 0) out->beta_slow = 1;
    return check_rope(r, max_positions, out);
}
