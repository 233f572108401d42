#include "model/config/config_reader.h"

#include <math.h>

bool em_config_fail(const em_config_reader *r, const char *key, const char *what) {
    return em_fail_at(r->err, EM_INPUT, r->source, 0, -1, "%s %s", key, what);
}

const json_t *em_read_value(const em_config_reader *r, const char *key) {
    const json_t *v = key ? json_object_get(r->root, key) : NULL;
    return v && !json_is_null(v) ? v : NULL;
}

bool em_read_int(const em_config_reader *r, const char *key, int64_t least, int64_t most,
                 int64_t *out) {
    const json_t *v = em_read_value(r, key);
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
    const json_t *v = em_read_value(r, key);
    if (!v) return true;
    if (!json_is_number(v)) return em_config_fail(r, key, "is no number");
    *out = json_number_value(v);
    return true;
}

bool em_read_bool(const em_config_reader *r, const char *key, bool *out) {
    const json_t *v = em_read_value(r, key);
    if (!v) return true;
    if (!json_is_boolean(v)) return em_config_fail(r, key, "is neither true nor false");
    *out = json_is_true(v);
    return true;
}

bool em_read_positive(const em_config_reader *r, const char *key, double *out) {
    if (!em_read_number(r, key, out)) return false;
    return !em_read_value(r, key) || (*out > 0 && isfinite(*out)) ||
           em_config_fail(r, key, "is not above 0");
}
