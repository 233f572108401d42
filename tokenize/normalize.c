#include "tokenize/normalize.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "common/size.h"
#include "tokenize/unicode.h"

void em_normalizer_free(em_normalizer *n) {
    free(n->pattern);
    free(n->content);
    em_regex_free(n->regex);
    *n = (em_normalizer){0};
}

void em_normalize_scratch_free(em_normalize_scratch *s) {
    em_text_free(&s->texts[0]);
    em_text_free(&s->texts[1]);
    free(s->items);
}

#define STRETCH 256 /* characters, after which a long run is cut where it may be */

/* ---- NFC, NFD, NFKC, NFKD (UAX 15): decompose, order marks, compose ---- */

static bool add_item(em_normalize_scratch *s, int32_t c, uint32_t bytes, bool known,
                     em_error *err) {
    if (!em_grow(&s->items, &s->items_capacity, s->n_items + 1, sizeof *s->items,
                 "a normalized text", err))
        return false;
    uint8_t combining = known ? (uint8_t)utf8proc_get_property(c)->combining_class : 0;
    s->items[s->n_items] = (em_normal_item){c, bytes, (uint32_t)s->n_items, combining};
    s->n_items++;
    return true;
}

/* The first of a character's parts answers for all of its bytes. */
static bool decompose(const em_normalizer *n, em_normalize_scratch *s, int32_t c, uint32_t bytes,
                      em_error *err) {
    utf8proc_int32_t parts[32];
    int options = UTF8PROC_DECOMPOSE | (n->compatible ? UTF8PROC_COMPAT : 0), boundary = 0;
    if (!em_normalizes(c)) return add_item(s, c, bytes, false, err);
    utf8proc_ssize_t count = utf8proc_decompose_char(c, parts, 32, (utf8proc_option_t)options,
                                                     &boundary);
    if (count < 0 || count > 32)
        return em_fail(err, EM_INPUT, "U+%04X cannot be decomposed", (unsigned)c);
    for (utf8proc_ssize_t i = 0; i < count; i++)
        if (!add_item(s, parts[i], i ? 0 : bytes, true, err)) return false;
    return true;
}

static int by_combining_class(const void *a, const void *b) {
    const em_normal_item *x = a, *y = b;
    if (x->combining != y->combining) return x->combining < y->combining ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static void order_marks(em_normal_item *items, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t end = i + 1;
        bool sorted = true;
        for (; items[i].combining && end < n && items[end].combining; end++)
            if (items[end].combining < items[end - 1].combining) sorted = false;
        if (!sorted) qsort(items + i, end - i, sizeof *items, by_combining_class);
        i = end;
    }
}

/* The primary composite of two characters, or -1. */
static int32_t composite(int32_t first, int32_t second) {
    utf8proc_int32_t pair[2] = {first, second};
    if (!em_normalizes(second)) return -1;
    utf8proc_ssize_t n = utf8proc_normalize_utf32(pair, 2, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    return n == 1 && em_normalizes(pair[0]) ? pair[0] : -1;
}

/* In place; returns the new count. A mark is blocked from the starter by one of its own class. */
static size_t compose(em_normal_item *items, size_t n) {
    size_t out = 0, starter = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        bool adjacent = starter != SIZE_MAX && out == starter + 1;
        bool open = starter != SIZE_MAX &&
                    (adjacent || items[out - 1].combining < items[i].combining);
        int32_t both = open ? composite(items[starter].c, items[i].c) : -1;
        if (both >= 0) {
            items[starter].c = both;
            items[starter].bytes += items[i].bytes;
            continue;
        }
        if (!items[i].combining) starter = out;
        items[out++] = items[i];
    }
    return out;
}

/* Orders and composes the first n items, puts them out, and moves what follows to the front. */
static bool finish_items(const em_normalizer *form, em_normalize_scratch *s, size_t n,
                         uint32_t *covered, em_text *out, em_error *err) {
    order_marks(s->items, n);
    size_t count = form->compose ? compose(s->items, n) : n;
    for (size_t i = 0; i < count; i++) {
        char bytes[4];
        unsigned size = em_utf8_put(s->items[i].c, bytes);
        *covered += s->items[i].bytes;
        if (!em_text_put(out, bytes, size, *covered, err)) return false;
    }
    s->n_items -= n;
    memmove(s->items, s->items + n, s->n_items * sizeof *s->items);
    return true;
}

