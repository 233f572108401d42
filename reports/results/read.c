#include "reports/results/read.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/size.h"
#include "reports/results/fields.h"

/* Where in the file we are, for messages: "results[3].subsets[1]". */
typedef struct reader {
    const char *path;
    char place[96];
    em_error *err;
} reader;

/* All numbers are read as doubles, so that -0 keeps its sign; counts are exact up to 2^53. */
#define MOST_COUNT 9007199254740992.0

static bool bad(const reader *r, const char *key, const char *what) {
    const char *dot = *r->place && *key ? "." : "",
               *place = *r->place || *key ? r->place : "the file";
    return em_fail_at(r->err, EM_INPUT, r->path, 0, -1, "%s%s%s %s", place, dot, key, what);
}

static bool is_count(const json_t *value, double least, double most) {
    double x = json_number_value(value);
    return json_is_number(value) && x == floor(x) && x >= least && x <= most;
}

static bool read_text(const reader *r, const char *key, const json_t *value, char *out,
                      size_t size) {
    if (!json_is_string(value)) return bad(r, key, "is no string");
    if (json_string_length(value) >= size)
        return bad(r, key, "is longer than any that evalmask writes");
    memcpy(out, json_string_value(value), json_string_length(value) + 1);
    return true;
}

static bool own_text(const reader *r, const char *key, const json_t *value, char **out) {
    if (!json_is_string(value)) return bad(r, key, "is no string");
    *out = strdup(json_string_value(value));
    return *out || em_fail_memory(r->err, json_string_length(value), r->path);
}

static bool read_number(const reader *r, const em_field *f, const json_t *value, double *out) {
    if (!json_is_number(value) && !json_is_null(value))
        return bad(r, f->key, "is neither a number nor null");
    *out = json_is_null(value) ? NAN : json_number_value(value);
    return true;
}

static bool read_count(const reader *r, const em_field *f, const json_t *value, int64_t *out) {
    if (!is_count(value, 0, MOST_COUNT))
        return bad(r, f->key, "is no count: a whole number from 0 to 2^53");
    *out = (int64_t)json_number_value(value);
    return true;
}

static bool read_whole(const reader *r, const em_field *f, const json_t *value, int *out) {
    if (!is_count(value, INT_MIN, INT_MAX)) return bad(r, f->key, "is no whole number of 32 bits");
    *out = (int)json_number_value(value);
    return true;
}

static bool read_flag(const reader *r, const em_field *f, const json_t *value, bool *out) {
    if (!json_is_boolean(value)) return bad(r, f->key, "is neither true nor false");
    *out = json_is_true(value);
    return true;
}

static bool read_choice(const reader *r, const em_field *f, const json_t *value, void *object) {
    char what[96];
    if (!json_is_string(value)) return bad(r, f->key, "is no string");
    for (int i = 0; i < 2; i++)
        if (!strcmp(json_string_value(value), f->words[i])) {
            em_field_choose(f, object, i);
            return true;
        }
    snprintf(what, sizeof what, "is neither %s nor %s", f->words[0], f->words[1]);
    return bad(r, f->key, what);
}

static bool read_depth(const reader *r, const em_field *f, const json_t *value, int *out) {
    if (json_is_null(value)) return true;
    if (!json_is_number(value)) return bad(r, f->key, "is neither a number nor null");
    if (!is_count(value, 0, INT_MAX))
        return bad(r, f->key, "is neither null nor a number of layers");
    *out = (int)json_number_value(value);
    return true;
}

static bool read_figure(const reader *r, const em_field *f, const json_t *value, void *object) {
    double x = NAN;
    if (value && !read_number(r, f, value, &x)) return false;
    const char *what = f->set(object, x);
    return !what || bad(r, f->key, what);
}

static bool read_object(reader *r, const em_object *o, const json_t *value, void *object);

