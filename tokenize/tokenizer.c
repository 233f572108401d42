#include "tokenize/tokenizer.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "tokenize/engine.h"
#include "tokenize/unicode.h"

struct em_tokenizer_scratch {
    const em_engine *engine;
    void *working;
};

/* ---- opening ---- */

/* JSON begins with a brace; a serialized SentencePiece model with its first piece (field 1). */
static bool open_model(em_tokenizer *t, const char *source, const unsigned char *data, size_t size,
                       em_error *err) {
    size_t i = size >= 3 && !memcmp(data, "\xef\xbb\xbf", 3) ? 3 : 0;
    while (i < size && data[i] && strchr(" \t\r\n", data[i])) i++;
    if (i < size && data[i] == '{') return em_open_json(t, source, data, size, err);
    if (em_is_llama2c(data, size)) return em_open_llama2c(t, source, data, size, err);
    if (size > 1 && data[0] == 0x0a) return em_open_sentencepiece(t, source, data, size, err);
    if (size > 5 && !memcmp(data, "IQ== 0", 6))
        return em_fail_at(
            err, EM_INPUT, source, 0, 0,
            "this is a tiktoken file, which is not supported: use the model's tokenizer.json");
    return em_fail_at(err, EM_INPUT, source, 0, 0,
                      "this is no tokenizer: neither tokenizer.json, nor a SentencePiece "
                      "model, nor llama2.c's tok*.bin");
}

/* ---- tokenizer_config.json ---- */

typedef struct special_key {
    const char *key, *add;
    int32_t *id;
    em_affix *affix;
    bool front;
} special_key;

static const char *special_text(const json_t *config, const char *key) {
    const json_t *value = json_object_get(config, key);
    return json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
}

static bool add_affix(em_affix *a, int32_t id, bool front, em_error *err) {
    if (a->n == EM_MAX_AFFIX)
        return em_fail(err, EM_INPUT, "more than %d tokens around a text", EM_MAX_AFFIX);
    if (front) memmove(a->ids + 1, a->ids, a->n * sizeof *a->ids);
    a->ids[front ? 0 : a->n] = id;
    a->n++;
    return true;
}

static bool affix_has(const em_affix *a, int32_t id) {
    for (size_t i = 0; i < a->n; i++)
        if (a->ids[i] == id) return true;
    return false;
}

static void remove_affix(em_affix *a, int32_t id) {
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++)
        if (a->ids[i] != id) a->ids[n++] = a->ids[i];
    a->n = n;
}

/* add_xxx_token false takes the token away, true puts it there; absent or null: as the model says.
 */
static bool apply_add(const special_key *k, const json_t *config, em_error *err) {
    const json_t *add = json_object_get(config, k->add);
    if (json_is_false(add)) remove_affix(k->affix, *k->id);
    if (!json_is_true(add)) return true;
    if (*k->id < 0)
        return em_fail(err, EM_INPUT,
                       "tokenizer_config.json: %s is true, but %s names no token of the vocabulary",
                       k->add, k->key);
    return affix_has(k->affix, *k->id) || add_affix(k->affix, *k->id, k->front, err);
}

static bool apply_special(em_tokenizer *t, const special_key *k, const json_t *config,
                          em_error *err) {
    const char *text = special_text(config, k->key);
    int32_t id = text ? em_tokenizer_id(t, text) : -1;
    if (text && id < 0 && !k->front)
        return em_fail(err, EM_INPUT,
                       "tokenizer_config.json: %s \"%.80s\" is not in the vocabulary", k->key,
                       text);
    if (text) *k->id = id;
    return apply_add(k, config, err);
}

static bool apply_config(em_tokenizer *t, const void *data, size_t size, em_error *err) {
    json_error_t where;
    /* model_max_length is often 10^30, written as an integer */
    json_t *config = json_loadb(data, size, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &where);
    if (!json_is_object(config)) {
        bool broken = !config;
        json_decref(config);
        return em_fail(err, EM_INPUT, "tokenizer_config.json is no JSON object%s%s",
                       broken ? ": " : "", broken ? where.text : "");
    }
    special_key bos = {"bos_token", "add_bos_token", &t->bos, &t->prefix, true};
    special_key eos = {"eos_token", "add_eos_token", &t->eos, &t->suffix, false};
    bool ok = apply_special(t, &bos, config, err) && apply_special(t, &eos, config, err);
    json_decref(config);
    return ok;
}

em_tokenizer *em_tokenizer_open(const char *source, const void *data, size_t size,
                                const void *config, size_t config_size, em_error *err) {
    em_tokenizer *t = em_alloc(1, sizeof *t, "a tokenizer", err);
    if (!t) return NULL;
    t->bos = t->eos = -1;
    if (open_model(t, source, data, size, err) &&
        (!config || apply_config(t, config, config_size, err)))
        return t;
    em_error_place(err, source, 0, -1);
    em_tokenizer_close(t);
    return NULL;
}

void em_tokenizer_close(em_tokenizer *t) {
    if (t && t->model) t->engine->close(t->model);
    free(t);
}

/* ---- use ---- */

em_tokenizer_scratch *em_tokenizer_scratch_new(const em_tokenizer *t, em_error *err) {
    em_tokenizer_scratch *s = em_alloc(1, sizeof *s, "a tokenizer's working memory", err);
    if (!s) return NULL;
    s->engine = t->engine;
    s->working = t->engine->scratch_new(t->model, err);
    if (s->working) return s;
    free(s);
    return NULL;
}

void em_tokenizer_scratch_free(em_tokenizer_scratch *s) {
    if (s) s->engine->scratch_free(s->working);
    free(s);
}

bool em_tokenize(const em_tokenizer *t, em_tokenizer_scratch *s, const char *text, size_t length,
                 em_tokens *out, em_error *err) {
    size_t before = out->n, good;
    if (!length) return true;
    if (length > INT32_MAX)
        return em_fail(err, EM_INPUT, "the text is longer than 2 GiB: split the document");
    if ((good = em_utf8_check(text, length)) != length)
        return em_fail_at(err, EM_INPUT, NULL, 0, (int64_t)good, "the text is not valid UTF-8");
    if (t->engine->encode(t->model, s->working, text, length, out, err)) return true;
    out->n = before;
    return false;
}

const int32_t *em_tokenizer_prefix(const em_tokenizer *t, size_t *n) {
    *n = t->prefix.n;
    return t->prefix.ids;
}
const int32_t *em_tokenizer_suffix(const em_tokenizer *t, size_t *n) {
    *n = t->suffix.n;
    return t->suffix.ids;
}
int32_t em_tokenizer_size(const em_tokenizer *t) { return t->size; }
em_truncation em_tokenizer_truncation(const em_tokenizer *t) { return t->truncation; }
int32_t em_tokenizer_eos(const em_tokenizer *t) { return t->eos; }
int32_t em_tokenizer_id(const em_tokenizer *t, const char *token) {
    return t->engine->id(t->model, token);
}
const char *em_tokenizer_describe(const em_tokenizer *t) { return t->describe; }

size_t em_tokenizer_text(const em_tokenizer *t, int32_t id, char *out, size_t n) {
    if (!n) return 0;
    size_t length = id >= 0 && id < t->size ? t->engine->text(t->model, id, out, n) : 0;
    out[length] = 0;
    return length;
}
