#include "reports/table.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static size_t width_of(const char *s, size_t bytes) {
    size_t n = 0;
    for (size_t i = 0; i < bytes; i++) n += ((unsigned char)s[i] & 0xc0) != 0x80;
    return n;
}

size_t em_text_width(const char *s) { return width_of(s, strlen(s)); }

void em_text_cell(em_table *t, const char *text) {
    size_t w = 0;
    for (const char *s = text; *s; s++) {       /* a pipe or a line end would break the table */
        char c = *s == '\n' || *s == '\r' ? ' ' : *s;
        if (c == '|') em_buffer_puts(&t->cells, "\\");
        em_buffer_append(&t->cells, &c, 1, NULL);
        w += c == '|';
    }
    w += em_text_width(text);
    em_buffer_append(&t->cells, "", 1, NULL);
    size_t *width = &t->width[t->n % t->columns];
    if (w > *width) *width = w;
    t->n++;
}

void em_number_cell(em_table *t, double x, int decimals) {
    char text[64] = "-";
    if (isfinite(x)) snprintf(text, sizeof text, "%.*f", decimals, x);
    if (isfinite(x) && fabs(x) >= 1e6 && decimals) snprintf(text, sizeof text, "%.3e", x);
    em_text_cell(t, text);
}

void em_signed_cell(em_table *t, double x, int decimals) {
    char text[64] = "-";
    if (isfinite(x)) snprintf(text, sizeof text, "%+.*f", decimals, x);
    em_text_cell(t, text);
}

void em_integer_cell(em_table *t, int64_t x) {
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, x);
    em_text_cell(t, text);
}

void em_percent_cell(em_table *t, double x) {
    char text[32] = "-";
    if (isfinite(x)) snprintf(text, sizeof text, "%.2f%%", 100 * x);
    em_text_cell(t, text);
}

em_table em_table_new(int left, int columns, const char *const *heads) {
    em_table t = {.columns = columns, .left = left};
    for (int i = 0; i < columns; i++) em_text_cell(&t, heads[i]);
    return t;
}

static void pad(em_buffer *out, size_t n, char c) {
    for (; n > 0; n--) em_buffer_append(out, &c, 1, NULL);
}

static void rule(const em_table *t, em_buffer *out) {
    for (int i = 0; i < t->columns; i++) {
        em_buffer_puts(out, "|");
        bool right = i >= t->left;
        pad(out, t->width[i] + 2 - right, '-');
        if (right) em_buffer_puts(out, ":");
    }
    em_buffer_puts(out, "|\n");
}

void em_table_print(em_table *t, em_buffer *out) {
    const char *s = t->cells.data;
    for (int i = 0; i < t->n; i++, s += strlen(s) + 1) {
        int c = i % t->columns;
        size_t gap = t->width[c] - em_text_width(s);
        em_buffer_puts(out, "| ");
        if (c >= t->left) pad(out, gap, ' ');
        em_buffer_puts(out, s);
        if (c < t->left) pad(out, gap, ' ');
        em_buffer_puts(out, " ");
        if (c < t->columns - 1) continue;
        em_buffer_puts(out, "|\n");
        if (i == t->columns - 1) rule(t, out);
    }
    em_buffer_puts(out, "\n");
    em_buffer_free(&t->cells);
}

void em_list_item(em_buffer *out, const char *text) {
    size_t at = 2;
    em_buffer_puts(out, "-");
    while (*text) {                 /* wrapped at 80 columns */
        size_t n = strcspn(text, " "), width = width_of(text, n);
        if (at > 2 && at + 1 + width > 80) {
            em_buffer_puts(out, "\n ");
            at = 2;
        }
        em_buffer_printf(out, " %.*s", (int)n, text);
        at += 1 + width;
        text += n + strspn(text + n, " ");
    }
    em_buffer_puts(out, "\n");
}
