/* tokenizer.json's normalizer, pre_tokenizer and post_processor sections. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "tokenize/json_model.h"
#include "tokenize/unicode.h"
#include "tokenize/words.h"

static const char *type_of(const json_t *part) {
    const char *type = json_string_value(json_object_get(part, "type"));
    return type ? type : "(none)";
}

static bool flag(const json_t *part, const char *key, bool otherwise) {
    const json_t *value = json_object_get(part, key);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

static char *copy_string(const json_t *s, size_t *n, em_error *err) {
    *n = json_string_length(s);
    char *copy = em_alloc(*n + 1, 1, "a string", err);
    if (copy) memcpy(copy, json_string_value(s), *n);
    return copy;
}

/* A "Sequence" and what is in it, or the one part; visit gets each. Sequences may hold sequences.
 */
typedef bool part_visitor(em_json_model *m, const json_t *part, em_error *err);

static bool visit_parts(em_json_model *m, const json_t *part, const char *list_key, int depth,
                        part_visitor *visit, em_error *err) {
    if (!part || json_is_null(part)) return true;
    if (!json_is_object(part)) return em_fail(err, EM_INPUT, "a component is no object");
    if (strcmp(type_of(part), "Sequence")) return visit(m, part, err);
    const json_t *list = json_object_get(part, list_key), *each;
    size_t i;
    if (!json_is_array(list) || depth == 8)
        return em_fail(err, EM_INPUT, "a Sequence without its list \"%s\", or nested too deep",
                       list_key);
    json_array_foreach(
        list, i, each) if (!visit_parts(m, each, list_key, depth + 1, visit, err)) return false;
    return true;
}

/* Runs and puts the section's name in front of the error's text. */
static bool in_section(const char *section, bool ok, em_error *inner, em_error *err) {
    if (ok) return true;
    return em_fail(err, inner->status, "%s: %s", section, inner->text);
}

/* A pattern: {"String": ...} (or a plain string) or {"Regex": ...}. One of the two comes out. */
static bool read_pattern(const json_t *pattern, char **string, size_t *n, em_regex **regex,
                         em_error *err) {
    const json_t *text = json_is_string(pattern) ? pattern : json_object_get(pattern, "String");
    const json_t *expression = json_object_get(pattern, "Regex");
    if (json_is_string(text) && json_string_length(text)) {
        *string = copy_string(text, n, err);
        return *string != NULL;
    }
    if (!json_is_string(expression))
        return em_fail(err, EM_INPUT, "its pattern is neither a (non-empty) String nor a Regex");
    *regex = em_regex_new(json_string_value(expression), json_string_length(expression), err);
    return *regex != NULL;
}

/* ---- normalizers ---- */

static em_normalizer *new_normalizer(em_json_model *m, em_normalizer_kind kind, em_error *err) {
    if (!em_grow(&m->normalizers, &m->normalizers_capacity, m->n_normalizers + 1,
                 sizeof *m->normalizers, "normalizers", err))
        return NULL;
    em_normalizer *n = &m->normalizers[m->n_normalizers++];
    *n = (em_normalizer){.kind = kind};
    return n;
}

static bool unicode_normalizer(em_json_model *m, const char *form, em_error *err) {
    em_normalizer *n = new_normalizer(m, EM_NORMALIZE_UNICODE, err);
    if (!n) return false;
    n->compatible = form[2] == 'K';
    n->compose = form[strlen(form) - 1] == 'C';
    return true;
}

static bool prepend_normalizer(em_json_model *m, const json_t *part, em_error *err) {
    const json_t *text = json_object_get(part, "prepend");
    em_normalizer *n = new_normalizer(m, EM_NORMALIZE_PREPEND, err);
    if (!n) return false;
    if (!json_is_string(text)) return em_fail(err, EM_INPUT, "Prepend has no string \"prepend\"");
    n->content = copy_string(text, &n->content_n, err);
    return n->content != NULL;
}

static bool replace_normalizer(em_json_model *m, const json_t *part, em_error *err) {
    const json_t *content = json_object_get(part, "content");
    em_normalizer *n = new_normalizer(m, EM_NORMALIZE_REPLACE, err);
    if (!n) return false;
    if (!json_is_string(content))
        return em_fail(err, EM_INPUT, "Replace has no string \"content\"");
    n->content = copy_string(content, &n->content_n, err);
    return n->content && read_pattern(json_object_get(part, "pattern"), &n->pattern, &n->pattern_n,
                                      &n->regex, err);
}