/* Whether no mark moves across the item and nothing before composes with it. The starters that are
 * second in a composition are Indic and Balinese vowel signs, Hangul's jamo, and some beyond the
 * basic plane. */
static bool stands_alone(const em_normal_item *item) {
    int32_t c = item->c;
    return !item->combining && (c < 0x900 || (c >= 0x1200 && c < 0x1b00) || c >= 0x1c00) &&
           c < 0x10000;
}

/* view[from, to) begins with a starter that nothing before it composes with. A long run is done a
 * stretch at a time, so that items do not grow with the text. */
static bool normalize_run(const em_normalizer *n, em_normalize_scratch *s, const em_view *view,
                          size_t from, size_t to, em_text *out, em_error *err) {
    unsigned length;
    uint32_t covered = em_view_covered(view, from);
    s->n_items = 0;
    for (size_t i = from; i < to; i += length) {
        int32_t c = em_utf8_at(view->data + i, &length);
        uint32_t bytes = em_view_end(view, i + length - 1) - em_view_covered(view, i);
        size_t before = s->n_items;
        if (!decompose(n, s, c, bytes, err)) return false;
        if (before >= STRETCH && stands_alone(&s->items[before]) &&
            !finish_items(n, s, before, &covered, out, err))
            return false;
    }
    return finish_items(n, s, s->n_items, &covered, out, err);
}

static size_t ascii_run(const char *s, size_t i, size_t n) {
    while (i < n && (unsigned char)s[i] < 128) i++;
    return i;
}

/* ASCII is the same in all four forms, begins no later than itself and ends every run of marks:
 * only what lies between stretches of it (with the last ASCII character before) needs work. */
static bool unicode_form(const em_normalizer *n, em_normalize_scratch *s, const em_view *view,
                         em_text *out, em_error *err) {
    size_t i = 0;
    while (i < view->n) {
        size_t end = ascii_run(view->data, i, view->n);
        size_t copied = end == view->n || end == i ? end : end - 1;
        if (!em_text_copy(out, view, i, copied, err)) return false;
        for (i = end; i < view->n && (unsigned char)view->data[i] >= 128;) i++;
        if (copied < i && !normalize_run(n, s, view, copied, i, out, err)) return false;
    }
    return true;
}

/* Below U+0300 nothing changes under NFC; below U+00A0 nothing under any form. */
static bool needs_form(const em_normalizer *n, const em_view *view) {
    unsigned char limit = n->compose && !n->compatible ? 0xcc : 0xc2;
    for (size_t i = 0; i < view->n; i++)
        if ((unsigned char)view->data[i] >= limit) return true;
    return false;
}

/* ---- the other steps ---- */

/* Characters with a lower case that utf8proc 2.8 (Unicode 15) does not give. */
static int32_t lower(int32_t c) {
    switch (c) {
    case 0x1c89:
    case 0xa7cc:
    case 0xa7ce:
    case 0xa7d2:
    case 0xa7d4:
    case 0xa7da: return c + 1;
    case 0xa7cb: return 0x264;
    case 0xa7dc: return 0x19b;
    }
    if (c >= 0x10d50 && c <= 0x10d65) return c + 0x20;
    if (c >= 0x16ea0 && c <= 0x16eb8) return c + 0x1b;
    return utf8proc_tolower(c);
}

static bool lowercase(const em_view *view, em_text *out, em_error *err) {
    unsigned length;
    for (size_t i = 0; i < view->n; i += length) {
        char bytes[4];
        int32_t c = em_utf8_at(view->data + i, &length);
        uint32_t end = em_view_end(view, i + length - 1);
        unsigned n = em_utf8_put(c == 0x130 ? 'i' : lower(c), bytes);
        if (!em_text_put(out, bytes, n, end, err)) return false;
        if (c == 0x130 && !em_text_put(out, "\xcc\x87", 2, end, err))
            return false; /* i and a dot above */
    }
    return true;
}

static bool strip(const em_normalizer *n, const em_view *view, em_text *out, em_error *err) {
    size_t from = 0, to = view->n, start;
    unsigned length;
    while (n->left && from < to && em_is_space(em_utf8_at(view->data + from, &length)))
        from += length;
    while (n->right && to > from && em_is_space(em_utf8_before(view->data, to, &start))) to = start;
    return em_text_copy(out, view, from, to, err);
}

