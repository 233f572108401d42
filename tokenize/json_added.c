/* Added tokens of a tokenizer.json, its own and those of the files beside it. */
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "tokenize/json_model.h"

static em_json_added *find(const em_json_model *m, int32_t id) {
    bool literal = id >= 0 && m->vocab.tokens[id].flags & EM_TOKEN_LITERAL;
    for (size_t i = 0; literal && i < m->n_added; i++)
        if (m->added[i].id == id) return &m->added[i];
    return NULL;
}

bool em_json_is_added(const void *model, const char *text, em_extra *flags) {
    const em_json_model *m = model;
    const em_json_added *a = find(m, em_vocab_find(&m->vocab, text, strlen(text)));
    if (a)
        *flags = (em_extra){.single_word = a->single_word,
                            .lstrip = a->lstrip,
                            .rstrip = a->rstrip,
                            .normalized = a->normalized,
                            .special = a->special};
    return a != NULL;
}

/* The id that Hugging Face tokenizers give the next new token. */
static int32_t next_id(const em_json_model *m) {
    return m->highest_added >= m->model_count ? m->highest_added + 1 : m->model_count;
}

bool em_json_add(void *model, const em_extra *token, int32_t *id, em_error *err) {
    em_json_model *m = model;
    *id = em_vocab_find(&m->vocab, token->text, token->n);
    em_json_added *a = *id >= 0 ? find(m, *id) : NULL;
    if (*id < 0) {
        *id = next_id(m);
        if (!em_vocab_add(&m->vocab, token->text, token->n, *id, EM_TOKEN_LITERAL, err))
            return false;
    }
    if (!a) {
        if (!em_grow(&m->added, &m->added_capacity, m->n_added + 1, sizeof *m->added,
                     "the added tokens", err))
            return false;
        a = &m->added[m->n_added++];
    }
    m->vocab.tokens[*id].flags |= EM_TOKEN_LITERAL;
    if (*id > m->highest_added) m->highest_added = *id;
    *a = (em_json_added){*id,           token->single_word, token->lstrip,
                         token->rstrip, token->normalized,  token->special};
    return true;
}

static bool insert(em_json_model *m, em_normalize_scratch *s, const em_json_added *a,
                   em_error *err) {
    em_added_token t = {a->id, a->single_word, a->lstrip, a->rstrip};
    const em_vocab_entry *e = &m->vocab.tokens[a->id];
    em_view view = {em_vocab_text(&m->vocab, a->id), NULL, e->length, 0};
    if (!a->normalized) return em_added_insert(&m->raw, view.data, view.n, &t, err);
    return em_normalize(m->normalizers, m->n_normalizers, s, &view, err) &&
           em_added_insert(&m->normalized, view.data, view.n, &t, err);
}

/* Special tokens are inserted, then the others: of two that normalize to the same text the first
 * inserted is found. */
bool em_json_ready(void *model, em_error *err) {
    em_json_model *m = model;
    em_normalize_scratch s = {.regex = em_regex_scratch_new(err)};
    bool ok = s.regex != NULL;
    em_added_free(&m->raw);
    em_added_free(&m->normalized);
    for (int special = 1; special >= 0; special--)
        for (size_t i = 0; ok && i < m->n_added; i++)
            if (m->added[i].special == special) ok = insert(m, &s, &m->added[i], err);
    em_normalize_scratch_free(&s);
    em_regex_scratch_free(s.regex);
    return ok;
}

/* ---- the space before a text ---- */

em_prefix_space em_json_prefix_space(const void *model) {
    const em_json_model *m = model;
    em_prefix_space p = {.byte_level = m->byte_level};
    for (size_t i = 0; i < m->n_normalizers; i++)
        p.there |= m->normalizers[i].kind == EM_NORMALIZE_PREPEND;
    for (size_t i = 0; i < m->n_stages; i++) {
        const em_stage *s = &m->stages[i];
        p.there |= s->kind == EM_STAGE_PREFIX_SPACE ||
                   (s->kind == EM_STAGE_METASPACE && s->prepend != EM_PREPEND_NEVER);
    }
    return p;
}

/* GPT-2's pattern is the byte-level pre-tokenizer's own, so that the space goes in front of it;
 * behind any other, each word is one to that pre-tokenizer. */
static size_t place_of_space(const em_json_model *m) {
    size_t last = m->n_stages;
    if (last && m->stages[last - 1].kind == EM_STAGE_BYTE_LEVEL) last--;
    bool own = last && m->stages[last - 1].kind == EM_STAGE_SPLIT &&
               m->stages[last - 1].matcher.kind == EM_MATCH_GPT2;
    return own ? last - 1 : last;
}

bool em_json_set_prefix_space(void *model, bool there, em_error *err) {
    em_json_model *m = model;
    size_t n = 0, at;
    for (size_t i = 0; i < m->n_stages; i++)
        if (m->stages[i].kind != EM_STAGE_PREFIX_SPACE) m->stages[n++] = m->stages[i];
    m->n_stages = n;
    if (!there) return true;
    if (!em_grow(&m->stages, &m->stages_capacity, n + 1, sizeof *m->stages, "pre-tokenizers", err))
        return false;
    at = place_of_space(m);
    memmove(m->stages + at + 1, m->stages + at, (n - at) * sizeof *m->stages);
    m->stages[at] = (em_stage){.kind = EM_STAGE_PREFIX_SPACE};
    m->n_stages++;
    return true;
}

/* ---- the class LlamaTokenizer ---- */

/* It leaves byte-level tokenizers alone, and makes no Unigram model. */
bool em_json_like_llama(const void *model, int prepend) {
    const em_json_model *m = model;
    const em_stage *s = m->stages;
    if (m->byte_level || m->is_unigram) return true;
    return m->n_normalizers == 0 && m->n_stages == 1 && s->kind == EM_STAGE_METASPACE && !s->cut &&
           (int)s->prepend == prepend && !strcmp(s->replacement, "\xe2\x96\x81") &&
           m->bpe.fuse_unknown && m->bpe.byte_fallback && !m->bpe.ignore_merges;
}
