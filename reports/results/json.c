/* results.json (design §9): no time, rate, host, path, thread, rank or memory figure in it. What is
 * written is said by the fields (fields.h); here is how. */
#include "reports/results/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "reports/results/fields.h"

/* An object while it is written: its fields' indentation, and what is still to be said before the
 * next one. */
typedef struct writer {
    em_buffer *b;
    int indent;
    bool any;  /* a field is written already */
    int flags; /* of an inline field, for the first of its fields */
} writer;

static void new_line(em_buffer *b, int indent) { em_buffer_printf(b, "\n%*s", indent, ""); }

static void put_string(em_buffer *b, const char *s) { em_buffer_json(b, s, strlen(s)); }

/* What stands before a field, and its key. */
static void open_field(writer *w, const em_field *f) {
    int flags = f->flags | w->flags;
    if (w->any) em_buffer_puts(w->b, flags & (EM_NEW_LINE | EM_GAP) ? "," : ", ");
    if (w->any && flags & EM_GAP) new_line(w->b, w->indent);
    if (w->any && flags & (EM_NEW_LINE | EM_GAP)) new_line(w->b, w->indent);
    put_string(w->b, f->key);
    em_buffer_puts(w->b, ": ");
    w->any = true;
    w->flags = 0;
}

static void put_fields(writer *w, const em_object *o, const void *object);

static void put_object(em_buffer *b, const em_object *o, const void *object, int indent) {
    writer w = {.b = b, .indent = indent};
    em_buffer_puts(b, "{");
    put_fields(&w, o, object);
    em_buffer_puts(b, "}");
}

static void put_elements(writer *w, const em_field *f, const void *object) {
    int n;
    const char *elements = em_field_elements(f, object, &n);
    for (int i = 0; i < n; i++) {
        const em_key_value *line = (const em_key_value *)elements + i;
        if (i) em_buffer_puts(w->b, ",");
        new_line(w->b, w->indent + 2);
        switch (f->kind) {
        case EM_STRINGS: put_string(w->b, ((char *const *)elements)[i]); break;
        case EM_MAP:
            put_string(w->b, line->key);
            em_buffer_puts(w->b, ": ");
            put_string(w->b, line->value);
            break;
        default: put_object(w->b, f->inner, elements + (size_t)i * f->element, w->indent + 4);
        }
    }
}

static void put_list(writer *w, const em_field *f, const void *object) {
    em_buffer_puts(w->b, f->kind == EM_MAP ? "{" : "[");
    put_elements(w, f, object);
    em_buffer_puts(w->b, f->kind == EM_MAP ? "}" : "]");
}

static void put_depth(em_buffer *b, int depth) {
    if (depth == EM_NO_DEPTH) em_buffer_puts(b, "null");
    else em_buffer_printf(b, "%d", depth);
}

static void put_value(writer *w, const em_field *f, const void *object) {
    const void *at = em_field_at(f, object);
    switch (f->kind) {
    case EM_TEXT: put_string(w->b, at); break;
    case EM_STRING: put_string(w->b, *(char *const *)at); break;
    case EM_NUMBER: em_buffer_double(w->b, *(const double *)at); break;
    case EM_FIGURE: em_buffer_double(w->b, f->get(object)); break;
    case EM_COUNT: em_buffer_printf(w->b, "%" PRId64, *(const int64_t *)at); break;
    case EM_WHOLE: em_buffer_printf(w->b, "%d", *(const int *)at); break;
    case EM_FLAG: em_buffer_puts(w->b, *(const bool *)at ? "true" : "false"); break;
    case EM_CHOICE: put_string(w->b, f->words[em_field_choice(f, object)]); break;
    case EM_DEPTH: put_depth(w->b, *(const int *)at); break;
    case EM_OBJECT: put_object(w->b, f->inner, at, w->indent); break;
    default: put_list(w, f, object);
    }
}

static void put_fields(writer *w, const em_object *o, const void *object) {
    for (const em_field *f = o->fields; f < o->fields + o->n; f++) {
        bool there = em_field_there(f, object);
        if (!em_field_shown(f, object) || (!there && !(f->flags & EM_OR_NULL))) continue;
        if (f->kind == EM_INLINE) {
            w->flags = f->flags;
            put_fields(w, f->inner, em_field_at(f, object));
        } else if (f->key) {
            open_field(w, f);
            if (there) put_value(w, f, object);
            else em_buffer_puts(w->b, "null");
        }
    }
}

/* All data sets together; those that hold the same documents, packed again, count once. */
static em_data_totals totals(const em_results *r) {
    em_data_totals all = {0};
    for (int i = 0; i < r->n_data_sets; i++) {
        const em_data_totals *t = &r->data_sets[i].totals;
        if (strcmp(r->data_sets[i].pack, r->data_sets[0].pack)) continue;
        all = (em_data_totals){all.documents + t->documents,
                               all.empty_documents + t->empty_documents,
                               all.bad_records + t->bad_records,
                               all.filtered_records + t->filtered_records,
                               all.tokens + t->tokens,
                               all.bytes + t->bytes,
                               all.rows + t->rows,
                               all.batches + t->batches};
    }
    return all;
}

void em_report_json(const em_results *r, em_buffer *out) {
    em_results_file file = {*r, totals(r)};
    writer w = {.b = out, .indent = 2};
    if (!*r->version) snprintf(file.r.version, sizeof file.r.version, "%s", em_results_version(r));
    em_buffer_puts(out, "{\n  ");
    put_fields(&w, &em_results_fields, &file);
    em_buffer_puts(out, "\n}\n");
}

void em_gates_json(const em_gate *gates, int n, em_buffer *out) {
    em_results r = {.gates = (em_gate *)gates, .n_gates = n};
    writer w = {.b = out, .indent = 2};
    open_field(&w, &em_gates_field);
    put_list(&w, &em_gates_field, &r);
}
