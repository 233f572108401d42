/* Opens tokenizer.json: vocabulary, merges, added tokens, and the components around them. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "tokenize/json_model.h"
#include "tokenize/unicode.h"

/* ---- the BPE model ---- */

static bool read_vocab(em_json_model *m, json_t *vocab, em_error *err) {
    const char *token;
    size_t n;
    json_t *id;
    if (!json_object_size(vocab))
        return em_fail(err, EM_INPUT, "model: the vocabulary is empty or no object");
    json_object_keylen_foreach(vocab, token, n, id) {
        if (!json_is_integer(id))
            return em_fail(err, EM_INPUT, "model: the id of token \"%.60s\" is no integer", token);
        if (!em_vocab_add(&m->vocab, token, n, json_integer_value(id), EM_TOKEN_MODEL, err))
            return false;
    }
    return true;
}

/* Either ["left", "right"] or "left right" (two strings with one space). */
static bool merge_parts(const json_t *merge, const char *part[2], size_t n[2]) {
    const char *text = json_string_value(merge);
    if (text) {
        size_t length = json_string_length(merge);
        const char *space = memchr(text, ' ', length);
        if (!space || memchr(space + 1, ' ', length - (size_t)(space - text) - 1)) return false;
        part[0] = text;
        n[0] = (size_t)(space - text);
        part[1] = space + 1;
        n[1] = length - n[0] - 1;
        return true;
    }
    for (size_t i = 0; i < 2; i++) {
        const json_t *each = json_array_get(merge, i);
        part[i] = json_string_value(each);
        n[i] = json_string_length(each);
    }
    return part[0] && part[1] && json_array_size(merge) == 2;
}

static bool read_merge(em_json_model *m, const json_t *merge, size_t rank, em_buffer *both,
                       em_error *err) {
    const char *part[2];
    size_t n[2];
    if (!merge_parts(merge, part, n))
        return em_fail(err, EM_INPUT,
                       "model: merge %zu is neither \"left right\" nor [\"left\", \"right\"]",
                       rank);
    em_buffer_clear(both);
    if (!em_buffer_append(both, part[0], n[0], err) || !em_buffer_append(both, part[1], n[1], err))
        return false;
    int32_t left = em_vocab_find(&m->vocab, part[0], n[0]),
            right = em_vocab_find(&m->vocab, part[1], n[1]);
    int32_t id = em_vocab_find(&m->vocab, both->data, both->length);
    if (left < 0 || right < 0 || id < 0) {
        const char *missing = left < 0 ? part[0] : right < 0 ? part[1] : both->data;
        size_t length = left < 0 ? n[0] : right < 0 ? n[1] : both->length;
        return em_fail(err, EM_INPUT,
                       "model: merge %zu names \"%.*s\", which is not in the vocabulary", rank,
                       length < 60 ? (int)length : 60, length ? missing : "");
    }
    em_bpe_add_merge(&m->bpe, left, right, (uint32_t)rank, id);
    return true;
}

static bool read_merges(em_json_model *m, const json_t *merges, em_error *err) {
    em_buffer both = {0};
    size_t i;
    const json_t *merge;
    bool ok = true;
    if (!json_is_array(merges)) return em_fail(err, EM_INPUT, "model: it has no list of merges");
    if (json_array_size(merges) > 1u << 28) return em_fail(err, EM_INPUT, "model: too many merges");
    if (!em_bpe_reserve(&m->bpe, json_array_size(merges), err)) return false;
    json_array_foreach(merges, i, merge) if (!(ok = read_merge(m, merge, i, &both, err))) break;
    em_buffer_free(&both);
    return ok;
}

static bool refuse_options(const json_t *model, em_error *err) {
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    const char *type = json_string_value(json_object_get(model, "type"));
    const json_t *dropout = json_object_get(model, "dropout");
    if (type && strcmp(type, "BPE") && strcmp(type, "Unigram"))
        return em_fail(err, EM_INPUT,
                       "model: type \"%.40s\" is not supported (BPE and Unigram are)", type);
    if (json_is_number(dropout) && json_number_value(dropout) != 0)
        return em_fail(err, EM_INPUT,
                       "model: dropout is not supported: a loss needs the same tokens each time");
    for (int i = 0; i < 2; i++)
        if (json_string_length(json_object_get(model, affixes[i])))
            return em_fail(err, EM_INPUT, "model: %s is not supported", affixes[i]);
    return true;
}

static bool read_options(em_json_model *m, const json_t *model, em_error *err) {
    const json_t *unknown = json_object_get(model, "unk_token");
    m->bpe.byte_fallback = json_is_true(json_object_get(model, "byte_fallback"));
    m->bpe.fuse_unknown = json_is_true(json_object_get(model, "fuse_unk"));
    m->bpe.ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
    m->bpe.unknown = -1;
    if (!json_is_string(unknown)) return true;
    m->bpe.unknown = em_vocab_find(&m->vocab, json_string_value(unknown),
                                   json_string_length(unknown));
    return m->bpe.unknown >= 0 ||
           em_fail(err, EM_INPUT, "model: unk_token \"%.60s\" is not in the vocabulary",
                   json_string_value(unknown));
}

