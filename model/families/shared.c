/* What several families' readers share. */
#include "model/families/kin.h"

#include <string.h>

#include "model/config/rope_reader.h"

void em_window_everywhere(em_config *c, int64_t window) {
    for (int i = 0; i < c->layers; i++) c->window[i] = (int)window;
}

bool em_read_window(const em_config_reader *r, const char *key, int64_t *window) {
    if (json_is_null(json_object_get(r->root, key))) *window = 0;
    return em_read_int(r, key, 1, INT32_MAX, window);
}

bool em_read_layer_types(const em_config_reader *r, em_config *c, int64_t window, bool *present) {
    const json_t *types = json_object_get(r->root, "layer_types");
    *present = types && !json_is_null(types);
    if (!*present) return true;
    if (json_array_size(types) != (size_t)c->layers)
        return em_config_fail(r, "layer_types", "is no list with one entry per layer");
    for (int i = 0; i < c->layers; i++) {
        const char *type = json_string_value(json_array_get(types, (size_t)i));
        bool sliding = type && !strcmp(type, "sliding_attention");
        if (!sliding && (!type || strcmp(type, "full_attention")))
            return em_config_fail(r, "layer_types",
                                  "holds something else than full_attention and sliding_attention");
        if (sliding && window == 0)
            return em_config_fail(r, "layer_types",
                                  "names sliding layers, but there is no sliding_window");
        c->window[i] = sliding ? (int)window : 0;
    }
    return true;
}

bool em_read_windows(const em_config_reader *r, em_config *c, int64_t window, int64_t pattern) {
    bool listed;
    if (!em_read_window(r, "sliding_window", &window) ||
        !em_read_layer_types(r, c, window, &listed))
        return false;
    if (!listed && window == 0)
        return em_config_fail(r, "sliding_window", "null is not supported here");
    for (int i = 0; i < c->layers && !listed; i++)
        c->window[i] = (i + 1) % pattern ? (int)window : 0;
    return true;
}

bool em_read_rope_by_kind(const em_config_reader *r, em_config *c, const char *called,
                          const char *sliding_key) {
    const json_t *both = json_object_get(r->root, "rope_parameters"),
                 *scaling = json_object_get(r->root, "rope_scaling");
    const json_t *full = json_object_get(both, "full_attention"),
                 *sliding = json_object_get(both, "sliding_attention");
    if (json_object_size(both) && !full && !sliding)
        return em_fail_at(r->err, EM_INPUT, r->source, 0, -1,
                          "rope_parameters of %s must be by layer type", called);
    c->rope[0].partial = c->rope[1].partial = 1;
    if (!em_read_number(r, "rope_theta", &c->rope[0].theta) ||
        !em_read_number(r, sliding_key, &c->rope[1].theta))
        return false;
    for (int i = 0; i < c->layers; i++) c->rope_of[i] = c->window[i] ? 1 : 0;
    return em_read_rope(r, json_is_object(scaling) ? scaling : full, "rope_parameters",
                        c->max_positions, &c->rope[0]) &&
           em_read_rope(r, sliding, "rope_parameters", c->max_positions, &c->rope[1]);
}

bool em_refuse_unless(const em_config_reader *r, const char *key, bool value) {
    bool is = value;
    if (!em_read_bool(r, key, &is)) return false;
    return is == value ||
           em_config_fail(r, key, value ? "false is not supported" : "true is not supported");
}
