#include "loader/record.h"

#include <stdio.h>
#include <string.h>

#include "loader/json.h"

/* What a value is kept for. */
enum { KEEP_TEXT = 1, KEEP_GROUP = 2, GROUP_PARENT = 4 };

/* The last value seen under a wanted key: its kind decides at the end, since a later duplicate
 * wins. */
typedef struct found {
    char kind; /* first byte of the value, 0: the key is missing */
    const char *at;
} found;

typedef struct parser {
    em_json json;
    const char *text_key, *parent_key, *group_key; /* not NUL-terminated; NULL: none */
    size_t text_length, parent_length, group_length;
    em_record *out;
    em_buffer key; /* a key that holds escapes */
    found text, group;
} parser;

void em_record_free(em_record *r) {
    em_buffer_free(&r->text);
    em_buffer_free(&r->group);
}

bool em_record_blank(const char *line, size_t n) {
    size_t i = 0;
    while (i < n && em_json_is_space(line[i])) i++;
    return i == n;
}

/* ---- the record ---- */

static bool same(const char *a, size_t n, const char *wanted, size_t length) {
    return wanted && n == length && !memcmp(a, wanted, n);
}

/* What the value of a key is wanted for. */
static int wanted(const parser *s, bool inside_parent, const char *key, size_t n) {
    int keep = 0;
    if (inside_parent || !s->parent_key)
        keep |= same(key, n, s->group_key, s->group_length) ? KEEP_GROUP : 0;
    if (!inside_parent && same(key, n, s->text_key, s->text_length)) keep |= KEEP_TEXT;
    if (!inside_parent && same(key, n, s->parent_key, s->parent_length)) keep |= GROUP_PARENT;
    return keep;
}

static bool read_members(parser *s, bool inside_parent);

/* The value of a wanted key. */
static bool read_value(parser *s, bool inside_parent, int keep) {
    const char *at = s->json.p;
    found value = {at < s->json.end ? *at : 0, at};
    if (value.kind == '-' && at + 1 < s->json.end && at[1] == 'I') value.kind = 'I';
    if (keep & KEEP_TEXT) s->text = value;
    if (keep & KEEP_GROUP) s->group = value;
    if (keep & GROUP_PARENT) {
        s->group = (found){0}; /* of an earlier duplicate of the parent */
        if (value.kind == '{' && !(keep & KEEP_TEXT)) {
            s->json.p++;
            return read_members(s, true);
        }
    }
    if (value.kind != '"' || !(keep & (KEEP_TEXT | KEEP_GROUP))) {
        if (!em_json_skip_unread(&s->json, inside_parent ? 2 : 1)) return false;
        if (!(keep & KEEP_GROUP) || value.kind == '"') return true;
        em_buffer_clear(&s->out->group);
        bool is_text = value.kind != '{' && value.kind != '[' && value.kind != 'n';
        return !is_text ||
               em_buffer_append(&s->out->group, at, (size_t)(s->json.p - at), s->json.err);
    }
    s->json.p++;
    if (!em_json_string(&s->json, keep & KEEP_TEXT ? &s->out->text : &s->out->group)) return false;
    if (keep != (KEEP_TEXT | KEEP_GROUP)) return true;
    em_buffer_clear(&s->out->group);
    return em_buffer_append(&s->out->group, s->out->text.data, s->out->text.length, s->json.err);
}

/* Past the members and the closing brace of an object whose opening one has been taken. */
static bool read_members(parser *s, bool inside_parent) {
    em_json_space(&s->json);
    if (em_json_take(&s->json, '}')) return true;
    for (;;) {
        const char *key;
        size_t n;
        em_json_space(&s->json);
        if (!em_json_take(&s->json, '"')) return em_json_expected(&s->json, "a key in quotes");
        if (!em_json_key(&s->json, &s->key, &key, &n)) return false;
        int keep = wanted(s, inside_parent, key, n);
        if (!(keep ? read_value(s, inside_parent, keep)
                   : em_json_skip_unread(&s->json, inside_parent ? 2 : 1)))
            return false;
        em_json_space(&s->json);
        if (em_json_take(&s->json, '}')) return true;
        if (!em_json_take(&s->json, ',')) return em_json_expected(&s->json, "',' or '}'");
    }
}