static bool has_all_bytes(const em_vocab *v) {
    for (int i = 0; i < 256; i++) {
        char text[4];
        if (em_vocab_find(v, text, em_utf8_put(em_byte_character((uint8_t)i), text)) < 0)
            return false;
    }
    return true;
}

/* Where the byte-level alphabet is the last thing that happens to a word, its bytes are encoded
 * directly, and the alphabet is never spelled out. */
static void use_raw_bytes(em_json_model *m) {
    size_t count = 0;
    for (size_t i = 0; i < m->n_stages; i++) count += m->stages[i].kind == EM_STAGE_BYTE_LEVEL;
    bool last = count == 1 && m->stages[m->n_stages - 1].kind == EM_STAGE_BYTE_LEVEL;
    m->bpe.raw_bytes = last && has_all_bytes(&m->vocab);
    if (m->bpe.raw_bytes) em_stage_free(&m->stages[--m->n_stages]);
}

/* ---- the Unigram model ---- */

static bool read_piece(em_json_model *m, const json_t *entry, int32_t id, em_error *err) {
    const json_t *piece = json_array_get(entry, 0), *score = json_array_get(entry, 1);
    size_t n = json_string_length(piece);
    if (!json_is_string(piece) || !json_is_number(score))
        return em_fail(err, EM_INPUT, "model: entry %d of the vocabulary is no piece with a score",
                       id);
    return em_vocab_add(&m->vocab, json_string_value(piece), n, id, EM_TOKEN_MODEL, err) &&
           em_unigram_add(&m->unigram, json_string_value(piece), n, json_number_value(score), id,
                          err);
}

/* "vocab": [[piece, score], ...], an id by its place. */
static bool read_unigram(em_json_model *m, const json_t *model, em_error *err) {
    const json_t *vocab = json_object_get(model, "vocab"),
                 *unknown = json_object_get(model, "unk_id"), *entry;
    size_t i;
    if (!json_array_size(vocab))
        return em_fail(err, EM_INPUT, "model: the vocabulary is empty or no list");
    if (json_array_size(vocab) > EM_MAX_TOKEN_ID)
        return em_fail(err, EM_INPUT, "model: the vocabulary has more than %d pieces",
                       EM_MAX_TOKEN_ID);
    json_array_foreach(vocab, i, entry) if (!read_piece(m, entry, (int32_t)i, err)) return false;
    m->is_unigram = true;
    m->unigram.byte_fallback = json_is_true(json_object_get(model, "byte_fallback"));
    m->unigram.unknown = -1;
    if (!unknown || json_is_null(unknown)) return true;
    if (!json_is_integer(unknown) || !em_vocab_has(&m->vocab, json_integer_value(unknown)))
        return em_fail(err, EM_INPUT, "model: unk_id is not in the vocabulary");
    m->unigram.unknown = (int32_t)json_integer_value(unknown);
    return true;
}

static bool read_model(em_json_model *m, const json_t *model, em_error *err) {
    if (!json_is_object(model)) return em_fail(err, EM_INPUT, "it has no \"model\"");
    const char *type = json_string_value(json_object_get(model, "type"));
    if (!refuse_options(model, err)) return false;
    if (type && !strcmp(type, "Unigram")) return read_unigram(m, model, err);
    if (!read_vocab(m, json_object_get(model, "vocab"), err)) return false;
    m->bpe.vocab = &m->vocab;
    if (!read_options(m, model, err) || !read_merges(m, json_object_get(model, "merges"), err))
        return false;
    use_raw_bytes(m);
    return em_bpe_finish(&m->bpe, err);
}

/* ---- added tokens ---- */

static em_extra extra_of(const json_t *token) {
    const json_t *content = json_object_get(token, "content");
    return (em_extra){.text = json_string_value(content),
                      .n = json_string_length(content),
                      .single_word = json_is_true(json_object_get(token, "single_word")),
                      .lstrip = json_is_true(json_object_get(token, "lstrip")),
                      .rstrip = json_is_true(json_object_get(token, "rstrip")),
                      .normalized = json_is_true(json_object_get(token, "normalized")),
                      .special = json_is_true(json_object_get(token, "special"))};
}

/* Ids of the file that are not those of the library: how many, and the first. */
typedef struct renumbered {
    size_t n;
    char text[64];
    int64_t said;
    int32_t id;
} renumbered;

/* A token that the model has keeps its id; a new one gets the next free one, whatever the file
 * says: so do Hugging Face tokenizers. */
static bool read_added(em_json_model *m, const json_t *token, size_t i, renumbered *r,
                       em_error *err) {
    em_extra x = extra_of(token);
    const json_t *said = json_object_get(token, "id");
    int32_t id;
    if (!x.text) return em_fail(err, EM_INPUT, "added token %zu has no content", i);
    if (!x.n) return true;
    if (!json_is_integer(said) || json_integer_value(said) < 0)
        return em_fail(err, EM_INPUT, "added token \"%.60s\" has no id", x.text);
    if (!em_json_add(m, &x, &id, err)) return false;
    if (json_integer_value(said) == id || r->n++) return true;
    snprintf(r->text, sizeof r->text, "%s", x.text);
    r->said = json_integer_value(said);
    r->id = id;
    return true;
}

