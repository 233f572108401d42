/* Reads a SentencePiece model: pieces, scores, rules. */
#include "tokenize/spm_model.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "tokenize/protobuf.h"
#include "tokenize/unicode.h"

#define JOINED_BITS (1u << 20)
#define MOST_PIECES (1u << 22)

void em_spm_pieces_free(em_spm_pieces *p) {
    em_vocab_free(&p->vocab);
    em_added_free(&p->user);
    em_added_free(&p->frozen);
    em_added_free(&p->held);
    free(p->scores);
    free(p->ranks);
    free(p->joined);
    free(p->rules);
    *p = (em_spm_pieces){0};
}

/* ---- fields of sentencepiece_model.proto ---- */

enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5, BYTE = 6 };
enum { MODEL_UNIGRAM = 1, MODEL_BPE = 2 };

typedef struct reader {
    em_spm_pieces *p;
    size_t scores_capacity;
    uint64_t model_type;
    bool odd; /* something that we do not follow */
} reader;

static float as_float(uint64_t bits) {
    uint32_t low = (uint32_t)bits;
    float f;
    memcpy(&f, &low, sizeof f);
    return f;
}

static bool add_byte(em_spm_pieces *p, const char *text, int32_t id) {
    unsigned byte;
    if (sscanf(text, "<0x%2X>", &byte) != 1) return false;
    p->byte_ids[byte] = id;
    p->vocab.tokens[id].flags |= EM_TOKEN_BYTE;
    return true;
}

static bool one_character(const char *text, size_t n) {
    return n && em_utf8_length((unsigned char)text[0]) >= n;
}

/* The piece as it stands in a normalized text, with spaces for U+2581; returns its bytes. One that
 * holds a space itself stands in none: a byte that is in no text goes in front of it. */
static size_t spelled(const char *text, size_t n, char out[EM_SPM_LONGEST + 1]) {
    size_t length = 0;
    if (memchr(text, ' ', n)) out[length++] = '\xff';
    for (size_t i = 0; i < n; i++) {
        bool space = n - i >= 3 && !memcmp(text + i, "\xe2\x96\x81", 3);
        out[length++] = space ? ' ' : text[i];
        i += space ? 2 : 0;
    }
    return length;
}

static bool add_user_defined(em_spm_pieces *p, const char *text, size_t n, const char *spelling,
                             size_t spelling_n, int32_t id, em_error *err) {
    em_added_token token = {.id = id};
    return em_added_insert(&p->user, text, n, &token, err) &&
           (spelling[0] == '\xff' ||
            em_added_insert(&p->frozen, spelling, spelling_n, &token, err));
}

static bool add_piece(reader *r, const char *text, size_t n, float score, uint64_t type,
                      em_error *err) {
    char spelling[EM_SPM_LONGEST + 1];
    em_spm_pieces *p = r->p;
    int32_t id = p->vocab.size;
    bool held = type == NORMAL || type == USER_DEFINED;
    r->odd |= type == UNUSED || isnan(score) || n > EM_SPM_LONGEST || !n ||
              (uint32_t)id >= MOST_PIECES || em_utf8_check(text, n) != n ||
              (!held && one_character(text, n));
    if (r->odd) return true;
    size_t length = spelled(text, n, spelling);
    if (em_vocab_find(&p->vocab, spelling, length) >= 0) return r->odd = true;
    if (!em_grow(&p->scores, &r->scores_capacity, (size_t)id + 1, sizeof *p->scores, "scores", err))
        return false;
    p->scores[id] = score;
    if (!em_vocab_add(&p->vocab, spelling, length, id, held ? EM_TOKEN_MODEL : EM_TOKEN_LITERAL,
                      err))
        return false;
    if (held && length > p->longest) p->longest = (uint32_t)length;
    if (type == NORMAL && score < p->least) p->least = score;
    if (type == NORMAL && score > p->most) p->most = score;
    if (type == USER_DEFINED) p->vocab.tokens[id].flags |= EM_TOKEN_USER;
    if (type == UNKNOWN) p->unknown = id;
    if (type == BYTE) r->odd |= !add_byte(p, em_vocab_text(&p->vocab, id), id);
    return type != USER_DEFINED || add_user_defined(p, text, n, spelling, length, id, err);
}

static bool read_piece(reader *r, em_proto message, em_error *err) {
    em_proto_field f;
    em_proto text = {0};
    float score = 0;
    uint64_t type = NORMAL;
    while (em_proto_next(&message, &f)) {
        if (f.number == 1) text = f.content;
        if (f.number == 2) score = as_float(f.value);
        if (f.number == 3) type = f.value;
    }
    return add_piece(r, (const char *)text.at, (size_t)(text.end - text.at), score, type, err);
}

static void read_trainer(reader *r, em_proto message) {
    em_proto_field f;
    while (em_proto_next(&message, &f)) {
        if (f.number == 3) r->model_type = f.value;
        if (f.number == 24) r->odd |= f.value != 0; /* treat_whitespace_as_suffix */
        if (f.number == 35) r->p->byte_fallback = f.value != 0;
    }
}

static bool copy_charsmap(reader *r, em_proto rules, em_error *err) {
    em_spm_pieces *p = r->p;
    size_t n = (size_t)(rules.end - rules.at);
    free(p->rules);
    if (!(p->rules = em_alloc(n + 4, 1, "normalization rules", err))) return false;
    if (n) memcpy(p->rules, rules.at, n);
    if (!em_charsmap_open(&p->charsmap, p->rules, n, err)) return false;
    size_t before = 4 + 4 * (size_t)p->charsmap.n_units;
    r->odd |= n && em_utf8_check((char *)p->rules + before, n - before) != n - before;
    return true;
}