/* The reader of what lies at key, or at element i of it. */
static reader inside(const reader *r, const char *key) {
    reader inner = *r;
    snprintf(inner.place, sizeof inner.place, "%.60s%s%s", r->place, *r->place ? "." : "", key);
    return inner;
}

static reader inside_element(const reader *r, const char *key, size_t i) {
    reader inner = *r;
    snprintf(inner.place, sizeof inner.place, "%.40s%s%s[%zu]", r->place, *r->place ? "." : "", key,
             i);
    return inner;
}

static bool read_inner(const reader *r, const em_field *f, const json_t *value, void *object) {
    reader inner = inside(r, f->key);
    if (!json_is_object(value)) return bad(r, f->key, "is no object");
    return read_object(&inner, f->inner, value, em_field_at(f, object));
}

/* Room for n elements: where the object has it, or allocated and put there. */
static char *room_for(const reader *r, const em_field *f, void *object, size_t n, size_t size) {
    if (f->capacity) return em_field_at(f, object);
    char *elements = em_alloc(n, size, r->path, r->err);
    if (elements) memcpy(em_field_at(f, object), &elements, sizeof elements);
    return elements;
}

static bool read_array(const reader *r, const em_field *f, const json_t *array, void *object) {
    size_t count = json_array_size(array);
    int *n = (int *)((char *)object + f->count);
    if (array && (!json_is_array(array) || count > INT_MAX)) return bad(r, f->key, "is no array");
    if (f->none && count == 0) return bad(r, f->key, f->none);
    if (f->capacity && count > (size_t)f->capacity) return bad(r, f->key, f->too_many);
    char *elements = array ? room_for(r, f, object, count, f->element) : NULL;
    if (array && !elements) return false;
    for (size_t i = 0; i < count; i++) {
        reader inner = inside_element(r, f->key, i);
        const json_t *value = json_array_get(array, i);
        *n = (int)i + 1; /* what is half read is freed too */
        if (!(f->kind == EM_STRINGS
                  ? own_text(&inner, "", value, (char **)elements + i)
                  : read_object(&inner, f->inner, value, elements + i * f->element)))
            return false;
    }
    return true;
}

static bool read_map(const reader *r, const em_field *f, const json_t *map, void *object) {
    reader inner = inside(r, f->key);
    int *n = (int *)((char *)object + f->count);
    if (!map || json_is_null(map)) return true;
    if (!json_is_object(map)) return bad(r, f->key, "is no object");
    em_key_value *lines = (void *)room_for(r, f, object, json_object_size(map), sizeof *lines);
    if (!lines) return false;
    for (void *i = json_object_iter((json_t *)map); i;
         i = json_object_iter_next((json_t *)map, i)) {
        const char *key = json_object_iter_key(i);
        em_key_value *line = &lines[*n];
        if (strlen(key) >= sizeof line->key)
            return bad(&inner, "", "has a longer key than any that evalmask writes");
        strcpy(line->key, key);
        if (!own_text(&inner, key, json_object_iter_value(i), &line->value)) return false;
        ++*n;
    }
    return true;
}

/* What a field is where the file lacks it. */
static void set_absent(const em_field *f, void *object) {
    if (f->kind == EM_NUMBER) *(double *)em_field_at(f, object) = f->there ? 0 : NAN;
    if (f->kind == EM_DEPTH) *(int *)em_field_at(f, object) = EM_NO_DEPTH;
}

