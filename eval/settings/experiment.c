#include "eval/settings/experiment.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "reports/results/results.h"
#include "common/size.h"
#include "eval/process/installed.h"
#include "loader/json.h"
#include "reports/published/published.h"

enum { MAX_BYTES = 1 << 20, MAX_OPTIONS = 256 };

/* ---- values ---- */

typedef struct reading {
    em_json json;
    em_experiment *config;
    em_buffer key, text; /* the key at hand; scratch */
    const char *at;      /* where the key begins */
} reading;

#define FAIL(r, ...) \
    em_fail_at((r)->json.err, EM_USAGE, NULL, 0, (r)->at - (r)->json.begin, __VA_ARGS__)

static bool copy(reading *r, const char *text, size_t n, char **out) {
    if (memchr(text, 0, n)) return FAIL(r, "\"%s\": holds a NUL", r->key.data);
    if (!(*out = em_alloc(n + 1, 1, "a config", r->json.err))) return false;
    memcpy(*out, text, n);
    return true;
}

static bool string(reading *r, char **out) {
    if (*out) return FAIL(r, "\"%s\": given twice", r->key.data);
    if (!em_json_take(&r->json, '"')) return FAIL(r, "\"%s\": give a string", r->key.data);
    return em_json_string(&r->json, &r->text) && copy(r, r->text.data, r->text.length, out);
}

/* Appends to a list of options; value NULL: a flag. */
static bool add_option(reading *r, em_experiment_option **list, int *n, const char *value,
                       size_t length) {
    if (*n == MAX_OPTIONS) return FAIL(r, "more than %d options", MAX_OPTIONS);
    em_experiment_option *grown = realloc(*list, (size_t)(*n + 1) * sizeof **list);
    if (!grown) return em_fail_memory(r->json.err, (size_t)(*n + 1) * sizeof **list, "a config");
    *list = grown;
    em_experiment_option *o = &grown[*n];
    *o = (em_experiment_option){.byte = r->at - r->json.begin};
    (*n)++;
    return copy(r, r->key.data, r->key.length, &o->name) &&
           (!value || copy(r, value, length, &o->value));
}

static bool same_name(const em_experiment_option *list, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (!strcmp(list[i].name, name)) return true;
    return false;
}

/* A string, a number as it is written, or true. */
static bool scalar_option(reading *r) {
    em_json *j = &r->json;
    em_experiment *c = r->config;
    const char *from = j->p;
    char first = from < j->end ? *from : 0;
    if (em_json_take(j, '"'))
        return em_json_string(j, &r->text) &&
               add_option(r, &c->options, &c->n_options, r->text.data, r->text.length);
    if (first == '{' || first == '[' || first == 'n')
        return FAIL(r, "\"%s\": give a string, a number, true, or an array of strings and numbers",
                    r->key.data);
    if (!em_json_skip(j, 2)) return false;
    if (first == 'f') return FAIL(r, "\"%s\": a flag is true, or left out", r->key.data);
    return first == 't' ? add_option(r, &c->options, &c->n_options, NULL, 0)
                        : add_option(r, &c->options, &c->n_options, from, (size_t)(j->p - from));
}

static bool option_value(reading *r) {
    em_json *j = &r->json;
    if (same_name(r->config->options, r->config->n_options, r->key.data))
        return FAIL(r, "\"%s\": given twice", r->key.data);
    if (!em_json_take(j, '[')) return scalar_option(r);
    do {
        em_json_space(j);
        if (!scalar_option(r)) return false;
        em_json_space(j);
    } while (em_json_take(j, ','));
    return em_json_take(j, ']') || em_json_expected(j, "',' or ']'");
}

static bool bundled_value(reading *r) {
    em_experiment *c = r->config;
    static const char *const known[] = {"model", "compare", "adapter", "data"};
    bool good = false;
    for (int i = 0; i < 4; i++) good |= !strcmp(known[i], r->key.data);
    if (!good)
        return FAIL(r, "\"%s\": what is bundled is model, compare, adapter or data", r->key.data);
    if (same_name(c->bundled, c->n_bundled, r->key.data))
        return FAIL(r, "\"%s\": given twice", r->key.data);
    if (!em_json_take(&r->json, '"'))
        return FAIL(r, "\"%s\": give the name of an installed file", r->key.data);
    return em_json_string(&r->json, &r->text) &&
           add_option(r, &c->bundled, &c->n_bundled, r->text.data, r->text.length);
}

/* ---- objects ---- */

static bool member(reading *r, bool (*value)(reading *)) {
    em_json *j = &r->json;
    const char *key;
    size_t n;
    em_json_space(j);
    r->at = j->p;
    if (!em_json_take(j, '"')) return em_json_expected(j, "a key in quotes");
    if (!em_json_key(j, &r->text, &key, &n)) return false;
    em_buffer_clear(&r->key);
    if (!em_buffer_append(&r->key, key, n, j->err)) return false;
    if (memchr(key, 0, n)) return FAIL(r, "a key holds a NUL");
    em_json_space(j);
    return value(r);
}

/* The object that begins at p, member by member. */
static bool object(reading *r, bool (*value)(reading *)) {
    em_json *j = &r->json;
    em_json_space(j);
    if (!em_json_take(j, '{')) return em_json_expected(j, "an object");
    em_json_space(j);
    if (em_json_take(j, '}')) return true;
    do {
        if (!member(r, value)) return false;
        em_json_space(j);
    } while (em_json_take(j, ','));
    return em_json_take(j, '}') || em_json_expected(j, "',' or '}'");
}

