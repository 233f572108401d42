/* SentencePiece models as a tokenizer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "tokenize/charsmap.h"
#include "tokenize/engine.h"
#include "tokenize/sentencepiece.h"

typedef struct encoder {
    const void *model;
    em_tokens *out;
    em_error *err;
    size_t first;
    uint32_t covered;
    uint32_t byte_pieces; /* of the character at hand, which SentencePiece gives whole to its last
                             piece */
} encoder;

/* The character's pieces cover a byte each, unless a normalizer made it of another length. */
static void share_bytes(encoder *e, uint32_t bytes) {
    if (bytes != e->byte_pieces) return;
    for (uint32_t i = 1; i <= bytes; i++) e->out->bytes[e->out->n - i] = 1;
}

static bool push(void *context, int32_t id, uint32_t end) {
    encoder *e = context;
    uint32_t bytes = end > e->covered ? end - e->covered : 0;
    e->covered += bytes;
    if (!em_tokens_push(e->out, id, bytes, e->err)) return false;
    e->byte_pieces = em_spm_is_byte(e->model, id) ? e->byte_pieces + 1 : 0;
    if (bytes == 0 || e->byte_pieces == 0) return true;
    share_bytes(e, bytes);
    e->byte_pieces = 0;
    return true;
}

static bool encode(const void *model, void *scratch, const char *text, size_t n, em_tokens *out,
                   em_error *err) {
    char why[256];
    encoder e = {.model = model, .out = out, .err = err, .first = out->n};
    if (!em_spm_encode(model, text, n, push, &e, why, sizeof why))
        return why[0] ? em_fail(err, EM_INPUT, "SentencePiece cannot encode the text: %s", why)
                      : false;
    if (out->n > e.first)
        out->bytes[out->n - 1] += (uint32_t)n -
                                  e.covered; /* what normalization dropped at the end */
    return true;
}

/* The library allocates for itself; a thread has nothing of its own. */
static void *scratch_new(const void *model, em_error *err) {
    return em_alloc(1, 1, "a tokenizer's working memory", err);
}
static void scratch_free(void *scratch) { free(scratch); }
static void close_model(void *model) { em_spm_close(model); }
static int32_t id_of(const void *model, const char *token) { return em_spm_id(model, token); }

static size_t text_of(const void *model, int32_t id, char *out, size_t n) {
    const char *piece = em_spm_piece(model, id);
    return em_piece_text(piece, strlen(piece), out, n);
}

static const em_engine spm_engine = {encode,      scratch_new, scratch_free,
                                     close_model, id_of,       text_of};

bool em_open_sentencepiece(em_tokenizer *t, const char *source, const void *data, size_t size,
                           em_error *err) {
    char why[256] = "";
    t->engine = &spm_engine;
    if (!em_charsmap_check(data, size, err)) return false;
    t->model = em_spm_open(data, size, why, sizeof why);
    if (!t->model)
        return em_fail_at(err, EM_INPUT, source, 0, -1, "SentencePiece cannot read this model: %s",
                          why);
    t->size = em_spm_size(t->model);
    t->bos = em_spm_bos(t->model);
    t->eos = em_spm_eos(t->model);
    if (t->bos >= 0) t->prefix = (em_affix){{t->bos}, 1};
    snprintf(t->describe, sizeof t->describe, "SentencePiece, %d tokens", t->size);
    return true;
}