static bool read_normalizer(reader *r, em_proto message, em_error *err) {
    em_proto_field f;
    while (em_proto_next(&message, &f)) {
        if (f.number == 2 && !copy_charsmap(r, f.content, err)) return false;
        if (f.number == 3) r->p->dummy_prefix = f.value != 0;
        if (f.number == 4) r->p->remove_extra = f.value != 0;
        if (f.number == 5) r->odd |= f.value == 0; /* escape_whitespaces */
    }
    return true;
}

static bool read_fields(reader *r, em_proto model, em_error *err) {
    em_proto_field f;
    while (em_proto_next(&model, &f)) {
        if (f.number == 1 && !read_piece(r, f.content, err)) return false;
        if (f.number == 2) read_trainer(r, f.content);
        if (f.number == 3 && !read_normalizer(r, f.content, err)) return false;
    }
    return true;
}

/* ---- ranks of scores ---- */

typedef struct scored {
    float score;
    int32_t id;
} scored;

static int by_score(const void *a, const void *b) {
    const scored *x = a, *y = b;
    return (x->score < y->score) - (x->score > y->score);
}

static bool rank_scores(em_spm_pieces *p, em_error *err) {
    size_t n = (size_t)p->vocab.size;
    scored *order = em_alloc(n, sizeof *order, "scores", err);
    p->ranks = order ? em_alloc(n, sizeof *p->ranks, "scores", err) : NULL;
    for (size_t i = 0; p->ranks && i < n; i++) order[i] = (scored){p->scores[i], (int32_t)i};
    if (p->ranks) qsort(order, n, sizeof *order, by_score);
    uint32_t rank = 0;
    for (size_t i = 0; p->ranks && i < n; i++) {
        rank += i && order[i].score != order[i - 1].score;
        p->ranks[order[i].id] = rank;
    }
    free(order);
    return p->ranks != NULL;
}

/* ---- which neighbours a piece may join ---- */

static size_t joined_bit(int32_t a, int32_t b) {
    uint64_t pair = (uint64_t)(uint32_t)a << 32 | (uint32_t)b;
    return (size_t)((pair * 0x9e3779b97f4a7c15u) >> 44) & (JOINED_BITS - 1);
}

/* Collisions of the hash only lose a cut. */
bool em_spm_joined_wide(const em_spm_pieces *p, int32_t a, int32_t b) {
    size_t bit = joined_bit(a, b);
    return p->joined[bit / 64] >> bit % 64 & 1;
}

static void note_pair(em_spm_pieces *p, int32_t a, int32_t b) {
    size_t bit = joined_bit(a, b);
    p->joined[bit / 64] |= (uint64_t)1 << bit % 64;
    if (a < 128 && b < 128) p->joined_ascii[a][b >> 6] |= (uint64_t)1 << (b & 63);
}

static bool note_pairs(em_spm_pieces *p, em_error *err) {
    p->joined = em_alloc(JOINED_BITS / 64, sizeof *p->joined, "the pieces", err);
    for (int32_t id = 0; p->joined && id < p->vocab.size; id++) {
        const em_vocab_entry *e = &p->vocab.tokens[id];
        const char *s = em_vocab_text(&p->vocab, id);
        int32_t before = -1;
        unsigned length;
        if (!(e->flags & EM_TOKEN_MODEL) || s[0] == '\xff') continue; /* in no text */
        for (size_t i = 0; i < e->length; i += length) {
            int32_t c = em_utf8_at(s + i, &length);
            if (before >= 0) note_pair(p, before, c);
            before = c;
        }
    }
    return p->joined != NULL;
}

/* The trie of a Unigram model; one whose piece is in no text has no use. */
static bool hold_pieces(em_spm_pieces *p, em_error *err) {
    for (int32_t id = 0; id < p->vocab.size; id++) {
        const char *s = em_vocab_text(&p->vocab, id);
        em_added_token token = {.id = id};
        if (!(p->vocab.tokens[id].flags & EM_TOKEN_MODEL) || s[0] == '\xff') continue;
        if (!em_added_insert(&p->held, s, p->vocab.tokens[id].length, &token, err)) return false;
    }
    return true;
}

static bool bytes_are_there(const em_spm_pieces *p) {
    for (int i = 0; i < 256 && p->byte_fallback; i++)
        if (p->byte_ids[i] < 0) return false;
    return true;
}

bool em_spm_pieces_read(em_spm_pieces *p, const void *data, size_t size, bool *ours,
                        em_error *err) {
    reader r = {.p = p, .model_type = MODEL_UNIGRAM};
    /* least and most begin as in unigram_model.cc */
    *p = (em_spm_pieces){.unknown = -1,
                         .dummy_prefix = true,
                         .remove_extra = true,
                         .least = FLT_MAX,
                         .most = FLT_MIN};
    for (int i = 0; i < 256; i++) p->byte_ids[i] = -1;
    bool ok = read_fields(&r, (em_proto){data, (const unsigned char *)data + size}, err);
    p->unigram = r.model_type == MODEL_UNIGRAM;
    *ours = ok && !r.odd && (p->unigram || r.model_type == MODEL_BPE) && p->unknown >= 0 &&
            bytes_are_there(p);
    if (!*ours) return ok;
    return note_pairs(p, err) && (p->unigram ? hold_pieces(p, err) : rank_scores(p, err));
}