static bool command_value(reading *r) {
    char *word = NULL;
    bool good = string(r, &word);
    if (good && strcmp(word, "run") && strcmp(word, "inspect"))
        good = FAIL(r, "\"command\": \"%s\" is neither run nor inspect", word);
    if (good) r->config->inspect = !strcmp(word, "inspect");
    free(word);
    return good;
}

static bool title_value(reading *r) {
    enum { MOST = sizeof((em_results *)0)->title - 1 };
    if (!string(r, &r->config->title)) return false;
    return strlen(r->config->title) <= MOST || FAIL(r, "\"title\": at most %d bytes", MOST);
}

static bool table_value(reading *r) {
    char names[160];
    if (!string(r, &r->config->table)) return false;
    return em_published_known(r->config->table) ||
           FAIL(r, "\"table\": there is no %s; there are %s", r->config->table,
                em_published_names(names, sizeof names));
}

static bool top_value(reading *r) {
    const char *key = r->key.data;
    if (!strcmp(key, "title")) return title_value(r);
    if (!strcmp(key, "about")) return string(r, &r->config->about);
    if (!strcmp(key, "table")) return table_value(r);
    if (!strcmp(key, "command")) return command_value(r);
    if (!strcmp(key, "options")) return object(r, option_value);
    if (!strcmp(key, "bundled")) return object(r, bundled_value);
    return FAIL(
        r, "\"%s\": no such key; there are title, about, table, command, options and bundled", key);
}

/* ---- the whole ---- */

static bool fill_missing(em_experiment *c, em_error *err) {
    char **texts[] = {&c->title, &c->about, &c->table};
    for (int i = 0; i < 3; i++)
        if (!*texts[i] && !(*texts[i] = em_alloc(1, 1, "a config", err))) return false;
    return true;
}

static bool parse(reading *r, const char *path, size_t n) {
    em_experiment *c = r->config;
    if (!(c->path = em_alloc(strlen(path) + 1, 1, "a config", r->json.err))) return false;
    strcpy(c->path, path);
    if (n > MAX_BYTES)
        return em_fail(r->json.err, EM_USAGE, "a config of more than %d bytes", MAX_BYTES);
    if (!em_json_utf8(&r->json) || !object(r, top_value)) return false;
    em_json_space(&r->json);
    if (r->json.p < r->json.end) return em_json_expected(&r->json, "nothing more");
    return fill_missing(c, r->json.err);
}

em_experiment *em_experiment_parse(const char *path, const char *text, size_t n, em_error *err) {
    reading r = {.config = em_alloc(1, sizeof *r.config, "a config", err)};
    if (!r.config) return NULL;
    em_json_begin(&r.json, text, n, err);
    bool good = parse(&r, path, n);
    em_buffer_free(&r.key);
    em_buffer_free(&r.text);
    if (good) return r.config;
    em_experiment_free(r.config);
    if (err->status == EM_INPUT)
        err->status = EM_USAGE; /* the scanner's: broken JSON is broken usage here */
    em_error_place(err, path, 0, -1);
    return NULL;
}

static void free_options(em_experiment_option *list, int n) {
    for (int i = 0; i < n; i++) {
        free(list[i].name);
        free(list[i].value);
    }
    free(list);
}

void em_experiment_free(em_experiment *c) {
    if (!c) return;
    free(c->path);
    free(c->title);
    free(c->about);
    free(c->table);
    free_options(c->options, c->n_options);
    free_options(c->bundled, c->n_bundled);
    free(c);
}

/* ---- files ---- */

static em_experiment *read_config(const char *path, em_error *err) {
    FILE *f = fopen(path, "rb");
    em_buffer text = {0};
    char part[4096];
    size_t n;
    bool good = f != NULL;
    while (good && text.length <= MAX_BYTES && (n = fread(part, 1, sizeof part, f)) > 0)
        good = em_buffer_append(&text, part, n, err);
    if (!f || (good && ferror(f)))
        good = em_fail_at(err, EM_USAGE, path, 0, -1, "cannot be read: %s", strerror(errno));
    if (f) fclose(f);
    em_experiment *c = good
                           ? em_experiment_parse(path, text.data ? text.data : "", text.length, err)
                           : NULL;
    em_buffer_free(&text);
    return c;
}

em_experiment *em_experiment_open(const char *name, em_error *err) {
    char installed[256], path[4096];
    FILE *f = fopen(name, "rb");
    if (f) fclose(f);
    if (f || strchr(name, '/')) return read_config(name, err);
    size_t n = strlen(name), ending = n > 5 && !strcmp(name + n - 5, ".json") ? 5 : 0;
    snprintf(installed, sizeof installed, "configs/%.*s.json", (int)(n - ending), name);
    if (em_installed_file(installed, path, sizeof path)) return read_config(path, err);
    em_fail(err, EM_USAGE,
            "--config %s: no such file, and no installed config of that name; evalmask help "
            "configs lists them",
            name);
    return NULL;
}

static int is_json(const struct dirent *d) {
    size_t n = strlen(d->d_name);
    return n > 5 && !strcmp(d->d_name + n - 5, ".json");
}

bool em_experiment_list(FILE *out, em_error *err) {
    char folder[4096], path[4400];
    struct dirent **entries = NULL;
    int n = em_installed_file("configs", folder, sizeof folder)
                ? scandir(folder, &entries, is_json, alphasort)
                : 0;
    if (n < 1) em_fail(err, EM_USAGE, "no configs are installed");
    bool good = n > 0;
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        em_experiment *c = good ? read_config(path, err) : NULL;
        good = c != NULL;
        if (good)
            fprintf(out, "%.*s\n    %s\n", (int)strlen(entries[i]->d_name) - 5, entries[i]->d_name,
                    c->about);
        em_experiment_free(c);
        free(entries[i]);
    }
    free(entries);
    return good;
}
