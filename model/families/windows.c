/* Windows: what several families' readers share. */
#include "model/families/kin.h"

#include <string.h>

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
