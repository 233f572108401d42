#include "eval/inspect/quote.h"

#include <stdbool.h>
#include <utf8proc.h>

enum { TEXT_COLUMNS = 40 };

/* Bytes of the valid UTF-8 sequence of a character that can be seen at s, or 0. */
static size_t printable(const unsigned char *s, size_t n) {
    utf8proc_int32_t c;
    utf8proc_ssize_t length = utf8proc_iterate(s, (utf8proc_ssize_t)n, &c);
    if (length <= 0) return 0;
    utf8proc_category_t kind = utf8proc_category(c);
    bool unseen = kind == UTF8PROC_CATEGORY_ZL || kind == UTF8PROC_CATEGORY_ZP ||
                  kind == UTF8PROC_CATEGORY_CC || kind == UTF8PROC_CATEGORY_CF ||
                  kind == UTF8PROC_CATEGORY_CO || kind == UTF8PROC_CATEGORY_CN;
    return unseen ? 0 : (size_t)length;
}

void em_quote(em_buffer *out, const char *text, size_t n) {
    const unsigned char *s = (const unsigned char *)text;
    int columns = 0;
    em_buffer_puts(out, "\"");
    for (size_t i = 0, length; i < n && columns < TEXT_COLUMNS;
         i += length ? length : 1, columns++) {
        length = printable(s + i, n - i);
        if (s[i] == '\n') em_buffer_puts(out, "\\n");
        else if (s[i] == '\t') em_buffer_puts(out, "\\t");
        else if (s[i] == '\r') em_buffer_puts(out, "\\r");
        else if (s[i] == '"' || s[i] == '\\') em_buffer_printf(out, "\\%c", s[i]);
        else if (length) em_buffer_printf(out, "%.*s", (int)length, text + i);
        else em_buffer_printf(out, "\\x%02x", s[i]);
    }
    em_buffer_puts(out, columns == TEXT_COLUMNS ? "…\"" : "\"");
}
