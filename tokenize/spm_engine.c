/* SentencePiece models as a tokenizer. BPE and Unigram models are encoded by ourselves, stretch by
 * stretch as the text is normalized (spm_model.h says why that is the same), so that memory does
 * not grow with the text; every other model by the library, which takes a text as a whole. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "tokenize/charsmap.h"
#include "tokenize/engine.h"
#include "tokenize/spm_model.h"
#include "tokenize/unicode.h"
#include "tokenize/word_cache.h"

typedef struct spm_added {
    int32_t id;
    em_extra flags; /* without a text */
} spm_added;

typedef struct spm_model {
    em_spm *library; /* owned */
    bool ours;       /* pieces say all that a text's tokens need */
    em_spm_pieces pieces;
    /* Tokens that other files add, found before all pieces. */
    spm_added *listed; /* in order */
    size_t n_listed, listed_capacity;
    em_vocab names; /* of those that are no pieces, by id */
    em_added added;
    bool space_each; /* the dummy space goes before each stretch between them */
} spm_model;

/* Working memory of a thread. */
typedef struct spm_scratch {
    em_spm_merger merger;
    em_word_cache *cache;
    char *text;      /* the stretch at hand, normalized */
    uint32_t *begin; /* by byte of it: where in the input the character begins that it is of */
    size_t n, text_capacity, begin_capacity;
} spm_scratch;

/* ---- tokens and the bytes of the input that they cover ---- */

typedef struct encoder {
    const spm_model *m;
    spm_scratch *s;
    em_tokens *out;
    em_error *err;
    uint32_t covered;
    uint32_t byte_pieces; /* of the character at hand, which SentencePiece gives whole to its last
                             piece */
    size_t base;          /* where in the input the text begins that the library has */
    bool after_unknown;   /* the token before is the unknown one: a run of them is one token */
    /* of our own way */
    size_t at;       /* bytes of the stretch that have tokens */
    uint32_t behind; /* where in the input the character behind the stretch begins */
    int32_t ids[EM_CACHED_WORD];
    uint32_t lengths[EM_CACHED_WORD];
    size_t n_kept;
    float score; /* of Unigram: of the path so far */
} encoder;

/* The character's pieces cover a byte each, unless a normalizer made it of another length. */
static void share_bytes(encoder *e, uint32_t bytes) {
    if (bytes != e->byte_pieces) return;
    for (uint32_t i = 1; i <= bytes; i++) e->out->bytes[e->out->n - i] = 1;
}

/* The next token, and where in the input it ends. */
static bool put(encoder *e, int32_t id, uint32_t end, bool is_byte) {
    uint32_t bytes = end > e->covered ? end - e->covered : 0;
    e->covered += bytes;
    if (!em_tokens_push(e->out, id, bytes, e->err)) return false;
    e->byte_pieces = is_byte ? e->byte_pieces + 1 : 0;
    if (bytes == 0 || e->byte_pieces == 0) return true;
    share_bytes(e, bytes);
    e->byte_pieces = 0;
    return true;
}

/* ---- by the library ---- */

static bool put_piece(void *context, int32_t id, uint32_t end) {
    encoder *e = context;
    return put(e, id, (uint32_t)e->base + end, em_spm_is_byte(e->m->library, id));
}

static bool encode_by_library(encoder *e, const char *text, size_t n) {
    char why[256];
    bool memory;
    if (em_spm_encode(e->m->library, text, n, put_piece, e, why, sizeof why, &memory)) return true;
    if (memory) return em_fail_memory(e->err, n, "SentencePiece's work on a text of that size");
    if (why[0]) em_fail(e->err, EM_INPUT, "SentencePiece cannot encode the text: %s", why);
    return false;
}

/* ---- by ourselves: a stretch that is whole ---- */

static bool put_own(encoder *e, int32_t id, size_t bytes) {
    const em_spm_pieces *p = &e->m->pieces;
    e->at += bytes;
    uint32_t end = e->at < e->s->n ? e->s->begin[e->at] : e->behind;
    bool unknown = id == p->unknown;
    if (unknown && e->after_unknown) {
        e->out->bytes[e->out->n - 1] += end > e->covered ? end - e->covered : 0;
        if (end > e->covered) e->covered = end;
        return true;
    }
    e->after_unknown = unknown;
    return put(e, id, end, p->vocab.tokens[id].flags & EM_TOKEN_BYTE);
}

static bool put_long(void *context, int32_t id, size_t bytes) {
    return put_own(context, id, bytes);
}