static bool read_field(const reader *r, const em_field *f, const json_t *value, void *object) {
    void *out = em_field_at(f, object);
    bool null_is_absent = f->there || f->kind == EM_OBJECT;
    set_absent(f, object);
    if (null_is_absent && json_is_null(value)) value = NULL;
    if (f->there) *((bool *)object + f->there - 1) = value != NULL;
    if (f->kind == EM_ARRAY || f->kind == EM_STRINGS) return read_array(r, f, value, object);
    if (f->kind == EM_FIGURE) return read_figure(r, f, value, object);
    if (!value) return !(f->flags & EM_REQUIRED) || bad(r, f->key, "is missing");
    switch (f->kind) {
    case EM_TEXT: return read_text(r, f->key, value, out, f->size);
    case EM_STRING: return own_text(r, f->key, value, out);
    case EM_NUMBER: return read_number(r, f, value, out);
    case EM_COUNT: return read_count(r, f, value, out);
    case EM_WHOLE: return read_whole(r, f, value, out);
    case EM_FLAG: return read_flag(r, f, value, out);
    case EM_CHOICE: return read_choice(r, f, value, object);
    case EM_DEPTH: return read_depth(r, f, value, out);
    case EM_OBJECT: return read_inner(r, f, value, object);
    case EM_MAP: return read_map(r, f, value, object);
    default: return true;
    }
}

/* Fields in three turns: those that stand alone, those whose condition looks at them, and the
 * figures that are made into members of the others. */
static int turn_of(const em_field *f) { return f->kind == EM_FIGURE ? 2 : f->wanted ? 1 : 0; }

static bool read_fields(reader *r, const em_object *o, const json_t *value, void *object) {
    for (int turn = 0; turn < 3; turn++)
        for (const em_field *f = o->fields; f < o->fields + o->n; f++) {
            if (turn_of(f) != turn || (f->wanted && !f->wanted(object))) continue;
            if (f->kind == EM_INLINE) {
                if (!read_fields(r, f->inner, value, em_field_at(f, object))) return false;
            } else if (f->key && !read_field(r, f, json_object_get(value, f->key), object)) {
                return false;
            }
        }
    return true;
}

/* object: zeroed. */
static bool read_object(reader *r, const em_object *o, const json_t *value, void *object) {
    const char *key = "";
    if (!json_is_object(value)) return bad(r, "", "is no object");
    if (!read_fields(r, o, value, object)) return false;
    const char *what = o->finish ? o->finish(object, &key) : NULL;
    return !what || bad(r, key, what);
}

/* Where the file has one data set it stands alone, under the name that the results give. */
static bool one_data_set(const reader *r, em_results_file *file) {
    em_results *out = &file->r;
    if (out->n_data_sets) return true;
    free(out->data_sets);
    out->data_sets = em_alloc(1, sizeof *out->data_sets, r->path, r->err);
    if (!out->data_sets) return false;
    out->n_data_sets = 1;
    out->data_sets[0].totals = file->data;
    memcpy(out->data_sets[0].name, out->results[0].data_set, sizeof out->data_sets[0].name);
    return true;
}

bool em_results_parse(const char *path, const char *text, size_t n, em_results *out,
                      em_error *err) {
    json_error_t error;
    reader r = {.path = path, .err = err};
    *out = (em_results){0};
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
    if (!root)
        return em_fail_at(err, EM_INPUT, path, 0, error.position, "no JSON in line %d: %s",
                          error.line, error.text);
    em_results_file file = {0};
    bool good = read_object(&r, &em_results_fields, root, &file) && one_data_set(&r, &file);
    *out = file.r;
    json_decref(root);
    return good;
}

static bool read_file(FILE *f, const char *path, em_buffer *out, em_error *err) {
    static const size_t step = 1 << 20;
    for (;;) {
        if (!em_buffer_reserve(out, out->length + step, err)) return false;
        size_t n = fread(out->data + out->length, 1, step, f);
        out->length += n;
        if (n == 0)
            return !ferror(f) ||
                   em_fail_at(err, EM_INPUT, path, 0, -1, "cannot be read: %s", strerror(errno));
    }
}

bool em_results_read(const char *path, em_results *out, em_error *err) {
    em_buffer text = {0};
    *out = (em_results){0};
    FILE *f = fopen(path, "rb");
    if (!f) return em_fail_at(err, EM_INPUT, path, 0, -1, "cannot be read: %s", strerror(errno));
    bool good = read_file(f, path, &text, err);
    fclose(f);
    good = good && em_results_parse(path, text.data, text.length, out, err);
    em_buffer_free(&text);
    return good;
}
