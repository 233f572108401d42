/* llama2.c's tok*.bin (github.com/karpathy/llama2.c, run.c and tokenizer.py): int32 longest token,
 * then for each id a float score, an int32 length and the token's bytes, all little-endian. The
 * best-scoring merge of two neighbours goes first, the leftmost of equal ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "tokenize/engine.h"
#include "tokenize/unicode.h"
#include "tokenize/vocab.h"

enum { BOS = 1, EOS = 2, FIRST_BYTE = 3, FIRST_PIECE = 259 };

typedef struct llama2c_model {
    em_vocab vocab;
    float *scores;
} llama2c_model;

typedef struct symbol {
    int32_t id, previous, next;
    uint32_t length, bytes; /* of the token's string (0: merged away), of the input */
} symbol;

typedef struct candidate {
    float score;
    int32_t at, left, right, id;
} candidate;

typedef struct llama2c_scratch {
    symbol *symbols;
    candidate *heap;
    char *both; /* two tokens' strings side by side */
    size_t n_symbols, symbols_capacity, n_heap, heap_capacity, both_capacity;
} llama2c_scratch;

static int32_t int_at(const unsigned char *p) {
    return (int32_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                     (uint32_t)p[3] << 24);
}

/* The length of the token at data[at], or -1 where it does not fit. */
static int64_t token_at(const unsigned char *data, size_t size, size_t at, int32_t longest) {
    if (size - at < 8) return -1;
    int32_t n = int_at(data + at + 4);
    return n < 0 || n > longest || (size_t)n > size - at - 8 ? -1 : n;
}

bool em_is_llama2c(const void *data, size_t size) {
    int64_t n;
    if (size < 4) return false;
    int32_t longest = int_at(data);
    if (longest < 1 || longest > 1 << 16) return false;
    size_t at = 4;
    while (at < size && (n = token_at(data, size, at, longest)) >= 0) at += 8 + (size_t)n;
    return at == size && at > 4;
}

/* ---- opening ---- */

static void close_model(void *model) {
    llama2c_model *m = model;
    em_vocab_free(&m->vocab);
    free(m->scores);
    free(m);
}

static bool add_token(llama2c_model *m, const char *text, size_t n, int32_t id, em_error *err) {
    char bytes[8];
    snprintf(bytes, sizeof bytes, "<0x%02X>", (unsigned)(id - FIRST_BYTE) & 255);
    bool is_byte = id >= FIRST_BYTE && id < FIRST_PIECE;
    if (is_byte && (n != 6 || memcmp(text, bytes, 6)))
        return em_fail(err, EM_INPUT, "token %d is not the byte %s, as llama2.c has it", id, bytes);
    return em_vocab_add(&m->vocab, text, n, id, id < FIRST_BYTE ? EM_TOKEN_LITERAL : EM_TOKEN_MODEL,
                        err);
}

static bool read_tokens(llama2c_model *m, const unsigned char *data, size_t size, em_error *err) {
    size_t at = 4, capacity = 0;
    for (int32_t id = 0; at < size; id++) {
        size_t n = (size_t)int_at(data + at + 4);
        if (!em_grow(&m->scores, &capacity, (size_t)id + 1, sizeof *m->scores, "a tokenizer", err))
            return false;
        memcpy(&m->scores[id], data + at, sizeof *m->scores);
        if (m->scores[id] != m->scores[id])
            return em_fail_at(err, EM_INPUT, NULL, 0, (int64_t)at,
                              "the score of token %d is not a number", id);
        if (!add_token(m, (const char *)data + at + 8, n, id, err))
            return em_error_place(err, NULL, 0, (int64_t)at);
        at += 8 + n;
    }
    if (m->vocab.size >= FIRST_PIECE) return true;
    return em_fail(err, EM_INPUT,
                   "it has %d tokens: llama2.c's three special ones and 256 bytes make 259 already",
                   m->vocab.size);
}

/* ---- encoding ---- */

static bool add_symbol(llama2c_scratch *s, int32_t id, size_t length, uint32_t bytes,
                       em_error *err) {
    if (!em_grow(&s->symbols, &s->symbols_capacity, s->n_symbols + 1, sizeof *s->symbols,
                 "a text's tokens", err))
        return false;
    int32_t at = (int32_t)s->n_symbols;
    if (at) s->symbols[at - 1].next = at;
    s->symbols[s->n_symbols++] = (symbol){id, at - 1, -1, (uint32_t)length, bytes};
    return true;
}

static bool first_symbols(const llama2c_model *m, llama2c_scratch *s, const char *text, size_t n,
                          em_error *err) {
    int32_t space = em_vocab_find(&m->vocab, " ", 1);
    s->n_symbols = 0;
    if (space < 0)
        return em_fail(err, EM_INPUT,
                       "the tokenizer has no token for a space, which llama2.c puts before a text");
    if (!add_symbol(s, space, 1, 0, err)) return false;
    for (size_t i = 0; i < n;) {
        unsigned length = em_utf8_length((unsigned char)text[i]);
        int32_t id = em_vocab_find(&m->vocab, text + i, length);
        if (id >= 0 && !add_symbol(s, id, length, length, err)) return false;
        for (unsigned k = 0; id < 0 && k < length; k++)
            if (!add_symbol(s, FIRST_BYTE + (unsigned char)text[i + k], 6, 1, err)) return false;
        i += length;
    }
    return true;
}