/* The value of a base64 digit, or -1. */
static int base64_digit(char c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* n digits without their padding; out has room. false: something else among them. */
static bool base64(const char *s, size_t n, char *out) {
    uint32_t bits = 0;
    for (size_t i = 0, written = 0; i < n; i++) {
        int digit = base64_digit(s[i]);
        if (digit < 0) return false;
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4) out[written++] = (char)(bits >> (6 - 2 * (i % 4)));
    }
    return true;
}

static bool precompiled_normalizer(em_json_model *m, const json_t *part, em_error *err) {
    const json_t *text = json_object_get(part, "precompiled_charsmap");
    const char *s = json_string_value(text);
    size_t n = json_string_length(text);
    em_normalizer *z = new_normalizer(m, EM_NORMALIZE_PRECOMPILED, err);
    if (!z) return false;
    while (n && s[n - 1] == '=') n--;
    if (!s) return em_fail(err, EM_INPUT, "Precompiled has no string \"precompiled_charsmap\"");
    if (!(z->content = em_alloc(n + 8, 1, "normalization rules", err))) return false;
    z->content_n = n * 3 / 4;
    return base64(s, n, z->content)
               ? em_charsmap_open(&z->charsmap, z->content, z->content_n, err)
               : em_fail(err, EM_INPUT, "Precompiled: its precompiled_charsmap is no base64");
}

static bool add_normalizer(em_json_model *m, const json_t *part, em_error *err) {
    const char *type = type_of(part);
    if (!strcmp(type, "NFC") || !strcmp(type, "NFD") || !strcmp(type, "NFKC") ||
        !strcmp(type, "NFKD"))
        return unicode_normalizer(m, type, err);
    if (!strcmp(type, "Precompiled")) return precompiled_normalizer(m, part, err);
    if (!strcmp(type, "Prepend")) return prepend_normalizer(m, part, err);
    if (!strcmp(type, "Replace")) return replace_normalizer(m, part, err);
    if (!strcmp(type, "Lowercase")) return new_normalizer(m, EM_NORMALIZE_LOWERCASE, err) != NULL;
    if (strcmp(type, "Strip"))
        return em_fail(err, EM_INPUT,
                       "type \"%.40s\" is not supported (NFC, NFD, NFKC, NFKD, Prepend, Replace, "
                       "Lowercase, Strip, Precompiled and Sequence are)",
                       type);
    em_normalizer *n = new_normalizer(m, EM_NORMALIZE_STRIP, err);
    if (!n) return false;
    n->left = flag(part, "strip_left", true);
    n->right = flag(part, "strip_right", true);
    return true;
}

bool em_json_normalizers(em_json_model *m, const json_t *normalizer, em_error *err) {
    em_error inner = EM_ERROR_INIT;
    bool ok = visit_parts(m, normalizer, "normalizers", 0, add_normalizer, &inner);
    return in_section("normalizer", ok, &inner, err);
}

/* ---- pre-tokenizers ---- */

static em_stage *new_stage(em_json_model *m, em_stage_kind kind, em_error *err) {
    if (!em_grow(&m->stages, &m->stages_capacity, m->n_stages + 1, sizeof *m->stages,
                 "pre-tokenizers", err))
        return NULL;
    em_stage *s = &m->stages[m->n_stages++];
    *s = (em_stage){.kind = kind};
    return s;
}

static em_stage *new_split(em_json_model *m, em_matcher_kind matcher, em_split_behavior behavior,
                           em_error *err) {
    em_stage *s = new_stage(m, EM_STAGE_SPLIT, err);
    if (!s) return NULL;
    s->matcher.kind = matcher;
    s->behavior = behavior;
    return s;
}

