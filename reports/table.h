/* Markdown's tables and lists as the reports print them: even columns, so that they read as plain text too. */
#ifndef EM_REPORTS_TABLE_H
#define EM_REPORTS_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include "common/buffer.h"

enum { EM_MAX_COLUMNS = 12 };

/* A table is gathered cell by cell, row after row. The first `left` columns are text, flush left; the others are
 * figures, flush right. */
typedef struct em_table {
    em_buffer cells;            /* NUL-terminated, one after another */
    int columns, left, n;
    size_t width[EM_MAX_COLUMNS];
} em_table;

em_table em_table_new(int left, int columns, const char *const *heads);    /* columns <= EM_MAX_COLUMNS */
void em_text_cell(em_table *t, const char *text);
void em_number_cell(em_table *t, double x, int decimals);                  /* "-" where x is not finite */
void em_signed_cell(em_table *t, double x, int decimals);                  /* with its sign, + too */
void em_integer_cell(em_table *t, int64_t x);
void em_percent_cell(em_table *t, double share);
/* Appends the table and an empty line to out, and frees it. */
void em_table_print(em_table *t, em_buffer *out);

/* A line of a list, wrapped at 80 columns. */
void em_list_item(em_buffer *out, const char *text);

/* Columns that a terminal shows for UTF-8 text (one a character; enough for names). */
size_t em_text_width(const char *s);

#endif