static bool keep(void *context, int32_t id, size_t bytes) {
    encoder *e = context;
    e->ids[e->n_kept] = id;
    e->lengths[e->n_kept++] = (uint32_t)bytes;
    return true;
}

static bool put_word(encoder *e, const em_word *word) {
    for (size_t i = 0; i < word->n; i++)
        if (!put_own(e, word->ids[i], word->lengths[i])) return false;
    return true;
}

static bool segment(encoder *e, const char *text, size_t n, em_spm_sink *sink) {
    return em_spm_segment(&e->m->pieces, &e->s->merger, text, n, sink, e, e->err);
}

/* Encodes the stretch at hand, which a character that begins at behind follows, and empties it. */
static bool finish_stretch(encoder *e, uint32_t behind) {
    spm_scratch *s = e->s;
    em_word word;
    e->at = 0;
    e->behind = behind;
    bool ok = true;
    if (e->m->pieces.unigram) { /* no cache: the sum so far decides how the next is rounded */
        ok = !s->n || em_spm_best_path(&e->m->pieces, &s->merger, s->text, s->n, &e->score,
                                       put_long, e, e->err);
    } else if (s->n > EM_CACHED_WORD) {
        ok = segment(e, s->text, s->n, put_long);
    } else if (s->n) {
        uint64_t hash = em_word_hash(s->text, s->n);
        if (!em_word_cache_get(s->cache, hash, s->text, s->n, &word)) {
            e->n_kept = 0;
            if (!segment(e, s->text, s->n, keep)) return false;
            word = (em_word){e->ids, e->lengths, e->n_kept};
            em_word_cache_put(s->cache, hash, s->text, s->n, &word);
        }
        ok = put_word(e, &word);
    }
    s->n = 0;
    return ok;
}

/* ---- by ourselves: normalizing ---- */

typedef struct normalizer {
    encoder *e;
    int32_t before; /* the character before; -1: none */
    bool after_space;
} normalizer;

static bool room(spm_scratch *s, em_error *err) {
    return em_grow(&s->text, &s->text_capacity, s->n + 4, 1, "a normalized text", err) &&
           em_grow(&s->begin, &s->begin_capacity, s->n + 4, sizeof *s->begin, "a normalized text",
                   err);
}

/* Appends a character of the normalized text, made of what begins at begin in the input. Where no
 * merge reaches across, the stretch before it is whole. A run of spaces stays together: it may have
 * to go at the text's end. */
static inline bool put_character(normalizer *z, const char *bytes, unsigned n, int32_t c,
                                 uint32_t begin) {
    spm_scratch *s = z->e->s;
    if (z->before >= 0 && !em_spm_joined(&z->e->m->pieces, z->before, c) &&
        !(z->before == ' ' && c == ' ') && !finish_stretch(z->e, begin))
        return false;
    z->before = c;
    if (s->n + 4 > s->text_capacity || s->n + 4 > s->begin_capacity)
        if (!room(s, z->e->err)) return false;
    for (unsigned i = 0; i < n; i++) {
        s->text[s->n] = bytes[i];
        s->begin[s->n++] = begin;
    }
    return true;
}

static bool put_space(normalizer *z, uint32_t begin) {
    return put_character(z, " ", 1, ' ', begin);
}

/* What the rules make of the input at text: n bytes of it (at least one character) become out. */
typedef struct rewritten {
    const char *out;
    size_t out_n, n;
} rewritten;

static inline rewritten rewrite(const em_spm_pieces *p, const char *text, size_t n) {
    const char *becomes = NULL;
    size_t user = em_added_prefix(&p->user, text, n);
    if (user) return (rewritten){text, user, user};
    size_t rule = em_charsmap_longest(&p->charsmap, text, n, &becomes);
    if (rule) return (rewritten){becomes, strlen(becomes), rule};
    unsigned length = em_utf8_length((unsigned char)text[0]);
    return (rewritten){text, length, length};
}

static bool put_rewritten(normalizer *z, rewritten r, uint32_t begin) {
    unsigned length;
    size_t i = 0;
    while (z->after_space && i < r.out_n && r.out[i] == ' ') i++;
    if (i == r.out_n) return true; /* nothing is left, and after_space stays as it is */
    z->after_space = r.out[r.out_n - 1] == ' ';
    for (; i < r.out_n; i += length) {
        int32_t c = em_utf8_at(r.out + i, &length);
        if (!(c == ' ' || c == EM_SPM_SPACE ? put_space(z, begin)
                                            : put_character(z, r.out + i, length, c, begin)))
            return false;
    }
    return true;
}

