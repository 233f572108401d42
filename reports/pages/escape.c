#include "reports/pages/escape.h"

#include <string.h>

#include "common/shown.h"

void em_put_escaped_n(em_buffer *out, const char *text, size_t n) {
    static const struct {
        char c;
        const char *entity;
    } entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
    char shown[EM_SHOWN_BYTES];
    for (size_t i = 0; i < n;) {
        char c = text[i];
        const char *put = shown;
        i += em_shown_character(text + i, n - i, shown);
        if (c == '\t' || c == '\n' || c == '\r')
            shown[0] = c, shown[1] = 0; /* white space there too */
        for (size_t k = 0; k < sizeof entities / sizeof *entities; k++)
            if (c == entities[k].c) put = entities[k].entity;
        em_buffer_puts(out, put);
    }
}

void em_put_escaped(em_buffer *out, const char *text) { em_put_escaped_n(out, text, strlen(text)); }
