#include "reports/pages/table.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

size_t em_text_width(const char *s) {
    size_t n = 0;
    for (; *s; s++) n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

void em_text_cell(em_table *t, const char *text) {
    for (size_t n; *text; text += n) {
        n = strcspn(text, "\n\r");
        em_buffer_shown(&t->cells, text, n);
        if (text[n]) em_buffer_puts(&t->cells, " "), n++; /* a line end would break the table */
    }
    em_buffer_append(&t->cells, "", 1, NULL);
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
    if (isfinite(x)) snprintf(text, sizeof text, fabs(x) >= 1e6 ? "%+.*e" : "%+.*f", decimals, x);
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

void em_interval_cell(em_table *t, double low, double high) {
    char text[64] = "-";
    if (isfinite(low)) snprintf(text, sizeof text, "%+.4f %+.4f", low, high);
    em_text_cell(t, text);
}

const char *em_interval_text(char text[64], double low, double high) {
    if (isfinite(low)) snprintf(text, 64, "95 %% interval %+.4f to %+.4f", low, high);
    else snprintf(text, 64, "no 95 %% interval");
    return text;
}

em_table em_table_open(int left, int columns) {
    return (em_table){.columns = columns, .left = left};
}

em_table em_table_new(int left, int columns, const char *const *heads) {
    em_table t = em_table_open(left, columns);
    for (int i = 0; i < columns; i++) em_text_cell(&t, heads[i]);
    return t;
}

int em_table_rows(const em_table *t) { return t->n / t->columns - 1; }

void em_table_free(em_table *t) {
    em_buffer_free(&t->cells);
    *t = (em_table){0};
}
