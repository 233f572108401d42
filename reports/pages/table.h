/* Tables, gathered cell by cell and then printed by a page in its own way (reports/pages/page.h).
 */
#ifndef EM_REPORTS_TABLE_H
#define EM_REPORTS_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include "common/buffer.h"

/* Row after row. The first `left` columns are text, flush left; the others are figures, flush
 * right. */
typedef struct em_table {
    em_buffer cells; /* NUL-terminated, one after another, the heads first */
    int columns, left, n;
} em_table;

/* An empty table with the heads, [columns]. The caller prints (em_page_table) or frees it; cells
 * are copied, and where memory is out the program ends with exit code 4. */
em_table em_table_new(int left, int columns, const char *const *heads);
/* A table whose heads are its first cells, for the caller to add. */
em_table em_table_open(int left, int columns);
/* Each adds the next cell, row by row. Text as it is, on one line: a line end becomes a space. */
void em_text_cell(em_table *t, const char *text);
/* "-" where x is not finite; large figures in three digits and a power of ten. */
void em_number_cell(em_table *t, double x, int decimals);
/* Likewise, with its sign, + too. */
void em_signed_cell(em_table *t, double x, int decimals);
/* In full, without grouping. */
void em_integer_cell(em_table *t, int64_t x);
/* share: 0 to 1, shown as percent; "-" where it is not finite. */
void em_percent_cell(em_table *t, double share);
/* Both ends with their signs, in four decimals; "-" where low is not finite. */
void em_interval_cell(em_table *t, double low, double high);
/* The same for a sentence, "95 % interval +0.0100 to +0.0200" or "no 95 % interval"; text: the
 * caller's room, returned. */
const char *em_interval_text(char text[64], double low, double high);
/* Complete rows, without the heads. */
int em_table_rows(const em_table *t);
/* Frees the cells of a table that is not printed. */
void em_table_free(em_table *t);

/* Columns that a terminal shows for UTF-8 text (one a character; enough for names). */
size_t em_text_width(const char *s);

#endif