static bool read_added_tokens(em_tokenizer *t, em_json_model *m, const json_t *list,
                              em_error *err) {
    renumbered r = {0};
    size_t i;
    const json_t *token;
    m->model_count = m->vocab.count;
    m->highest_added = -1;
    if (list && !json_is_null(list) && !json_is_array(list))
        return em_fail(err, EM_INPUT, "added_tokens is no list");
    json_array_foreach(list, i, token) if (!read_added(m, token, i, &r, err)) return false;
    if (r.n &&
        !em_notes_add(&t->notes, err,
                      "tokenizer.json gives %zu added token%s an id that is not the next free "
                      "one (first \"%s\": %lld there, %d here): they are numbered as Hugging "
                      "Face tokenizers number them",
                      r.n, r.n == 1 ? "" : "s", r.text, (long long)r.said, r.id))
        return false;
    return em_json_ready(m, err);
}

/* ---- the engine ---- */

static int32_t id_of(const void *model, const char *token) {
    const em_json_model *m = model;
    return em_vocab_find(&m->vocab, token, strlen(token));
}

/* The alphabet's characters as their bytes; others (an added token's) as they are. */
static size_t byte_level_text(const char *s, size_t length, char *out, size_t n) {
    size_t written = 0;
    unsigned step;
    for (size_t i = 0; i < length; i += step) {
        int byte = em_character_byte(em_utf8_at(s + i, &step));
        if (byte >= 0) em_text_byte(out, n, &written, (char)byte);
        for (unsigned k = 0; byte < 0 && k < step; k++) em_text_byte(out, n, &written, s[i + k]);
    }
    return written;
}

static size_t text_of(const void *model, int32_t id, char *out, size_t n) {
    const em_json_model *m = model;
    const em_vocab_entry *e = &m->vocab.tokens[id];
    const char *s = m->vocab.text + e->offset;
    size_t written = 0;
    if (!e->flags) return 0;
    if (m->byte_level && !(e->flags & EM_TOKEN_LITERAL))
        return byte_level_text(s, e->length, out, n);
    if (!(e->flags & EM_TOKEN_LITERAL)) return em_piece_text(s, e->length, out, n);
    for (size_t i = 0; i < e->length; i++) em_text_byte(out, n, &written, s[i]);
    return written;
}

static const em_engine json_engine = {.encode = em_json_encode,
                                      .scratch_new = em_json_scratch_new,
                                      .scratch_free = em_json_scratch_free,
                                      .close = em_json_close,
                                      .id = id_of,
                                      .text = text_of,
                                      .added = em_json_is_added,
                                      .add = em_json_add,
                                      .ready = em_json_ready,
                                      .prefix_space = em_json_prefix_space,
                                      .set_prefix_space = em_json_set_prefix_space,
                                      .like_llama = em_json_like_llama,
                                      .own_affixes = true};

static bool read_truncation(em_tokenizer *t, const json_t *section, em_error *err) {
    if (!section || json_is_null(section)) return true;
    const json_t *length = json_object_get(section, "max_length");
    const char *direction = json_string_value(json_object_get(section, "direction"));
    if (!json_is_integer(length) || json_integer_value(length) < 1)
        return em_fail(err, EM_INPUT, "truncation: max_length is no whole number of at least 1");
    t->truncation.max_tokens = (size_t)json_integer_value(length);
    t->truncation.left = direction && !strcmp(direction, "Left");
    return true;
}

static bool read_sections(em_tokenizer *t, em_json_model *m, const json_t *file, em_error *err) {
    if (!em_json_normalizers(m, json_object_get(file, "normalizer"), err)) return false;
    if (!em_json_stages(m, json_object_get(file, "pre_tokenizer"), err)) return false;
    if (!read_model(m, json_object_get(file, "model"), err)) return false;
    if (!read_added_tokens(t, m, json_object_get(file, "added_tokens"), err)) return false;
    if (!read_truncation(t, json_object_get(file, "truncation"), err)) return false;
    return em_json_affixes(t, m, json_object_get(file, "post_processor"), err);
}

bool em_open_json(em_tokenizer *t, const char *source, const void *data, size_t size,
                  em_error *err) {
    json_error_t where;
    em_json_model *m = em_alloc(1, sizeof *m, "a tokenizer", err);
    if (!m) return false;
    t->file = "tokenizer.json";
    t->engine = &json_engine;
    t->model = m;
    json_t *file = json_loadb(data, size, JSON_ALLOW_NUL, &where);
    if (!file)
        return em_fail_at(err, EM_INPUT, source, 0, where.position, "broken JSON in line %d: %s",
                          where.line, where.text);
    bool ok = read_sections(t, m, file, err);
    json_decref(file);
    if (!ok) return false;
    t->size = m->vocab.size;
    snprintf(t->describe, sizeof t->describe, "%s %s, %d tokens",
             m->byte_level ? "byte-level" : "tokenizer.json", m->is_unigram ? "Unigram" : "BPE",
             t->size);
    return true;
}
