#include "tokenize/pretokenize.h"

#include <stdlib.h>
#include <string.h>

#include "tokenize/unicode.h"
#include "tokenize/words.h"

void em_stage_free(em_stage *s) {
    em_regex_free(s->matcher.regex);
    free(s->matcher.string);
    *s = (em_stage){0};
}

void em_pretokenize_scratch_free(em_pretokenize_scratch *s) {
    for (int i = 0; i < 2; i++) {
        em_text_free(&s->texts[i]);
        free(s->pieces[i].at);
    }
}

static bool printable(int c) {
    return (c >= 0x21 && c <= 0x7e) || (c >= 0xa1 && c <= 0xac) || (c >= 0xae && c <= 0xff);
}

/* The bytes that are not printable are 00-20, 7f-a0 and ad, numbered in this order from U+0100. */
int32_t em_byte_character(uint8_t byte) {
    if (printable(byte)) return byte;
    return 0x100 + (byte <= 0x20 ? byte : byte <= 0xa0 ? byte - 0x7f + 33 : 67);
}

int em_character_byte(int32_t c) {
    if (c < 0x100) return c >= 0 && printable(c) ? c : -1;
    c -= 0x100;
    return c < 33 ? c : c < 67 ? c - 33 + 0x7f : c == 67 ? 0xad : -1;
}

/* ---- matches ---- */

static int next_string(const em_matcher *m, const char *s, size_t n, size_t from, size_t *start,
                       size_t *end) {
    const char *hit = memmem(s + from, n - from, m->string, m->string_n);
    if (!hit) return 0;
    *start = (size_t)(hit - s);
    *end = *start + m->string_n;
    return 1;
}

static int next_character(const em_matcher *m, const char *s, size_t n, size_t from, size_t *start,
                          size_t *end) {
    unsigned length;
    for (size_t i = from; i < n; i += length) {
        if (!m->is(em_utf8_at(s + i, &length))) continue;
        *start = i;
        *end = i + length;
        return 1;
    }
    return 0;
}

static int next_word(const char *s, size_t n, size_t from, size_t *start, size_t *end) {
    unsigned length = 0;
    size_t i = from;
    while (i < n && em_is_space(em_utf8_at(s + i, &length))) i += length;
    if (i == n) return 0;
    *start = i;
    bool word = em_is_word(em_utf8_at(s + i, &length));
    for (i += length; i < n; i += length) {
        int32_t c = em_utf8_at(s + i, &length);
        if (em_is_word(c) != word || (!word && em_is_space(c))) break;
    }
    *end = i;
    return 1;
}

static int next_match(const em_matcher *m, em_pretokenize_scratch *s, const char *text, size_t n,
                      size_t from, size_t *start, size_t *end, em_error *err) {
    *start = from;
    switch (m->kind) {
    case EM_MATCH_GPT2: *end = em_gpt2_word(text, n, from); return 1;
    case EM_MATCH_LLAMA3: *end = em_llama3_word(text, n, from, m->digits); return 1;
    case EM_MATCH_REGEX: return em_regex_next(m->regex, s->regex, text, n, from, start, end, err);
    case EM_MATCH_STRING: return next_string(m, text, n, from, start, end);
    case EM_MATCH_CHARACTERS: return next_character(m, text, n, from, start, end);
    case EM_MATCH_WORDS: return next_word(text, n, from, start, end);
    }
    return 0;
}

/* ---- splitting ---- */

/* What becomes of matches and of the stretches between them: as NormalizedString::split of
 * Hugging Face tokenizers. A merge takes a match and its neighbour unless that is a match too. */
typedef struct splitter {
    em_pieces *out;
    em_split_behavior behavior;
    size_t from, to;  /* the word that may still grow */
    bool open, match; /* there is one; the last stretch was a match */
    em_error *err;
} splitter;

static bool flush(splitter *p) {
    bool ok = !p->open || em_pieces_add(p->out, p->from, p->to, p->err);
    p->open = false;
    return ok;
}

static bool joins(const splitter *p, bool match) {
    switch (p->behavior) {
    case EM_SPLIT_MERGED_WITH_PREVIOUS: return match && !p->match;
    case EM_SPLIT_MERGED_WITH_NEXT: return !match && p->match;
    case EM_SPLIT_CONTIGUOUS: return match == p->match;
    default: return false;
    }
}

static bool stretch(splitter *p, size_t from, size_t to, bool match) {
    if (from == to || (match && p->behavior == EM_SPLIT_REMOVED)) return true;
    bool join = p->open && joins(p, match);
    if (!join && !flush(p)) return false;
    if (!join) p->from = from;
    p->to = to;
    p->open = true;
    p->match = match;
    return true;
}

static bool split_word(const em_stage *stage, em_pretokenize_scratch *s, const em_view *text,
                       em_piece word, em_pieces *out, em_error *err) {
    const char *data = text->data + word.from;
    size_t n = word.to - word.from, done = 0, start, end;
    splitter p = {.out = out, .behavior = stage->behavior, .err = err};
    int found;
    while (done < n &&
           (found = next_match(&stage->matcher, s, data, n, done, &start, &end, err)) != 0) {
        if (found < 0) return false;
        if (!stretch(&p, word.from + done, word.from + start, stage->invert)) return false;
        if (!stretch(&p, word.from + start, word.from + end, !stage->invert)) return false;
        done = end;
    }
    return stretch(&p, word.from + done, word.to, stage->invert) && flush(&p);
}