/* Spaces at the end go; what they were of is counted with the last token. */
static uint32_t strip_end(spm_scratch *s, uint32_t end) {
    while (s->n && s->text[s->n - 1] == ' ') end = s->begin[--s->n];
    return end;
}

/* As Normalizer::Normalize of SentencePiece 0.1.97, input[from, to) as a text of its own. */
static bool encode_own(encoder *e, const char *input, size_t from, size_t to, bool prefix) {
    const em_spm_pieces *p = &e->m->pieces;
    normalizer z = {.e = e, .before = -1, .after_space = p->remove_extra};
    size_t at = from;
    rewritten r;
    e->s->n = 0;
    e->after_unknown = false;
    e->byte_pieces = 0;
    e->score = 0;
    while (p->remove_extra && at < to) {
        r = rewrite(p, input + at, to - at);
        if (r.out_n != 1 || r.out[0] != ' ') break;
        at += r.n;
    }
    if (at == to) return true;
    if (prefix && p->dummy_prefix && !put_space(&z, (uint32_t)at)) return false;
    for (; at < to; at += r.n) {
        r = rewrite(p, input + at, to - at);
        if (!put_rewritten(&z, r, (uint32_t)at)) return false;
        if (!p->remove_extra) z.after_space = false;
    }
    return finish_stretch(e, p->remove_extra ? strip_end(e->s, (uint32_t)to) : (uint32_t)to);
}

/* ---- texts: stretches between added tokens ---- */

/* As transformers does: the dummy space goes before the text, and before each later stretch where
 * `legacy` is in force and the stretch begins with no space. */
static bool encode_between(encoder *e, const char *text, size_t from, size_t to) {
    if (from == to) return true;
    bool prefix = from == 0 || (e->m->space_each && text[from] != ' ');
    if (e->m->ours) return encode_own(e, text, from, to, prefix);
    e->base = from;
    return encode_by_library(e, text + from, to - from);
}

static bool encode(const void *model, void *scratch, const char *text, size_t n, em_tokens *out,
                   em_error *err) {
    encoder e = {.m = model, .s = scratch, .out = out, .err = err};
    size_t first = out->n, done = 0, from = 0, start, end;
    int32_t id;
    while (em_added_next(&e.m->added, text, n, done, &from, &start, &end, &id)) {
        if (!encode_between(&e, text, done, start) || !put(&e, id, (uint32_t)end, false))
            return false;
        done = end;
    }
    if (!encode_between(&e, text, done, n)) return false;
    if (out->n > first) out->bytes[out->n - 1] += (uint32_t)n - e.covered; /* dropped at the end */
    return true;
}

/* ---- added tokens ---- */

static int32_t id_of(const void *model, const char *token) {
    const spm_model *m = model;
    int32_t id = em_spm_id(m->library, token);
    return id >= 0 ? id : em_vocab_find(&m->names, token, strlen(token));
}

static spm_added *find_added(const spm_model *m, int32_t id) {
    for (size_t i = 0; i < m->n_listed; i++)
        if (m->listed[i].id == id) return &m->listed[i];
    return NULL;
}

static bool is_added(const void *model, const char *text, em_extra *flags) {
    int32_t id = id_of(model, text);
    const spm_added *a = id >= 0 ? find_added(model, id) : NULL;
    if (a) *flags = a->flags;
    return a != NULL;
}

static const char *name_of(const spm_model *m, int32_t id) {
    return id < em_spm_size(m->library) ? em_spm_piece(m->library, id)
                                        : em_vocab_text(&m->names, id);
}

static bool add_token(void *model, const em_extra *token, int32_t *id, em_error *err) {
    spm_model *m = model;
    *id = id_of(model, token->text);
    if (*id < 0) {
        int32_t pieces = em_spm_size(m->library);
        *id = m->names.size > pieces ? m->names.size : pieces;
        if (!em_vocab_add(&m->names, token->text, token->n, *id, EM_TOKEN_LITERAL, err))
            return false;
    }
    spm_added *a = find_added(m, *id);
    if (!a) {
        if (!em_grow(&m->listed, &m->listed_capacity, m->n_listed + 1, sizeof *m->listed,
                     "the added tokens", err))
            return false;
        a = &m->listed[m->n_listed++];
    }
    *a = (spm_added){*id, *token};
    a->flags.text = NULL;
    return true;
}

static bool add_own(void *model, em_error *err) {
    spm_model *m = model;
    for (int32_t id = 0; id < em_spm_size(m->library); id++) {
        const char *piece = em_spm_piece(m->library, id);
        em_extra token = {.text = piece, .n = strlen(piece), .special = true};
        int32_t same = id;
        if (!em_spm_is_control(m->library, id) || find_added(m, id)) continue;
        if (!add_token(m, &token, &same, err)) return false;
    }
    return true;
}

