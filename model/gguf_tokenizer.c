/* Keys and their meaning: llama.cpp's gguf-py/gguf/constants.py and src/llama-vocab.cpp. */
#include "model/gguf_tokenizer.h"

#include <math.h>
#include <string.h>

#define KEY "tokenizer.ggml."

enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5, BYTE = 6 };

typedef struct pieces {
    const em_gguf *g;
    const em_gguf_key *tokens, *scores, *types; /* scores, types: NULL where there are none */
    em_notes *notes;
    em_error *err;
} pieces;

static bool refuse(const pieces *p, const em_gguf_key *key, const char *why) {
    return em_fail_at(p->err, EM_INPUT, p->g->file, 0, key ? (int64_t)(key->data - p->g->data) : -1,
                      "%s", why);
}

static bool is_text(em_gguf_text t, const char *s) {
    return t.n == strlen(s) && !memcmp(t.data, s, t.n);
}

static int64_t type_of(const pieces *p, uint64_t i) {
    int64_t type = NORMAL;
    if (p->types) em_gguf_int_at(p->types, i, &type);
    return type;
}

static double score_of(const pieces *p, uint64_t i) {
    double score = 0;
    if (p->scores) em_gguf_number_at(p->scores, i, &score);
    return score;
}

/* An array of the key that goes with the tokens; *out NULL: there is none. */
static bool beside(const pieces *p, const char *name, bool whole, const em_gguf_key **out) {
    int64_t x;
    double y;
    *out = em_gguf_find(p->g, name);
    if (!*out) return true;
    bool good = (*out)->array && (*out)->n == p->tokens->n &&
                (whole ? em_gguf_int_at(*out, 0, &x) : em_gguf_number_at(*out, 0, &y));
    return good || em_fail_at(p->err, EM_INPUT, p->g->file, 0, (*out)->data - p->g->data,
                              "key %s is no list of one number for each of the %llu tokens", name,
                              (unsigned long long)p->tokens->n);
}

static bool open_pieces(pieces *p) {
    p->tokens = em_gguf_find(p->g, KEY "tokens");
    if (!p->tokens || !p->tokens->array || p->tokens->type != EM_GGUF_TEXT || !p->tokens->n ||
        p->tokens->n > INT32_MAX)
        return refuse(p, p->tokens, "key " KEY "tokens is no list of texts");
    return beside(p, KEY "scores", false, &p->scores) &&
           beside(p, KEY "token_type", true, &p->types);
}

/* The id of a key, or `otherwise`; -1: none. */
static bool read_id(const pieces *p, const char *name, int64_t otherwise, int64_t *out) {
    *out = otherwise;
    if (!em_gguf_int(p->g, name, -1, UINT32_MAX, out, p->err)) return false;
    if (*out == UINT32_MAX || *out >= (int64_t)p->tokens->n) *out = -1;
    return true;
}

/* ---- SentencePiece: the protocol buffer ModelProto (sentencepiece_model.proto) ---- */

static void put_varint(em_buffer *b, uint64_t x) {
    unsigned char bytes[10];
    size_t n = 0;
    do bytes[n++] = (unsigned char)(x & 127) | (x > 127 ? 128 : 0);
    while (x >>= 7);
    em_buffer_append(b, bytes, n, NULL);
}

static void put_number(em_buffer *b, unsigned field, int64_t x) {
    put_varint(b, field << 3);
    put_varint(b, (uint64_t)x);
}

static void put_bytes(em_buffer *b, unsigned field, const void *data, size_t n) {
    put_varint(b, field << 3 | 2);
    put_varint(b, n);
    em_buffer_append(b, data, n, NULL);
}

static void put_float(em_buffer *b, unsigned field, float x) {
    put_varint(b, field << 3 | 5);
    em_buffer_append(b, &x, 4, NULL);
}

static bool put_pieces(const pieces *p, em_buffer *out, bool *bytes) {
    const unsigned char *at = p->tokens->data;
    em_buffer piece = {0};
    for (uint64_t i = 0; i < p->tokens->n; i++) {
        em_gguf_text text = em_gguf_next_text(&at);
        int64_t type = type_of(p, i);
        if (type < NORMAL || type > BYTE) {
            em_buffer_free(&piece);
            return refuse(p, p->types, "key " KEY "token_type holds something else than 1 to 6");
        }
        *bytes |= type == BYTE;
        em_buffer_clear(&piece);
        put_bytes(&piece, 1, text.data, text.n);
        put_float(&piece, 2, (float)score_of(p, i));
        put_number(&piece, 3, type);
        put_bytes(out, 1, piece.data, piece.length);
    }
    em_buffer_free(&piece);
    return true;
}

