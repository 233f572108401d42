#include "reports/pages/escape.h"

#include <string.h>

void em_put_escaped_n(em_buffer *out, const char *text, size_t n) {
    static const struct {
        char c;
        const char *entity;
    } entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
    for (size_t i = 0; i < n; i++) {
        const char *entity = NULL;
        for (size_t k = 0; k < sizeof entities / sizeof *entities; k++)
            if (text[i] == entities[k].c) entity = entities[k].entity;
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f) entity = "\xef\xbf\xbd";
        if (entity) em_buffer_puts(out, entity);
        else em_buffer_append(out, text + i, 1, NULL);
    }
}

void em_put_escaped(em_buffer *out, const char *text) { em_put_escaped_n(out, text, strlen(text)); }