static bool ready(void *model, em_error *err) {
    spm_model *m = model;
    em_added_free(&m->added);
    if (m->n_listed && !m->ours && !m->space_each)
        return em_fail(
            err, EM_INPUT,
            "tokenizer_config.json asks for `legacy` false, a dummy space before the text "
            "alone and not behind added tokens, which is done for BPE and Unigram models "
            "only");
    for (size_t i = 0; i < m->n_listed; i++) {
        const em_extra *x = &m->listed[i].flags;
        const char *text = name_of(m, m->listed[i].id);
        em_added_token t = {m->listed[i].id, x->single_word, x->lstrip, x->rstrip};
        if (!em_added_insert(&m->added, text, strlen(text), &t, err)) return false;
    }
    return true;
}

static em_prefix_space prefix_space(const void *model) {
    return (em_prefix_space){.there = ((const spm_model *)model)->pieces.dummy_prefix};
}

static bool set_prefix_space(void *model, bool there, em_error *err) {
    spm_model *m = model;
    m->pieces.dummy_prefix = there;
    return m->ours ||
           em_fail(err, EM_INPUT,
                   "tokenizer_config.json: add_prefix_space is followed for models of the "
                   "kinds BPE and Unigram only");
}

static void space_each(void *model, bool each) { ((spm_model *)model)->space_each = each; }

/* ---- the engine ---- */

static void scratch_free(void *scratch) {
    spm_scratch *s = scratch;
    em_spm_merger_free(&s->merger);
    em_word_cache_free(s->cache);
    free(s->text);
    free(s->begin);
    free(s);
}

static void *scratch_new(const void *model, em_error *err) {
    const spm_model *m = model;
    spm_scratch *s = em_alloc(1, sizeof *s, "a tokenizer's working memory", err);
    if (!s || !m->ours) return s; /* the library allocates for itself */
    s->cache = em_word_cache_new(err);
    if (s->cache) return s;
    scratch_free(s);
    return NULL;
}

static void close_model(void *model) {
    spm_model *m = model;
    em_spm_close(m->library);
    em_spm_pieces_free(&m->pieces);
    em_vocab_free(&m->names);
    em_added_free(&m->added);
    free(m->listed);
    free(m);
}

static size_t text_of(const void *model, int32_t id, char *out, size_t n) {
    const spm_model *m = model;
    const char *name = name_of(m, id);
    size_t written = 0;
    if (id < em_spm_size(m->library)) return em_piece_text(name, strlen(name), out, n);
    while (*name) em_text_byte(out, n, &written, *name++);
    return written;
}

static const em_engine spm_engine = {.encode = encode,
                                     .scratch_new = scratch_new,
                                     .scratch_free = scratch_free,
                                     .close = close_model,
                                     .id = id_of,
                                     .text = text_of,
                                     .added = is_added,
                                     .add = add_token,
                                     .add_own = add_own,
                                     .ready = ready,
                                     .prefix_space = prefix_space,
                                     .set_prefix_space = set_prefix_space,
                                     .space_each = space_each};

static bool open_library(spm_model *m, const char *source, const void *data, size_t size,
                         em_error *err) {
    char why[256] = "";
    bool memory;
    m->library = em_spm_open(data, size, why, sizeof why, &memory);
    if (m->library) return true;
    if (memory) return em_fail_memory(err, size, source);
    return em_fail_at(err, EM_INPUT, source, 0, -1, "SentencePiece cannot read this model: %s",
                      why);
}

bool em_open_sentencepiece(em_tokenizer *t, const char *source, const void *data, size_t size,
                           em_error *err) {
    if (!em_charsmap_check(data, size, err)) return false;
    spm_model *m = em_alloc(1, sizeof *m, "a tokenizer", err);
    if (!m) return false;
    t->file = "tokenizer.model";
    t->engine = &spm_engine;
    t->model = m;
    if (!open_library(m, source, data, size, err) ||
        !em_spm_pieces_read(&m->pieces, data, size, &m->ours, err))
        return false;
    t->size = em_spm_size(m->library);
    t->bos = em_spm_bos(m->library);
    t->eos = em_spm_eos(m->library);
    if (t->bos >= 0) t->prefix = (em_affix){{t->bos}, 1};
    snprintf(t->describe, sizeof t->describe, "SentencePiece, %d tokens", t->size);
    return true;
}
