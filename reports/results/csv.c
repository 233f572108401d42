/* Long form: one line a figure, so that what a run measures never changes the columns.
 *
 *   kind                result, comparison, mean or gate
 *   data_set … seq_len  of what: empty where a row has none
 *   part                "" for the whole; subset, position, boundary, inside, clean, direct,
 *                       indirect, common, affected
 *   subset, from, to    which part
 *   figure, value       loss, stderr, …; value is empty where results.json has null
 *
 * RFC 4180: lines end in CRLF. A name that begins with = + - or @ has a ' before it. Which fields
 * are lines, and which are columns, is said by the fields (fields.h). */
#include "reports/results/csv.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "reports/results/fields.h"

static const char *const columns[] = {
    "kind",      "data_set",         "model", "before", "group",   "mask", "mask_before", "labels",
    "positions", "positions_before", "alpha", "depth",  "seq_len", "part", "subset",      "from",
    "to"};
enum { KIND = 0, PART = 13, N_COLUMNS = sizeof columns / sizeof *columns };

typedef struct writer {
    em_buffer *out;
    em_buffer cells[N_COLUMNS]; /* of the lines to come, escaped */
} writer;

/* A name that begins as a formula gets a ' before it, so that a spreadsheet shows it and runs
 * nothing. */
static void put_text(em_buffer *b, const char *text) {
    bool formula = *text && strchr("=+-@", *text);
    if (!text[strcspn(text, ",\"\r\n")]) {
        em_buffer_printf(b, "%s%s", formula ? "'" : "", text);
        return;
    }
    em_buffer_puts(b, formula ? "\"'" : "\"");
    for (; *text; text++) {
        if (*text == '"') em_buffer_puts(b, "\"");
        em_buffer_append(b, text, 1, NULL);
    }
    em_buffer_puts(b, "\"");
}

static void put_number(em_buffer *b, double x) {
    if (isfinite(x)) em_buffer_double(b, x);
}

static void put_value(em_buffer *b, const em_field *f, const void *object) {
    const void *at = em_field_at(f, object);
    if (!em_field_there(f, object)) return;
    switch (f->kind) {
    case EM_TEXT: put_text(b, at); break;
    case EM_STRING: put_text(b, *(char *const *)at); break;
    case EM_NUMBER: put_number(b, *(const double *)at); break;
    case EM_FIGURE: put_number(b, f->get(object)); break;
    case EM_COUNT: em_buffer_printf(b, "%" PRId64, *(const int64_t *)at); break;
    case EM_WHOLE: em_buffer_printf(b, "%d", *(const int *)at); break;
    case EM_FLAG: em_buffer_printf(b, "%d", *(const bool *)at); break;
    case EM_CHOICE: put_text(b, f->words[em_field_choice(f, object)]); break;
    case EM_DEPTH:
        if (*(const int *)at != EM_NO_DEPTH) em_buffer_printf(b, "%d", *(const int *)at);
        break;
    default: break;
    }
}

static const char *name_of(const em_field *f) { return f->column ? f->column : f->key; }

static int column_of(const em_field *f) {
    int i = 0;
    while (i < N_COLUMNS && strcmp(columns[i], name_of(f))) i++;
    return i;
}

/* The columns that say of what the object's figures are, filled or emptied. */
static void set_keys(writer *w, const em_object *o, const void *object, bool fill) {
    for (const em_field *f = o->fields; f < o->fields + o->n; f++) {
        if (f->kind == EM_INLINE) set_keys(w, f->inner, em_field_at(f, object), fill);
        if (f->csv != EM_CSV_KEY || !em_field_shown(f, object)) continue;
        em_buffer *cell = &w->cells[column_of(f)];
        em_buffer_clear(cell);
        if (fill) put_value(cell, f, object);
    }
}

static void put_line(writer *w, const em_field *f, const void *object) {
    for (int i = 0; i < N_COLUMNS; i++) {
        if (w->cells[i].length)
            em_buffer_append(w->out, w->cells[i].data, w->cells[i].length, NULL);
        em_buffer_puts(w->out, ",");
    }
    em_buffer_printf(w->out, "%s,", name_of(f));
    put_value(w->out, f, object);
    em_buffer_puts(w->out, "\r\n");
}

static void put_lines(writer *w, const em_object *o, const void *object);

/* The lines of an object inside another: its kind, or which part of a thing of that kind. */
static void put_part(writer *w, const em_field *f, const void *object) {
    em_buffer *cell = &w->cells[w->cells[KIND].length ? PART : KIND];
    if (f->column) em_buffer_puts(cell, f->column);
    set_keys(w, f->inner, object, true);
    put_lines(w, f->inner, object);
    set_keys(w, f->inner, object, false);
    if (f->column) em_buffer_clear(cell);
}

static void put_field(writer *w, const em_field *f, const void *object) {
    const char *at = em_field_at(f, object);
    int n = 0;
    switch (f->kind) {
    case EM_INLINE: put_lines(w, f->inner, at); break;
    case EM_OBJECT:
        if (em_field_there(f, object)) put_part(w, f, at);
        break;
    case EM_ARRAY:
        at = em_field_elements(f, object, &n);
        for (int i = 0; i < n; i++) put_part(w, f, at + (size_t)i * f->element);
        break;
    default: put_line(w, f, object);
    }
}

static void put_lines(writer *w, const em_object *o, const void *object) {
    for (int turn = 1; turn <= EM_CSV_LAST; turn++)
        for (const em_field *f = o->fields; f < o->fields + o->n; f++)
            if (f->csv == turn && em_field_shown(f, object)) put_field(w, f, object);
}

void em_report_csv(const em_results *r, em_buffer *out) {
    em_results_file file = {.r = *r};
    writer w = {.out = out};
    for (int i = 0; i < N_COLUMNS; i++) em_buffer_printf(out, "%s,", columns[i]);
    em_buffer_puts(out, "figure,value\r\n");
    put_lines(&w, &em_results_fields, &file);
    for (int i = 0; i < N_COLUMNS; i++) em_buffer_free(&w.cells[i]);
}