/* The usual case: every character is in a match, and each match is a word. */
static bool split_dense(const em_matcher *m, const em_view *text, em_piece word, em_pieces *out,
                        em_error *err) {
    const char *data = text->data + word.from;
    size_t n = word.to - word.from;
    for (size_t i = 0, end; i < n; i = end) {
        end = m->kind == EM_MATCH_GPT2 ? em_gpt2_word(data, n, i)
                                       : em_llama3_word(data, n, i, m->digits);
        if (!em_pieces_add(out, word.from + i, word.from + end, err)) return false;
    }
    return true;
}

static bool split(const em_stage *stage, em_pretokenize_scratch *s, const em_view *text,
                  const em_pieces *words, em_pieces *out, em_error *err) {
    bool dense = stage->matcher.kind <= EM_MATCH_LLAMA3 && stage->behavior == EM_SPLIT_ISOLATED;
    for (size_t i = 0; i < words->n; i++) {
        bool ok = dense ? split_dense(&stage->matcher, text, words->at[i], out, err)
                        : split_word(stage, s, text, words->at[i], out, err);
        if (!ok) return false;
    }
    return true;
}

/* ---- rewriting: words in, words of a new text out ---- */

static bool prefix_space(const em_view *word, em_text *text, em_pieces *out, em_error *err) {
    size_t from = text->n;
    if (word->data[0] != ' ' && !em_text_put(text, " ", 1, word->base, err)) return false;
    return em_text_copy(text, word, 0, word->n, err) && em_pieces_add(out, from, text->n, err);
}

static bool byte_level(const em_view *word, em_text *text, em_pieces *out, em_error *err) {
    size_t from = text->n;
    for (size_t i = 0; i < word->n; i++) {
        char bytes[4];
        unsigned n = em_utf8_put(em_byte_character((uint8_t)word->data[i]), bytes);
        if (!em_text_put(text, bytes, n, em_view_end(word, i), err)) return false;
    }
    return em_pieces_add(out, from, text->n, err);
}

/* Each replacement character begins a word of its own. */
static bool cut_before_each(const em_stage *stage, const em_text *text, size_t from, em_pieces *out,
                            em_error *err) {
    size_t length = strlen(stage->replacement), start = from;
    for (size_t i = from; i + length <= text->n; i++) {
        if (memcmp(text->data + i, stage->replacement, length)) continue;
        if (!em_pieces_add(out, start, i, err)) return false;
        start = i;
    }
    return em_pieces_add(out, start, text->n, err);
}

static bool metaspace(const em_stage *stage, const em_view *word, em_text *text, em_pieces *out,
                      em_error *err) {
    size_t length = strlen(stage->replacement), from = text->n, i = 0;
    bool has = word->data[0] == ' ' ||
               (word->n >= length && !memcmp(word->data, stage->replacement, length));
    bool wanted = stage->prepend == EM_PREPEND_ALWAYS ||
                  (stage->prepend == EM_PREPEND_FIRST && word->base == 0);
    if (wanted && !has && !em_text_put(text, stage->replacement, length, word->base, err))
        return false;
    while (i < word->n) {
        const char *space = memchr(word->data + i, ' ', word->n - i);
        size_t end = space ? (size_t)(space - word->data) : word->n;
        if (!em_text_copy(text, word, i, end, err)) return false;
        if (space && !em_text_put(text, stage->replacement, length, em_view_end(word, end), err))
            return false;
        i = end + 1;
    }
    return stage->cut ? cut_before_each(stage, text, from, out, err)
                      : em_pieces_add(out, from, text->n, err);
}

static bool rewrite(const em_stage *stage, const em_view *text, const em_pieces *words, em_text *to,
                    em_pieces *out, em_error *err) {
    em_text_start(to, text->base);
    for (size_t i = 0; i < words->n; i++) {
        em_view word = em_view_slice(text, words->at[i].from, words->at[i].to);
        bool ok = stage->kind == EM_STAGE_PREFIX_SPACE ? prefix_space(&word, to, out, err)
                  : stage->kind == EM_STAGE_BYTE_LEVEL ? byte_level(&word, to, out, err)
                                                       : metaspace(stage, &word, to, out, err);
        if (!ok) return false;
    }
    return true;
}

bool em_pretokenize(const em_stage *stages, size_t n_stages, em_pretokenize_scratch *s,
                    em_view *text, const em_pieces **words, em_error *err) {
    em_pieces *in = &s->pieces[0], *out = &s->pieces[1];
    int next_text = 0;
    in->n = 0;
    *words = in;
    if (!em_pieces_add(in, 0, text->n, err)) return false;
    for (size_t i = 0; i < n_stages; i++) {
        out->n = 0;
        if (stages[i].kind == EM_STAGE_SPLIT) {
            if (!split(&stages[i], s, text, in, out, err)) return false;
        } else {
            em_text *to = &s->texts[next_text];
            if (!rewrite(&stages[i], text, in, to, out, err)) return false;
            *text = em_text_view(to);
            next_text = !next_text;
        }
        em_pieces *swap = in;
        in = out;
        out = swap;
        *words = in;
    }
    return true;
}