/* A model made without tokenizer.model has one score for all of its tokens: what says which of two
 * merges comes first is lost. */
static bool merges_are_lost(const pieces *p) {
    double first = NAN;
    if (!p->scores) return true;
    for (uint64_t i = 0; i < p->tokens->n; i++) {
        if (type_of(p, i) != NORMAL) continue;
        if (isnan(first)) first = score_of(p, i);
        else if (score_of(p, i) != first) return false;
    }
    return true;
}

static bool put_trainer(const pieces *p, int kind, bool bytes, em_buffer *out) {
    int64_t unk, bos, eos, pad;
    em_buffer b = {0};
    if (!read_id(p, KEY "unknown_token_id", 0, &unk) || !read_id(p, KEY "bos_token_id", 1, &bos) ||
        !read_id(p, KEY "eos_token_id", 2, &eos) || !read_id(p, KEY "padding_token_id", -1, &pad))
        return false;
    put_number(&b, 3, kind);
    put_number(&b, 35, bytes);
    put_number(&b, 40, unk);
    put_number(&b, 41, bos);
    put_number(&b, 42, eos);
    put_number(&b, 43, pad);
    put_bytes(out, 2, b.data, b.length);
    em_buffer_free(&b);
    return true;
}

static bool put_normalizer(const pieces *p, bool spaces, em_buffer *out) {
    bool prefix = true;
    const em_gguf_key *map = em_gguf_find(p->g, KEY "precompiled_charsmap");
    em_buffer b = {0};
    if (!em_gguf_bool(p->g, KEY "add_space_prefix", &prefix, p->err) ||
        !em_gguf_bool(p->g, KEY "remove_extra_whitespaces", &spaces, p->err))
        return false;
    if (map && (!map->array || map->type != EM_GGUF_U8))
        return refuse(p, map, "key " KEY "precompiled_charsmap is no list of bytes");
    put_bytes(&b, 1, "identity", 8);
    if (map) put_bytes(&b, 2, map->data, (size_t)map->n);
    put_number(&b, 3, prefix);
    put_number(&b, 4, spaces);
    put_number(&b, 5, 1);
    put_bytes(out, 3, b.data, b.length);
    em_buffer_free(&b);
    return true;
}

static bool make_sentencepiece(const pieces *p, bool unigram, em_gguf_tokenizer *out) {
    bool bytes = false, bos = !unigram, eos = unigram;
    if (merges_are_lost(p))
        return em_notes_add(
            p->notes, p->err,
            "%s: all tokens have one score: the tokenizer's merges were lost when the file was "
            "made, and it cannot be used; give the model's own with --tokenizer",
            p->g->file);
    if (!put_pieces(p, &out->model, &bytes) ||
        !put_trainer(p, unigram ? 1 : 2, bytes, &out->model) ||
        !put_normalizer(p, unigram, &out->model) ||
        !em_gguf_bool(p->g, KEY "add_bos_token", &bos, p->err) ||
        !em_gguf_bool(p->g, KEY "add_eos_token", &eos, p->err))
        return false;
    em_buffer_printf(&out->config, "{\"add_bos_token\": %s, \"add_eos_token\": %s}\n",
                     bos ? "true" : "false", eos ? "true" : "false");
    return true;
}

/* ---- byte-level BPE: tokenizer.json ---- */

#define CONTRACTIONS "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define WORDS(digits) \
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits \
                 "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"

/* What tokenizer.ggml.pre stands for: the regular expressions that split a text, one after another.
 */
typedef struct pre {
    const char *name;
    const char *split[4];
    bool whole_words; /* in the vocabulary skip the merges */
    bool bos;         /* add_bos_token's default */
} pre;