/* The first few keys of the record, as they are written, with commas between them; no more than
 * fit. */
static void list_keys(const em_json *json, char *out, size_t room) {
    em_json s = *json;
    em_error ignored = EM_ERROR_INIT;
    size_t at = 0;
    int listed = 0;
    s.err = &ignored;
    s.p = s.begin;
    *out = 0;
    em_json_space(&s);
    for (em_json_take(&s, '{'); listed < 12; listed++) {
        em_json_space(&s);
        const char *from = s.p;
        if (from == s.end || *from != '"' || !em_json_skip_unread(&s, 1)) break;
        size_t n = (size_t)(s.p - from);
        if (at + n + 8 > room) {
            snprintf(out + at, room - at, " …");
            break;
        }
        at += (size_t)snprintf(out + at, room - at, "%s%.*s", listed ? ", " : "", (int)n, from);
        em_json_space(&s);
        if (!em_json_take(&s, ':')) break;
        em_json_space(&s);
        if (!em_json_skip_unread(&s, 1)) break;
        em_json_space(&s);
        if (!em_json_take(&s, ',')) break;
    }
}

static bool no_text(parser *s, const char *key) {
    char keys[400];
    list_keys(&s->json, keys, sizeof keys);
    return em_fail(s->json.err, EM_INPUT, "no \"%s\" key (--text-key names another): %s%s", key,
                   *keys ? "the record has " : "the record is empty", keys);
}

/* Whether the values that won are of a kind that can be used. */
static bool check_found(parser *s, const em_record_keys *keys) {
    if (!s->text.kind) return no_text(s, keys->text);
    if (s->text.kind != '"')
        return EM_JSON_FAIL(&s->json, s->text.at, "\"%s\" is %s, not a string", keys->text,
                            em_json_kind(s->text.kind));
    if (s->group.kind && strchr("{[NI", s->group.kind))
        return EM_JSON_FAIL(
            &s->json, s->group.at,
            "\"%s\" is %s, where --group-by needs a string, a number, true or false", keys->group,
            em_json_kind(s->group.kind));
    if (s->group.kind == '"' && memchr(s->out->group.data, 0, s->out->group.length))
        return EM_JSON_FAIL(&s->json, s->group.at, "\"%s\" holds U+0000, which no group name can",
                            keys->group);
    if (!s->group.kind || s->group.kind == 'n') em_buffer_clear(&s->out->group);
    return true;
}

static void set_keys(parser *s, const em_record_keys *keys) {
    s->text_key = keys->text;
    s->text_length = strlen(keys->text);
    if (!keys->group || !*keys->group) return;
    const char *dot = strchr(keys->group, '.');
    if (dot) {
        s->parent_key = keys->group;
        s->parent_length = (size_t)(dot - keys->group);
    }
    s->group_key = dot ? dot + 1 : keys->group;
    s->group_length = strlen(s->group_key);
}

static bool read_record(parser *s) {
    em_json_space(&s->json);
    if (!em_json_take(&s->json, '{'))
        return em_json_expected(&s->json, "'{', since a record is a JSON object");
    if (!read_members(s, false)) return false;
    em_json_space(&s->json);
    return s->json.p == s->json.end ||
           em_json_expected(&s->json, "nothing more after the record's '}'");
}

bool em_record_parse(const char *line, size_t n, const em_record_keys *keys, em_record *out,
                     em_error *err) {
    parser s = {.out = out};
    em_json_begin(&s.json, line, n, err);
    set_keys(&s, keys);
    em_buffer_clear(&out->text);
    em_buffer_clear(&out->group);
    bool good = em_json_utf8(&s.json) && read_record(&s) && check_found(&s, keys);
    em_buffer_free(&s.key);
    return good;
}
