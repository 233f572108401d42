#include "eval/inspect/verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { COLUMNS = 80, INDENT = 2, TEXT_BYTES = 2048 };

static size_t columns_of(const char *s, size_t n) {
    size_t columns = 0;
    for (size_t i = 0; i < n; i++) columns += ((unsigned char)s[i] & 0xc0) != 0x80;
    return columns;
}

/* Bytes up to the next space that a line may break at: not one before a % sign. */
static size_t word(const char *s) {
    size_t n = strcspn(s, " ");
    while (s[n] == ' ' && s[n + 1] == '%') n += 1 + strcspn(s + n + 1, " ");
    return n;
}

/* The text behind a bullet; further lines are indented under it. */
static void wrap(em_buffer *out, const char *text) {
    size_t at = INDENT;
    em_buffer_puts(out, "- ");
    for (bool first = true; *text; first = false) {
        size_t n = word(text), columns = columns_of(text, n);
        if (!first && at + 1 + columns > COLUMNS) {
            em_buffer_puts(out, "\n  ");
            at = INDENT;
        } else if (!first) {
            em_buffer_puts(out, " ");
            at++;
        }
        em_buffer_printf(out, "%.*s", (int)n, text);
        at += columns;
        text += n + strspn(text + n, " ");
    }
    em_buffer_puts(out, "\n");
}

void em_item(em_buffer *out, const char *format, ...) {
    char text[TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    wrap(out, text);
}

void em_verdict_add(em_verdicts *v, em_verdict verdict, const char *what, const char *format, ...) {
    static const char *const words[] = {
        [EM_PASSED] = "pass", [EM_FAILED] = "FAIL", [EM_NOT_TOLD] = "not told"};
    char text[TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    em_item(&v->lines, "**%s** %s: %s", words[verdict], what, text);
    v->n++;
    v->failed += verdict == EM_FAILED;
}

int em_verdicts_print(em_verdicts *v, em_buffer *out) {
    int failed = v->failed;
    em_buffer_printf(out, "\n## Verdicts\n\n%s\n%d of %d failed.\n",
                     v->lines.data ? v->lines.data : "", failed, v->n);
    em_buffer_free(&v->lines);
    *v = (em_verdicts){0};
    return failed;
}