static const pre pres[] = {
    {.name = "gpt-2", .split = {GPT2}},
    {.name = "mpt", .split = {GPT2}},
    {.name = "olmo", .split = {GPT2}},
    {.name = "jais", .split = {GPT2}},
    {.name = "smollm", .split = {"\\p{N}", GPT2}},
    {.name = "starcoder", .split = {"\\p{N}", GPT2}},
    {.name = "refact", .split = {"\\p{N}", GPT2}},
    {.name = "command-r", .split = {"\\p{N}", GPT2}},
    {.name = "codeshell", .split = {"\\p{N}", GPT2}},
    {.name = "exaone", .split = {"\\p{N}", GPT2}},
    {.name = "llama-bpe", .split = {WORDS("\\p{N}{1,3}")}, .whole_words = true, .bos = true},
    {.name = "llama3", .split = {WORDS("\\p{N}{1,3}")}, .whole_words = true, .bos = true},
    {.name = "llama-v3", .split = {WORDS("\\p{N}{1,3}")}, .whole_words = true, .bos = true},
    {.name = "smaug-bpe", .split = {WORDS("\\p{N}{1,3}")}},
    {.name = "dbrx", .split = {WORDS("\\p{N}{1,3}")}},
    {.name = "qwen2", .split = {WORDS("\\p{N}")}},
    {.name = "stablelm2", .split = {WORDS("\\p{N}")}},
    {.name = "default", .split = {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
};

static const pre *find_pre(em_gguf_text name) {
    for (size_t i = 0; i < sizeof pres / sizeof *pres; i++)
        if (is_text(name, pres[i].name)) return &pres[i];
    return NULL;
}

static void put_pre(const pre *how, em_buffer *out) {
    em_buffer_puts(out, "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [");
    for (int i = 0; i < 4 && how->split[i]; i++) {
        em_buffer_puts(out, "{\"type\": \"Split\", \"pattern\": {\"Regex\": ");
        em_buffer_json(out, how->split[i], strlen(how->split[i]));
        em_buffer_puts(out, "}, \"behavior\": \"Isolated\", \"invert\": false}, ");
    }
    em_buffer_puts(out, "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
                        "\"trim_offsets\": true, \"use_regex\": false}]},\n");
}

static void put_added(const pieces *p, em_buffer *out) {
    const unsigned char *at = p->tokens->data;
    const char *comma = "";
    em_buffer_puts(out, "\"added_tokens\": [");
    for (uint64_t i = 0; i < p->tokens->n; i++) {
        em_gguf_text text = em_gguf_next_text(&at);
        int64_t type = type_of(p, i);
        if (type != CONTROL && type != USER_DEFINED) continue;
        em_buffer_printf(out, "%s\n{\"id\": %llu, \"content\": ", comma, (unsigned long long)i);
        em_buffer_json(out, text.data, text.n);
        em_buffer_printf(out,
                         ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                         "\"normalized\": false, \"special\": %s}",
                         type == CONTROL ? "true" : "false");
        comma = ",";
    }
    em_buffer_puts(out, "],\n");
}

static void put_vocab(const pieces *p, em_buffer *out) {
    const unsigned char *at = p->tokens->data;
    em_buffer_puts(out, "\"vocab\": {");
    for (uint64_t i = 0; i < p->tokens->n; i++) {
        em_gguf_text text = em_gguf_next_text(&at);
        em_buffer_puts(out, i ? ",\n" : "");
        em_buffer_json(out, text.data, text.n);
        em_buffer_printf(out, ": %llu", (unsigned long long)i);
    }
    em_buffer_puts(out, "},\n");
}

static bool put_merges(const pieces *p, em_buffer *out) {
    const em_gguf_key *merges = em_gguf_find(p->g, KEY "merges");
    if (!merges || !merges->array || merges->type != EM_GGUF_TEXT)
        return refuse(p, merges, "key " KEY "merges is no list of texts");
    const unsigned char *at = merges->data;
    em_buffer_puts(out, "\"merges\": [");
    for (uint64_t i = 0; i < merges->n; i++) {
        em_gguf_text text = em_gguf_next_text(&at);
        em_buffer_puts(out, i ? ",\n" : "");
        em_buffer_json(out, text.data, text.n);
    }
    em_buffer_puts(out, "]");
    return true;
}

static em_gguf_text token(const pieces *p, int64_t id) {
    const unsigned char *at = p->tokens->data;
    em_gguf_text text = {"", 0};
    for (int64_t i = 0; i <= id; i++) text = em_gguf_next_text(&at);
    return text;
}

static void put_special(const pieces *p, int64_t id, em_buffer *out) {
    em_gguf_text text = token(p, id);
    em_buffer_puts(out, "{\"SpecialToken\": {\"id\": ");
    em_buffer_json(out, text.data, text.n);
    em_buffer_puts(out, ", \"type_id\": 0}}");
}

static void put_special_id(const pieces *p, int64_t id, em_buffer *out) {
    em_gguf_text text = token(p, id);
    em_buffer_json(out, text.data, text.n);
    em_buffer_printf(out, ": {\"id\": ");
    em_buffer_json(out, text.data, text.n);
    em_buffer_printf(out, ", \"ids\": [%lld], \"tokens\": [", (long long)id);
    em_buffer_json(out, text.data, text.n);
    em_buffer_puts(out, "]}");
}

/* BOS before and EOS behind a text, where the file adds them. */
static bool put_around(const pieces *p, bool bos_default, em_buffer *out) {
    bool bos = bos_default, eos = false;
    int64_t first, last;
    if (!em_gguf_bool(p->g, KEY "add_bos_token", &bos, p->err) ||
        !em_gguf_bool(p->g, KEY "add_eos_token", &eos, p->err) ||
        !read_id(p, KEY "bos_token_id", 11, &first) || !read_id(p, KEY "eos_token_id", 11, &last))
        return false;
    bos = bos && first >= 0;
    eos = eos && last >= 0;
    em_buffer_puts(out, "\"post_processor\": ");
    if (!bos && !eos) {
        em_buffer_puts(out, "null,\n");
        return true;
    }
    em_buffer_puts(out, "{\"type\": \"TemplateProcessing\", \"single\": [");
    if (bos) put_special(p, first, out), em_buffer_puts(out, ", ");
    em_buffer_puts(out, "{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}");
    if (eos) em_buffer_puts(out, ", "), put_special(p, last, out);
    em_buffer_puts(out, "], \"pair\": [{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, "
                        "{\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}], \"special_tokens\": {");
    if (bos) put_special_id(p, first, out);
    if (bos && eos && first != last) em_buffer_puts(out, ", ");
    if (eos && (!bos || first != last)) put_special_id(p, last, out);
    em_buffer_puts(out, "}},\n");
    return true;
}

static bool make_bpe(const pieces *p, em_gguf_tokenizer *out) {
    em_gguf_text name = {"default", 7};
    em_buffer *b = &out->json;
    if (!em_gguf_text_of(p->g, KEY "pre", &name, p->err)) return false;
    const pre *how = find_pre(name);
    if (!how)
        return em_notes_add(p->notes, p->err,
                            "%s: its pre-tokenizer %.*s is not known, so its tokenizer cannot be "
                            "used; give the model's own with --tokenizer",
                            p->g->file, name.n < 60 ? (int)name.n : 60, name.data);
    em_buffer_puts(b, "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null,\n");
    put_added(p, b);
    em_buffer_puts(b, "\"normalizer\": null,\n");
    put_pre(how, b);
    if (!put_around(p, how->bos, b)) return false;
    em_buffer_printf(b,
                     "\"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, "
                     "\"trim_offsets\": true, \"use_regex\": true},\n\"model\": {\"type\": "
                     "\"BPE\", \"dropout\": null, \"unk_token\": null, "
                     "\"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, "
                     "\"fuse_unk\": false, \"byte_fallback\": false, \"ignore_merges\": %s,\n",
                     how->whole_words ? "true" : "false");
    put_vocab(p, b);
    if (!put_merges(p, b)) return false;
    em_buffer_puts(b, "}}\n");
    return true;
}

/* ---- together ---- */

bool em_gguf_tokenizer_make(const em_gguf *g, em_gguf_tokenizer *out, em_notes *notes,
                            em_error *err) {
    pieces p = {.g = g, .notes = notes, .err = err};
    em_gguf_text kind = {"none", 4};
    if (!em_gguf_text_of(g, KEY "model", &kind, err)) return false;
    if (is_text(kind, "none")) return true;
    bool spm = is_text(kind, "llama"), unigram = is_text(kind, "t5"), bpe = is_text(kind, "gpt2");
    if (!spm && !unigram && !bpe)
        return em_notes_add(notes, err,
                            "%s: its tokenizer is of the kind %.*s, which is not read; give the "
                            "model's own with --tokenizer",
                            g->file, kind.n < 60 ? (int)kind.n : 60, kind.data);
    return open_pieces(&p) && (bpe ? make_bpe(&p, out) : make_sentencepiece(&p, unigram, out));
}

void em_gguf_tokenizer_free(em_gguf_tokenizer *t) {
    em_buffer_free(&t->json);
    em_buffer_free(&t->model);
    em_buffer_free(&t->config);
}