static bool before(const candidate *a, const candidate *b) {
    return a->score != b->score ? a->score > b->score : a->at < b->at;
}

/* The token that the two neighbours' strings make together, or -1. run.c takes scores above -1e10.
 */
static int32_t merged(const llama2c_model *m, llama2c_scratch *s, int32_t left, int32_t right,
                      em_error *err) {
    size_t a = m->vocab.tokens[left].length, b = m->vocab.tokens[right].length;
    if (!em_grow(&s->both, &s->both_capacity, a + b + 1, 1, "a token", err)) return -1;
    memcpy(s->both, em_vocab_text(&m->vocab, left), a);
    memcpy(s->both + a, em_vocab_text(&m->vocab, right), b);
    int32_t id = em_vocab_find(&m->vocab, s->both, a + b);
    return id >= 0 && m->scores[id] > -1e10f ? id : -1;
}

static bool push_pair(const llama2c_model *m, llama2c_scratch *s, int32_t at, em_error *err) {
    if (at < 0 || s->symbols[at].next < 0) return true;
    int32_t left = s->symbols[at].id, right = s->symbols[s->symbols[at].next].id,
            id = merged(m, s, left, right, err);
    if (id < 0) return !err->status;
    if (!em_grow(&s->heap, &s->heap_capacity, s->n_heap + 1, sizeof *s->heap, "a text's merges",
                 err))
        return false;
    size_t i = s->n_heap++;
    candidate c = {m->scores[id], at, left, right, id};
    for (; i && before(&c, &s->heap[(i - 1) / 2]); i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = c;
    return true;
}

static candidate pop(llama2c_scratch *s) {
    candidate top = s->heap[0], last = s->heap[--s->n_heap];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < s->n_heap) {
        if (child + 1 < s->n_heap && before(&s->heap[child + 1], &s->heap[child])) child++;
        if (!before(&s->heap[child], &last)) break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    s->heap[i] = last;
    return top;
}

static bool merge(const llama2c_model *m, llama2c_scratch *s, em_error *err) {
    s->n_heap = 0;
    for (size_t i = 0; i < s->n_symbols; i++)
        if (!push_pair(m, s, (int32_t)i, err)) return false;
    while (s->n_heap) {
        candidate c = pop(s);
        symbol *left = &s->symbols[c.at];
        if (!left->length || left->next < 0 || left->id != c.left ||
            s->symbols[left->next].id != c.right)
            continue;
        symbol *right = &s->symbols[left->next];
        left->id = c.id;
        left->length += right->length;
        left->bytes += right->bytes;
        left->next = right->next;
        right->length = 0;
        if (left->next >= 0) s->symbols[left->next].previous = c.at;
        if (!push_pair(m, s, left->previous, err) || !push_pair(m, s, c.at, err)) return false;
    }
    return true;
}

static bool encode(const void *model, void *scratch, const char *text, size_t n, em_tokens *out,
                   em_error *err) {
    llama2c_scratch *s = scratch;
    em_error inner = EM_ERROR_INIT;
    bool ok = first_symbols(model, s, text, n, &inner) && merge(model, s, &inner);
    for (int32_t i = 0; ok && i >= 0; i = s->symbols[i].next)
        ok = em_tokens_push(out, s->symbols[i].id, s->symbols[i].bytes, &inner);
    return ok || em_fail(err, inner.status, "%s", inner.text);
}

static void *scratch_new(const void *model, em_error *err) {
    return em_alloc(1, sizeof(llama2c_scratch), "a tokenizer's working memory", err);
}

static void scratch_free(void *scratch) {
    llama2c_scratch *s = scratch;
    free(s->symbols);
    free(s->heap);
    free(s->both);
    free(s);
}

/* ---- the engine ---- */

static int32_t id_of(const void *model, const char *token) {
    const llama2c_model *m = model;
    return em_vocab_find(&m->vocab, token, strlen(token));
}

static size_t text_of(const void *model, int32_t id, char *out, size_t n) {
    const llama2c_model *m = model;
    return em_piece_text(em_vocab_text(&m->vocab, id), m->vocab.tokens[id].length, out, n);
}

static const em_engine llama2c_engine = {.encode = encode,
                                         .scratch_new = scratch_new,
                                         .scratch_free = scratch_free,
                                         .close = close_model,
                                         .id = id_of,
                                         .text = text_of};

bool em_open_llama2c(em_tokenizer *t, const char *source, const void *data, size_t size,
                     em_error *err) {
    llama2c_model *m = em_alloc(1, sizeof *m, "a tokenizer", err);
    if (!m) return false;
    t->file = "the tokenizer";
    t->engine = &llama2c_engine;
    t->model = m;
    if (!read_tokens(m, data, size, err)) return em_error_place(err, source, 0, -1);
    t->size = m->vocab.size;
    t->bos = BOS;
    t->eos = EOS;
    t->prefix = (em_affix){{BOS}, 1};
    snprintf(t->describe, sizeof t->describe, "llama2.c BPE, %d tokens", t->size);
    return true;
}
