/* From text to tokens by a tokenizer.json: added tokens of the raw text, normalization, added
 * tokens of the normalized text, words, the model. */
#include "tokenize/json_model.h"

#include <stdlib.h>

#include "common/size.h"

void em_json_close(void *model) {
    em_json_model *m = model;
    em_vocab_free(&m->vocab);
    free(m->added);
    em_added_free(&m->raw);
    em_added_free(&m->normalized);
    for (size_t i = 0; i < m->n_normalizers; i++) em_normalizer_free(&m->normalizers[i]);
    for (size_t i = 0; i < m->n_stages; i++) em_stage_free(&m->stages[i]);
    free(m->normalizers);
    free(m->stages);
    em_bpe_free(&m->bpe);
    em_unigram_free(&m->unigram);
    free(m);
}

void em_json_scratch_free(void *scratch) {
    em_json_scratch *s = scratch;
    em_normalize_scratch_free(&s->normalize);
    em_pretokenize_scratch_free(&s->pretokenize);
    em_bpe_scratch_free(&s->bpe);
    em_unigram_scratch_free(&s->unigram);
    em_regex_scratch_free(s->regex);
    free(s);
}

void *em_json_scratch_new(const void *model, em_error *err) {
    em_json_scratch *s = em_alloc(1, sizeof *s, "a tokenizer's working memory", err);
    if (!s) return NULL;
    s->regex = em_regex_scratch_new(err);
    s->normalize.regex = s->pretokenize.regex = s->regex;
    if (s->regex && em_bpe_scratch_new(&s->bpe, err)) return s;
    em_json_scratch_free(s);
    return NULL;
}

/* One text on its way. */
typedef struct encoder {
    const em_json_model *m;
    em_json_scratch *s;
    em_tokens *out;
    em_error *err;
    size_t first;     /* tokens that were in out before */
    uint32_t covered; /* bytes of the input counted so far */
    em_view text;     /* that words are of */
    size_t word;      /* where the current word begins in it */
} encoder;

/* Counts the input up to end for the token, less what is counted already. */
static bool emit(encoder *e, int32_t id, uint32_t end) {
    uint32_t bytes = end > e->covered ? end - e->covered : 0;
    e->covered += bytes;
    return em_tokens_push(e->out, id, bytes, e->err);
}

static bool emit_word(void *context, size_t from, const em_word *tokens, em_error *err) {
    encoder *e = context;
    size_t at = e->word + from;
    for (size_t i = 0; i < tokens->n; i++) {
        at += tokens->lengths[i];
        if (!emit(e, tokens->ids[i], em_view_covered(&e->text, at))) return false;
    }
    return true;
}

static bool encode_word(encoder *e, const char *word, size_t n) {
    const em_json_model *m = e->m;
    return m->is_unigram ? em_unigram_encode(&m->unigram, &e->s->unigram, e->s->bpe.cache, word, n,
                                             emit_word, e, e->err)
                         : em_bpe_encode(&m->bpe, &e->s->bpe, word, n, emit_word, e, e->err);
}

static bool encode_words(encoder *e, em_view text) {
    const em_pieces *words;
    if (!em_pretokenize(e->m->stages, e->m->n_stages, &e->s->pretokenize, &text, &words, e->err))
        return false;
    e->text = text;
    for (size_t i = 0; i < words->n; i++) {
        em_piece w = words->at[i];
        e->word = w.from;
        if (!encode_word(e, text.data + w.from, w.to - w.from)) return false;
    }
    return true;
}

typedef bool section_encoder(encoder *e, em_view text);

/* Added tokens become themselves; what lies between goes on to rest. */
static bool split_added(encoder *e, const em_added *added, em_view text, section_encoder *rest) {
    size_t done = 0, from = 0, start, end;
    int32_t id;
    while (em_added_next(added, text.data, text.n, done, &from, &start, &end, &id)) {
        if (done < start && !rest(e, em_view_slice(&text, done, start))) return false;
        if (!emit(e, id, em_view_covered(&text, end))) return false;
        done = end;
    }
    return done >= text.n || rest(e, em_view_slice(&text, done, text.n));
}

static bool encode_section(encoder *e, em_view text) {
    if (!em_normalize(e->m->normalizers, e->m->n_normalizers, &e->s->normalize, &text, e->err))
        return false;
    return split_added(e, &e->m->normalized, text, encode_words);
}

/* What nothing stands for at the end of the text goes to its last token. */
static void count_rest(encoder *e, size_t n) {
    if (e->out->n > e->first) e->out->bytes[e->out->n - 1] += (uint32_t)n - e->covered;
}

bool em_json_encode(const void *model, void *scratch, const char *text, size_t n, em_tokens *out,
                    em_error *err) {
    encoder e = {.m = model, .s = scratch, .out = out, .err = err, .first = out->n};
    em_view input = {text, NULL, n, 0};
    if (!split_added(&e, &e.m->raw, input, encode_section)) return false;
    count_rest(&e, n);
    return true;
}