static int next_match(const em_normalizer *n, em_normalize_scratch *s, const em_view *view,
                      size_t from, size_t *start, size_t *end, em_error *err) {
    if (n->regex)
        return em_regex_next(n->regex, s->regex, view->data, view->n, from, start, end, err);
    const char *hit = memmem(view->data + from, view->n - from, n->pattern, n->pattern_n);
    if (!hit) return 0;
    *start = (size_t)(hit - view->data);
    *end = *start + n->pattern_n;
    return 1;
}

static bool replace(const em_normalizer *n, em_normalize_scratch *s, const em_view *view,
                    em_text *out, em_error *err) {
    size_t done = 0, start, end;
    int found;
    while (done < view->n && (found = next_match(n, s, view, done, &start, &end, err)) != 0) {
        if (found < 0 || !em_text_copy(out, view, done, start, err)) return false;
        if (!em_text_put(out, n->content, n->content_n, em_view_end(view, end - 1), err))
            return false;
        done = end;
    }
    return em_text_copy(out, view, done, view->n, err);
}

/* ---- SentencePiece's rules, by grapheme ---- */

/* Where the grapheme cluster that begins at from ends. */
static size_t grapheme_end(const em_view *view, size_t from) {
    unsigned length;
    utf8proc_int32_t state = 0;
    int32_t c = em_utf8_at(view->data + from, &length);
    for (from += length; from < view->n; from += length) {
        int32_t next = em_utf8_at(view->data + from, &length);
        if (utf8proc_grapheme_break_stateful(c, next, &state)) break;
        c = next;
    }
    return from;
}

/* A short cluster is looked up whole, and becomes what the shortest rule along it says; else each
 * of its characters is. So does the Rust crate spm_precompiled. */
static bool precompiled_cluster(const em_normalizer *n, const em_view *view, size_t from, size_t to,
                                em_text *out, em_error *err) {
    const char *becomes;
    if (to - from < 6 && em_charsmap_shortest(&n->charsmap, view->data + from, to - from, &becomes))
        return em_text_put(out, becomes, strlen(becomes), em_view_end(view, to - 1), err);
    for (size_t i = from, length; i < to; i += length) {
        length = em_utf8_length((unsigned char)view->data[i]);
        bool good = em_charsmap_shortest(&n->charsmap, view->data + i, length, &becomes)
                        ? em_text_put(out, becomes, strlen(becomes),
                                      em_view_end(view, i + length - 1), err)
                        : em_text_copy(out, view, i, i + length, err);
        if (!good) return false;
    }
    return true;
}

static bool precompiled(const em_normalizer *n, const em_view *view, em_text *out, em_error *err) {
    for (size_t i = 0, end; i < view->n; i = end) {
        end = grapheme_end(view, i);
        if (!precompiled_cluster(n, view, i, end, out, err)) return false;
    }
    return true;
}

static bool step(const em_normalizer *n, em_normalize_scratch *s, const em_view *view, em_text *out,
                 em_error *err) {
    switch (n->kind) {
    case EM_NORMALIZE_UNICODE: return unicode_form(n, s, view, out, err);
    case EM_NORMALIZE_LOWERCASE: return lowercase(view, out, err);
    case EM_NORMALIZE_STRIP: return strip(n, view, out, err);
    case EM_NORMALIZE_PREPEND:
        return (!view->n || em_text_put(out, n->content, n->content_n, view->base, err)) &&
               em_text_copy(out, view, 0, view->n, err);
    case EM_NORMALIZE_REPLACE: return replace(n, s, view, out, err);
    case EM_NORMALIZE_PRECOMPILED: return precompiled(n, view, out, err);
    }
    return false;
}

bool em_normalize(const em_normalizer *steps, size_t n_steps, em_normalize_scratch *s,
                  em_view *text, em_error *err) {
    int next = 0;
    for (size_t i = 0; i < n_steps; i++) {
        if (steps[i].kind == EM_NORMALIZE_UNICODE && !needs_form(&steps[i], text)) continue;
        em_text *out = &s->texts[next];
        em_text_start(out, text->base);
        if (!step(&steps[i], s, text, out, err)) return false;
        *text = em_text_view(out);
        next = !next;
    }
    return true;
}