static bool read_behavior(const json_t *part, em_split_behavior *behavior, em_error *err) {
    static const char *const names[] = {"Isolated", "Removed", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
    const char *name = json_string_value(json_object_get(part, "behavior"));
    for (int i = 0; name && i < 5; i++) {
        *behavior = (em_split_behavior)i;
        if (!strcmp(names[i], name)) return true;
    }
    return em_fail(err, EM_INPUT,
                   "behavior \"%.40s\" is not supported (Isolated, Removed, MergedWithPrevious, "
                   "MergedWithNext and "
                   "Contiguous are)",
                   name ? name : "(none)");
}

/* The families' own patterns have matchers by hand. */
static bool well_known(const json_t *pattern, em_matcher *m) {
    const char *text = json_string_value(json_object_get(pattern, "Regex"));
    static const struct {
        const char *text;
        em_matcher_kind kind;
        int digits;
    } known[] = {{EM_GPT2_PATTERN, EM_MATCH_GPT2, 0},
                 {EM_LLAMA3_PATTERN, EM_MATCH_LLAMA3, 3},
                 {EM_QWEN2_PATTERN, EM_MATCH_LLAMA3, 1}};
    for (size_t i = 0; text && i < sizeof known / sizeof *known; i++) {
        if (strcmp(text, known[i].text)) continue;
        m->kind = known[i].kind;
        m->digits = known[i].digits;
        return true;
    }
    return false;
}

static bool split_stage(em_json_model *m, const json_t *part, em_error *err) {
    em_split_behavior behavior;
    const json_t *pattern = json_object_get(part, "pattern");
    if (!read_behavior(part, &behavior, err)) return false;
    em_stage *s = new_split(m, EM_MATCH_STRING, behavior, err);
    if (!s) return false;
    s->invert = flag(part, "invert", false);
    if (well_known(pattern, &s->matcher)) return true;
    if (!read_pattern(pattern, &s->matcher.string, &s->matcher.string_n, &s->matcher.regex, err))
        return false;
    if (s->matcher.regex) s->matcher.kind = EM_MATCH_REGEX;
    return true;
}

static bool byte_level_stages(em_json_model *m, const json_t *part, em_error *err) {
    if (flag(part, "add_prefix_space", true) && !new_stage(m, EM_STAGE_PREFIX_SPACE, err))
        return false;
    if (flag(part, "use_regex", true) && !new_split(m, EM_MATCH_GPT2, EM_SPLIT_ISOLATED, err))
        return false;
    m->byte_level = true;
    return new_stage(m, EM_STAGE_BYTE_LEVEL, err) != NULL;
}

static bool character_stage(em_json_model *m, bool (*is)(int32_t), em_split_behavior behavior,
                            em_error *err) {
    em_stage *s = new_split(m, EM_MATCH_CHARACTERS, behavior, err);
    if (s) s->matcher.is = is;
    return s != NULL;
}

static bool read_prepend(const json_t *part, em_stage *s, em_error *err) {
    const char *scheme = json_string_value(json_object_get(part, "prepend_scheme"));
    bool legacy = flag(part, "add_prefix_space", true);
    if (!scheme) scheme = legacy ? "always" : "never";
    s->prepend = !strcmp(scheme, "always")  ? EM_PREPEND_ALWAYS
                 : !strcmp(scheme, "first") ? EM_PREPEND_FIRST
                                            : EM_PREPEND_NEVER;
    if (s->prepend != EM_PREPEND_NEVER) return true;
    if (!strcmp(scheme, "never")) return true;
    return em_fail(
        err, EM_INPUT,
        "Metaspace: prepend_scheme \"%.40s\" is not supported (always, first and never are)",
        scheme);
}

static bool metaspace_stage(em_json_model *m, const json_t *part, em_error *err) {
    const json_t *replacement = json_object_get(part, "replacement");
    const char *text = json_string_value(replacement);
    size_t n = json_string_length(replacement);
    em_stage *s = new_stage(m, EM_STAGE_METASPACE, err);
    if (!s) return false;
    if (!n || n != em_utf8_length((unsigned char)text[0]) || !text[0])
        return em_fail(err, EM_INPUT, "Metaspace: its replacement is not one character");
    memcpy(s->replacement, text, n);
    s->cut = flag(part, "split", true);
    return read_prepend(part, s, err);
}

static bool digits_stage(em_json_model *m, const json_t *part, em_error *err) {
    bool single = flag(part, "individual_digits", false);
    return character_stage(m, em_is_numeric, single ? EM_SPLIT_ISOLATED : EM_SPLIT_CONTIGUOUS, err);
}

static bool punctuation_stage(em_json_model *m, const json_t *part, em_error *err) {
    em_split_behavior behavior = EM_SPLIT_ISOLATED;
    if (json_object_get(part, "behavior") && !read_behavior(part, &behavior, err)) return false;
    return character_stage(m, em_is_punctuation, behavior, err);
}

static bool add_stage(em_json_model *m, const json_t *part, em_error *err) {
    const char *type = type_of(part);
    if (!strcmp(type, "ByteLevel")) return byte_level_stages(m, part, err);
    if (!strcmp(type, "Split")) return split_stage(m, part, err);
    if (!strcmp(type, "Metaspace")) return metaspace_stage(m, part, err);
    if (!strcmp(type, "Digits")) return digits_stage(m, part, err);
    if (!strcmp(type, "Punctuation")) return punctuation_stage(m, part, err);
    if (!strcmp(type, "WhitespaceSplit"))
        return character_stage(m, em_is_space, EM_SPLIT_REMOVED, err);
    if (!strcmp(type, "Whitespace")) {
        em_stage *s = new_split(m, EM_MATCH_WORDS, EM_SPLIT_REMOVED, err);
        if (s) s->invert = true; /* what is not a word goes */
        return s != NULL;
    }
    return em_fail(err, EM_INPUT,
                   "type \"%.40s\" is not supported (ByteLevel, Split, Digits, Punctuation, "
                   "Metaspace, Whitespace, "
                   "WhitespaceSplit and Sequence are)",
                   type);
}

bool em_json_stages(em_json_model *m, const json_t *pre_tokenizer, em_error *err) {
    em_error inner = EM_ERROR_INIT;
    bool ok = visit_parts(m, pre_tokenizer, "pretokenizers", 0, add_stage, &inner);
    return in_section("pre_tokenizer", ok, &inner, err);
}

/* ---- post-processors: what goes before and after a text ---- */

static bool add_ids(em_affix *affix, const em_json_model *m, const json_t *ids, em_error *err) {
    size_t i;
    const json_t *each;
    json_array_foreach(ids, i, each) {
        json_int_t id = json_is_integer(each) ? json_integer_value(each) : -1;
        if (!em_vocab_has(&m->vocab, id))
            return em_fail(err, EM_INPUT, "a special token's id is not in the vocabulary");
        if (affix->n == EM_MAX_AFFIX)
            return em_fail(err, EM_INPUT, "more than %d tokens on one side of a text",
                           EM_MAX_AFFIX);
        affix->ids[affix->n++] = (int32_t)id;
    }
    return true;
}

/* "single": pieces {"SpecialToken": {"id": NAME}} and one {"Sequence": {"id": "A"}}. */
static bool read_template(em_tokenizer *t, em_json_model *m, const json_t *part, em_error *err) {
    const json_t *single = json_object_get(part, "single"),
                 *tokens = json_object_get(part, "special_tokens"), *piece;
    size_t i;
    int texts = 0;
    if (t->prefix.n || t->suffix.n)
        return em_fail(err, EM_INPUT,
                       "two TemplateProcessing components that add tokens are not supported");
    if (!json_is_array(single))
        return em_fail(err, EM_INPUT, "TemplateProcessing: \"single\" is no list");
    json_array_foreach(single, i, piece) {
        const char *name =
            json_string_value(json_object_get(json_object_get(piece, "SpecialToken"), "id"));
        if (json_object_get(piece, "Sequence")) {
            texts++;
            continue;
        }
        const json_t *ids = name ? json_object_get(json_object_get(tokens, name), "ids") : NULL;
        if (!json_is_array(ids))
            return em_fail(err, EM_INPUT,
                           "TemplateProcessing: token \"%.60s\" is not among its special_tokens",
                           name ? name : "");
        if (!add_ids(texts ? &t->suffix : &t->prefix, m, ids, err)) return false;
    }
    return texts == 1 ||
           em_fail(err, EM_INPUT,
                   "TemplateProcessing: \"single\" holds the text %d times, not once", texts);
}

static bool read_post_processor(em_tokenizer *t, em_json_model *m, const json_t *part, int depth,
                                em_error *err) {
    const char *type = type_of(part);
    const json_t *list = json_object_get(part, "processors"), *each;
    size_t i;
    if (!part || json_is_null(part) || !strcmp(type, "ByteLevel")) return true;
    if (!strcmp(type, "TemplateProcessing")) return read_template(t, m, part, err);
    if (strcmp(type, "Sequence") || !json_is_array(list) || depth == 8)
        return em_fail(
            err, EM_INPUT,
            "type \"%.40s\" is not supported (ByteLevel, TemplateProcessing and Sequence are)",
            type);
    json_array_foreach(list, i,
                       each) if (!read_post_processor(t, m, each, depth + 1, err)) return false;
    return true;
}

bool em_json_affixes(em_tokenizer *t, em_json_model *m, const json_t *post_processor,
                     em_error *err) {
    em_error inner = EM_ERROR_INIT;
    return in_section("post_processor", read_post_processor(t, m, post_processor, 0, &inner),
                      &inner, err);
}
