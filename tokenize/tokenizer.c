#include "tokenize/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "tokenize/beside.h"
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

em_tokenizer *em_tokenizer_open_files(const em_tokenizer_files *files, em_error *err) {
    em_tokenizer *t = em_alloc(1, sizeof *t, "a tokenizer", err);
    if (!t) return NULL;
    t->bos = t->eos = -1;
    bool ok = open_model(t, files->source, files->model.data, files->model.size, err);
    t->own_size = t->size;
    if (ok && em_beside_apply(t, files, err)) return t;
    em_error_place(err, files->source, 0, -1);
    em_tokenizer_close(t);
    return NULL;
}

em_tokenizer *em_tokenizer_open(const char *source, const void *data, size_t size,
                                const void *config, size_t config_size, em_error *err) {
    em_tokenizer_files files = {
        .source = source, .model = {data, size}, .config = {config, config_size}};
    return em_tokenizer_open_files(&files, err);
}

void em_tokenizer_close(em_tokenizer *t) {
    if (t && t->model) t->engine->close(t->model);
    if (t) em_notes_free(&t->notes);
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

/* Whether the model has a row for each of the ids from number `first` on. */
static bool check_rows(const em_tokenizer *t, const em_tokens *tokens, size_t first,
                       em_error *err) {
    char text[64];
    for (size_t i = first; t->rows && i < tokens->n; i++) {
        if (tokens->ids[i] < t->rows) continue;
        em_tokenizer_text(t, tokens->ids[i], text, sizeof text);
        return em_fail(err, EM_INPUT,
                       "the text holds the added token \"%s\" (id %d), and the model has no row "
                       "for it",
                       text, tokens->ids[i]);
    }
    return true;
}

bool em_tokenize(const em_tokenizer *t, em_tokenizer_scratch *s, const char *text, size_t length,
                 em_tokens *out, em_error *err) {
    size_t before = out->n, good;
    if (!length) return true;
    if (length > INT32_MAX)
        return em_fail(err, EM_INPUT, "the text is longer than 2 GiB: split the document");
    if ((good = em_utf8_check(text, length)) != length)
        return em_fail_at(err, EM_INPUT, NULL, 0, (int64_t)good, "the text is not valid UTF-8");
    if (t->engine->encode(t->model, s->working, text, length, out, err) &&
        check_rows(t, out, before, err))
        return true;
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
int32_t em_tokenizer_own_size(const em_tokenizer *t) { return t->own_size; }

bool em_tokenizer_limit(em_tokenizer *t, int32_t rows, em_error *err) {
    char text[64];
    if (rows >= t->size || (t->rows && t->rows <= rows)) return true;
    t->rows = rows;
    int32_t first = rows > t->own_size ? rows : t->own_size;
    em_tokenizer_text(t, first, text, sizeof text);
    return em_notes_add(
        &t->notes, err,
        "the embedding has %d rows, and no row for the added token \"%s\" (id %d): a "
        "text that holds it is refused",
        rows, text, first);
}

em_truncation em_tokenizer_truncation(const em_tokenizer *t) { return t->truncation; }
int32_t em_tokenizer_eos(const em_tokenizer *t) { return t->eos; }
int32_t em_tokenizer_id(const em_tokenizer *t, const char *token) {
    return t->engine->id(t->model, token);
}
const em_notes *em_tokenizer_notes(const em_tokenizer *t) { return &t->notes; }

const char *em_tokenizer_template_bos(const em_tokenizer *t) { return t->template_bos; }

int32_t em_tokenizer_named(const em_tokenizer *t, const char *key, const char **file) {
    for (int i = 0; i < EM_NAMED; i++) {
        if (strcmp(t->named[i].key, key)) continue;
        *file = t->named[i].file;
        return t->named[i].id;
    }
    return -1;
}

const char *em_tokenizer_describe(const em_tokenizer *t) { return t->describe; }

size_t em_tokenizer_text(const em_tokenizer *t, int32_t id, char *out, size_t n) {
    if (!n) return 0;
    size_t length = id >= 0 && id < t->size ? t->engine->text(t->model, id, out, n) : 0;
    out[length] = 0;
    return length;
}
