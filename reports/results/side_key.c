#include "reports/results/side_key.h"

void em_side_key_put(em_buffer *out, const char *part) {
    for (const char *c = part; *c; c++) {
        if (*c == '|' || *c == '\\') em_buffer_puts(out, "\\");
        em_buffer_append(out, c, 1, NULL);
    }
}

const char *em_side_key_take(const char *key, em_buffer *out) {
    em_buffer_puts(out, ""); /* an empty part is a string too */
    for (; *key && *key != '|'; key++) {
        if (*key == '\\' && (key[1] == '|' || key[1] == '\\')) key++;
        em_buffer_append(out, key, 1, NULL);
    }
    return *key ? key + 1 : key;
}
