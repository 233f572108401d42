#include "reports/results/schema.h"

#include <string.h>

#include "reports/results/fields.h"

/* The properties of an object while they are written. */
typedef struct writer {
    em_buffer *b;
    int indent;
    bool any;
} writer;

static void put_string(em_buffer *b, const char *s) { em_buffer_json(b, s, strlen(s)); }

static void next(writer *w) {
    em_buffer_printf(w->b, "%s\n%*s", w->any ? "," : "", w->indent, "");
    w->any = true;
}

static void put_object(em_buffer *b, const em_object *o, int indent);

static void put_type(em_buffer *b, const em_field *f, int indent) {
    bool null = f->flags & EM_OR_NULL;
    switch (f->kind) {
    case EM_TEXT:
    case EM_STRING: em_buffer_puts(b, "\"type\": \"string\""); break;
    case EM_NUMBER:
    case EM_FIGURE: em_buffer_puts(b, "\"type\": [\"number\", \"null\"]"); break;
    case EM_COUNT: em_buffer_puts(b, "\"type\": \"integer\", \"minimum\": 0"); break;
    case EM_WHOLE: em_buffer_puts(b, "\"type\": \"integer\""); break;
    case EM_FLAG: em_buffer_puts(b, "\"type\": \"boolean\""); break;
    case EM_CHOICE:
        em_buffer_printf(b, "\"enum\": [\"%s\", \"%s\"]", f->words[0], f->words[1]);
        break;
    case EM_DEPTH: em_buffer_puts(b, "\"type\": [\"integer\", \"null\"], \"minimum\": 0"); break;
    case EM_OBJECT:
        em_buffer_puts(b, null ? "\"type\": [\"object\", \"null\"]" : "\"type\": \"object\"");
        put_object(b, f->inner, indent);
        break;
    case EM_ARRAY:
        em_buffer_puts(b, "\"type\": \"array\"");
        if (f->capacity) em_buffer_printf(b, ", \"maxItems\": %d", f->capacity);
        if (f->none) em_buffer_puts(b, ", \"minItems\": 1");
        em_buffer_puts(b, ", \"items\": {\"type\": \"object\"");
        put_object(b, f->inner, indent);
        em_buffer_puts(b, "}");
        break;
    case EM_STRINGS:
        em_buffer_puts(b, "\"type\": \"array\", \"items\": {\"type\": \"string\"}");
        break;
    case EM_MAP:
        em_buffer_puts(b, "\"type\": \"object\", \"additionalProperties\": {\"type\": \"string\"}");
        break;
    case EM_INLINE: break;
    }
}

static void put_properties(writer *w, const em_object *o) {
    for (const em_field *f = o->fields; f < o->fields + o->n; f++) {
        if (f->kind == EM_INLINE) put_properties(w, f->inner);
        if (f->kind == EM_INLINE || !f->key) continue;
        next(w);
        put_string(w->b, f->key);
        em_buffer_puts(w->b, ": {\"description\": ");
        put_string(w->b, f->about);
        em_buffer_puts(w->b, ", ");
        put_type(w->b, f, w->indent + 2);
        em_buffer_puts(w->b, "}");
    }
}

static bool always_written(const em_field *f) {
    bool left_out = f->there && !(f->flags & EM_OR_NULL);
    return f->key && !f->shown && !left_out && !(f->flags & EM_OMIT_EMPTY);
}

static void put_required(writer *w, const em_object *o) {
    for (const em_field *f = o->fields; f < o->fields + o->n; f++) {
        if (f->kind == EM_INLINE) put_required(w, f->inner);
        else if (always_written(f)) {
            em_buffer_puts(w->b, w->any ? ", " : "");
            put_string(w->b, f->key);
            w->any = true;
        }
    }
}

/* Behind "type" in a schema whose brace the caller closes. */
static void put_object(em_buffer *b, const em_object *o, int indent) {
    writer properties = {.b = b, .indent = indent}, required = {.b = b};
    em_buffer_puts(b, ", \"properties\": {");
    put_properties(&properties, o);
    em_buffer_puts(b, "},\n");
    em_buffer_printf(b, "%*s\"required\": [", indent, "");
    put_required(&required, o);
    em_buffer_puts(b, "]");
}

void em_results_schema(em_buffer *out) {
    em_buffer_puts(out, "{\n\"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
                        "\"title\": \"results.json of evalmask " EM_VERSION "\",\n"
                        "\"type\": \"object\"");
    put_object(out, &em_results_fields, 2);
    em_buffer_puts(out, "\n}\n");
}
