#include "oracle.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "loader/json.h"
#include "python_json.h"

static void set(em_buffer *b, const char *s, size_t n) {
    em_buffer_clear(b);
    if (!em_buffer_append(b, s, n, NULL)) abort();
}

static const json_t *group_value(const json_t *record, const char *path) {
    const char *dot = path ? strchr(path, '.') : NULL;
    char parent[256];
    if (!path || !*path) return NULL;
    if (!dot) return json_object_get(record, path);
    memcpy(parent, path, (size_t)(dot - path));
    parent[dot - path] = 0;
    return json_object_get(json_object_get(record, parent), dot + 1);
}

/* Levels of brackets outside strings: jansson does not say how deep it went. */
static int depth_of(const char *line, size_t n) {
    int depth = 0, deepest = 0;
    bool inside = false;
    for (size_t i = 0; i < n; i++) {
        char c = line[i];
        if (inside && c == '\\') i++;
        else if (c == '"') inside = !inside;
        else if (!inside && (c == '{' || c == '[')) deepest = ++depth > deepest ? depth : deepest;
        else if (!inside && (c == '}' || c == ']')) depth--;
    }
    return deepest;
}

static oracle_verdict verdict(const json_t *record, const em_record_keys *keys, em_record *out) {
    const json_t *text = json_object_get(record, keys->text),
                 *group = group_value(record, keys->group);
    if (!json_is_string(text) || json_is_object(group) || json_is_array(group)) return ORACLE_BAD;
    set(&out->text, json_string_value(text), json_string_length(text));
    set(&out->group, "", 0);
    if (json_is_string(group)) {
        if (memchr(json_string_value(group), 0, json_string_length(group))) return ORACLE_BAD;
        set(&out->group, json_string_value(group), json_string_length(group));
    } else if (json_is_boolean(group)) {
        set(&out->group, json_is_true(group) ? "true" : "false", json_is_true(group) ? 4 : 5);
    } else if (json_is_number(group)) {
        set(&out->group, "#", 1); /* jansson does not keep how it was written */
    }
    return ORACLE_GOOD;
}

oracle_verdict oracle_record(const char *line, size_t n, const em_record_keys *keys,
                             em_record *out) {
    json_error_t error;
    if (memchr(line, 0, n)) return ORACLE_BAD;
    if (depth_of(line, n) > EM_JSON_DEPTH) return ORACLE_DIFFERS;
    bool halves;
    em_buffer plain = python_json(line, n, &halves);
    json_t *record = json_loadb(plain.data, plain.length, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL,
                                &error);
    em_buffer_free(&plain);
    if (!record) {
        enum json_error_code code = json_error_code(&error);
        return code == json_error_numeric_overflow || code == json_error_null_byte_in_key
                   ? ORACLE_DIFFERS
                   : ORACLE_BAD;
    }
    oracle_verdict v = verdict(record, keys, out);
    json_decref(record);
    return v == ORACLE_GOOD && halves ? ORACLE_UNREAD : v;
}

static bool equal(const em_buffer *a, const em_buffer *b) {
    return a->length == b->length && (!a->length || !memcmp(a->data, b->data, a->length));
}

const char *oracle_compare(const char *line, size_t n, const em_record_keys *keys) {
    em_record ours = {0}, theirs = {0};
    em_error err = EM_ERROR_INIT;
    const char *difference = NULL;
    bool good = em_record_parse(line, n, keys, &ours, &err);
    oracle_verdict v = oracle_record(line, n, keys, &theirs);
    if (v != ORACLE_DIFFERS) {
        if (good && v == ORACLE_BAD) difference = "jansson refuses the record";
        else if (!good && v == ORACLE_GOOD) difference = "jansson accepts the record";
        else if (good && !equal(&ours.text, &theirs.text)) difference = "another text";
        else if (good && strcmp(theirs.group.data, "#") && !equal(&ours.group, &theirs.group))
            difference = "another group";
    }
    if (!good && (err.status != EM_INPUT || !err.text[0] || err.byte > (int64_t)n))
        difference = "an error without a cause or place";
    em_record_free(&ours);
    em_record_free(&theirs);
    return difference;
}
