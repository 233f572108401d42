#include "tokenize/beside.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "tokenize/pretokenize.h"

static const char CONFIG[] = "tokenizer_config.json", ADDED[] = "added_tokens.json",
                  MAP[] = "special_tokens_map.json";

/* How often something was found, and the first time: one note says it all. */
typedef struct tally {
    size_t n;
    char first[64];
    const char *file;
    int64_t said;
    int32_t id;
} tally;

typedef struct beside {
    em_tokenizer *t;
    json_t *config, *added, *map; /* owned; NULL: there is no such file */
    bool decoder;                 /* config has added_tokens_decoder: the other two do not count */
    tally fresh, numbered, flagged, unheeded, left_out;
    bool changed;
    bool noted; /* there was memory for every note */
    em_error *err;
} beside;

static void count(tally *c, const char *text, const char *file, int64_t said, int32_t id) {
    if (c->n++) return;
    snprintf(c->first, sizeof c->first, "%s", text);
    c->file = file;
    c->said = said;
    c->id = id;
}

#define note(b, ...) ((b)->noted &= em_notes_add(&(b)->t->notes, (b)->err, __VA_ARGS__))

static const char *plural(size_t n) { return n == 1 ? "" : "s"; }

/* ---- tokens ---- */

static em_extra flags_of(const json_t *token, const json_t *content, bool special) {
    const json_t *said = json_object_get(token, "special");
    const json_t *normalized = json_object_get(token, "normalized");
    if (json_is_boolean(said)) special = json_is_true(said);
    return (em_extra){.text = json_string_value(content),
                      .n = json_string_length(content),
                      .single_word = json_is_true(json_object_get(token, "single_word")),
                      .lstrip = json_is_true(json_object_get(token, "lstrip")),
                      .rstrip = json_is_true(json_object_get(token, "rstrip")),
                      .normalized = json_is_boolean(normalized) ? json_is_true(normalized)
                                                                : !special,
                      .special = special};
}

static bool same_flags(const em_extra *a, const em_extra *b) {
    return a->single_word == b->single_word && a->lstrip == b->lstrip && a->rstrip == b->rstrip &&
           a->normalized == b->normalized && a->special == b->special;
}

/* Adds the token, or gives it these flags. said: the id that file gives it, or -1. */
static bool add(beside *b, const em_extra *x, const char *file, int64_t said) {
    const em_engine *e = b->t->engine;
    em_extra had;
    int32_t id = e->id(b->t->model, x->text);
    if (!x->n) return true;
    bool known = id >= 0, added = e->added && e->added(b->t->model, x->text, &had);
    if (!e->add && !known)
        return em_fail_at(b->err, EM_INPUT, file, 0, -1,
                          "names the token \"%.80s\", which this kind of tokenizer cannot add",
                          x->text);
    if (added && !same_flags(&had, x)) count(&b->flagged, x->text, file, said, id);
    if (e->add && (!added || !same_flags(&had, x))) {
        b->changed = true;
        if (!e->add(b->t->model, x, &id, b->err)) return false;
        if (id >= b->t->size) b->t->size = id + 1;
    }
    if (!known) count(&b->fresh, x->text, file, said, id);
    if (said >= 0 && said != id) count(&b->numbered, x->text, file, said, id);
    return true;
}

/* ---- added_tokens_decoder, or added_tokens.json ---- */

typedef struct numbered {
    int64_t id;
    const char *text;    /* of added_tokens.json */
    const json_t *token; /* of added_tokens_decoder */
} numbered;

static int by_id(const void *a, const void *b) {
    const numbered *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

/* The names of special tokens that transformers gives every tokenizer, in its order. */
static const char *const names[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                    "pad_token", "cls_token", "mask_token"};
enum { NAMES = EM_NAMED };

static const json_t *content_of(const json_t *value) {
    return json_is_object(value) ? json_object_get(value, "content") : value;
}

/* What stands for key, and in which file. */
static const json_t *special(const beside *b, const char *key, const char **file) {
    const json_t *in_map = b->decoder ? NULL : json_object_get(b->map, key);
    *file = in_map ? MAP : CONFIG;
    return in_map ? in_map : json_object_get(b->config, key);
}

static bool is_text(const json_t *value, const char *text) {
    const char *content = json_string_value(content_of(value));
    return content && !strcmp(content, text);
}

static bool list_holds(const json_t *list, const char *text) {
    size_t i;
    const json_t *each;
    json_array_foreach(list, i, each) if (is_text(each, text)) return true;
    return false;
}

static bool named_special(const beside *b, const char *text) {
    const char *file;
    for (int i = 0; i < NAMES; i++)
        if (is_text(special(b, names[i], &file), text)) return true;
    static const char *const lists[] = {"extra_special_tokens", "additional_special_tokens"};
    for (int i = 0; i < 2; i++)
        if (list_holds(special(b, lists[i], &file), text)) return true;
    return false;
}

static bool read_number(const char *key, int64_t *out) {
    char *end;
    *out = strtoll(key, &end, 10);
    return *key >= '0' && *key <= '9' && !*end;
}

static bool list_tokens(beside *b, const json_t *from, const char *file, numbered *list) {
    const char *key;
    const json_t *value;
    size_t n = 0;
    json_object_foreach((json_t *)from, key, value) {
        numbered *x = &list[n++];
        *x = (numbered){.text = key, .token = value};
        bool good = b->decoder ? read_number(key, &x->id) &&
                                     json_is_string(json_object_get(value, "content"))
                               : json_is_integer(value);
        if (!good)
            return em_fail_at(b->err, EM_INPUT, file, 0, -1,
                              "the entry \"%.60s\" is no id and token", key);
        if (!b->decoder) x->id = json_integer_value(value);
    }
    qsort(list, n, sizeof *list, by_id);
    return true;
}

static bool add_listed(beside *b, const json_t *from, const char *file) {
    size_t n = json_object_size(from);
    numbered *list = em_alloc(n, sizeof *list, "added tokens", b->err);
    bool ok = list && list_tokens(b, from, file, list);
    for (size_t i = 0; ok && i < n; i++) {
        bool is_special = !b->decoder && named_special(b, list[i].text);
        em_extra x = b->decoder
                         ? flags_of(list[i].token, json_object_get(list[i].token, "content"), false)
                         : (em_extra){.text = list[i].text,
                                      .n = strlen(list[i].text),
                                      .normalized = !is_special,
                                      .special = is_special};
        em_extra had;
        /* tokenizer.json's own entry of that id comes after added_tokens.json's, so its flags stay
         */
        if (!b->decoder && b->t->engine->added && b->t->engine->added(b->t->model, x.text, &had) &&
            b->t->engine->id(b->t->model, x.text) == list[i].id)
            continue;
        ok = add(b, &x, file, list[i].id);
    }
    free(list);
    return ok;
}

/* With added_tokens_decoder, transformers does not look into added_tokens.json. */
static void left_out(beside *b) {
    const char *text;
    const json_t *id;
    json_object_foreach(b->added, text, id) {
        int32_t known = b->t->engine->id(b->t->model, text);
        if (known < 0) count(&b->left_out, text, ADDED, json_integer_value(id), known);
        else if (json_integer_value(id) != known)
            count(&b->numbered, text, ADDED, json_integer_value(id), known);
    }
}

/* ---- special tokens by name ---- */

/* A token that a name stands for: added if it is no added token; else its flags stay. */
static bool add_special(beside *b, const json_t *value, const char *file) {
    const json_t *content = content_of(value);
    em_extra had;
    if (!json_string_length(content)) return true;
    em_extra x = flags_of(json_is_object(value) ? value : NULL, content, true);
    x.special = true;
    if (!json_is_boolean(json_object_get(value, "normalized"))) x.normalized = false;
    if (!b->t->engine->added || !b->t->engine->added(b->t->model, x.text, &had))
        return !b->t->engine->added || add(b, &x, file, -1);
    had.special = true;
    if (json_is_object(value) && !same_flags(&had, &x)) count(&b->unheeded, x.text, file, -1, -1);
    return true;
}

static bool add_list(beside *b, const char *key) {
    const char *file, *name;
    const json_t *list = special(b, key, &file), *each;
    size_t i;
    json_array_foreach(list, i, each) if (!add_special(b, each, file)) return false;
    if (json_is_object(list)) json_object_foreach((json_t *)list, name, each) {
            if (!add_special(b, each, file)) return false;
        }
    return true;
}

static bool is_name(const char *key) {
    for (int i = 0; i < NAMES; i++)
        if (!strcmp(names[i], key)) return true;
    return false;
}

/* image_token and the like: names of the model's own. */
static bool add_own_names(beside *b, const json_t *from, const char *file) {
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)from, key, value) {
        size_t n = strlen(key);
        if (n < 6 || strcmp(key + n - 6, "_token") || is_name(key)) continue;
        if (json_is_string(content_of(value)) && !add_special(b, value, file)) return false;
    }
    return true;
}

static void note_two_values(beside *b, const char *key) {
    const char *in_config = json_string_value(content_of(json_object_get(b->config, key))),
               *in_map = json_string_value(content_of(json_object_get(b->map, key)));
    if (in_config && in_map && strcmp(in_config, in_map))
        note(b, "%s is \"%.80s\" in %s and \"%.80s\" in %s: that of %s counts, as in transformers",
             key, in_config, CONFIG, in_map, MAP, b->decoder ? CONFIG : MAP);
}

static bool add_specials(beside *b) {
    for (int i = 0; i < NAMES; i++) {
        const char *file;
        const json_t *value = special(b, names[i], &file);
        note_two_values(b, names[i]);
        if (!add_special(b, value, file)) return false;
        const char *text = json_string_value(content_of(value));
        em_named *named = &b->t->named[i];
        named->key = names[i];
        named->file = file;
        named->id = text ? b->t->engine->id(b->t->model, text) : -1;
        if (text && i == 1 && named->id < 0)
            return em_fail_at(b->err, EM_INPUT, file, 0, -1,
                              "eos_token \"%.80s\" is not in the vocabulary", text);
        if (text && i < 2) *(i ? &b->t->eos : &b->t->bos) = named->id;
    }
    return add_list(b, "extra_special_tokens") && add_list(b, "additional_special_tokens") &&
           add_own_names(b, b->config, CONFIG) && (b->decoder || add_own_names(b, b->map, MAP));
}

/* ---- BOS and EOS around a text ---- */

static bool affix_has(const em_affix *a, int32_t id) {
    for (size_t i = 0; i < a->n; i++)
        if (a->ids[i] == id) return true;
    return false;
}

static void remove_affix(em_affix *a, int32_t id) {
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++)
        if (a->ids[i] != id) a->ids[n++] = a->ids[i];
    a->n = n;
}

static bool put_affix(em_affix *a, int32_t id, bool front, em_error *err) {
    if (a->n == EM_MAX_AFFIX)
        return em_fail(err, EM_INPUT, "more than %d tokens around a text", EM_MAX_AFFIX);
    if (front) memmove(a->ids + 1, a->ids, a->n * sizeof *a->ids);
    a->ids[front ? 0 : a->n] = id;
    a->n++;
    return true;
}

/* A tokenizer.json says itself what goes around a text, and transformers 5 does not look at
 * add_bos_token and add_eos_token where there is one. For other files they say it: true puts the
 * token there, false takes it away; absent or null: as the model says. */
static bool add_around(beside *b, const char *key, const char *name, int32_t id, em_affix *affix,
                       bool front) {
    const json_t *value = json_object_get(b->config, key);
    if (!json_is_boolean(value)) return true;
    bool want = json_is_true(value), has = id < 0 ? affix->n > 0 : affix_has(affix, id);
    if (b->t->engine->own_affixes) {
        if (want != has)
            note(b,
                 "%s is %s in %s, but the post_processor of %s %s: tokenizer.json counts, as in "
                 "transformers 5",
                 key, want ? "true" : "false", CONFIG, b->t->file,
                 has ? "adds that token" : "adds no such token");
        return true;
    }
    if (!want) remove_affix(affix, id);
    if (!want || has) return true;
    if (id < 0)
        return em_fail_at(b->err, EM_INPUT, CONFIG, 0, -1,
                          "%s is true, but %s names no token of the vocabulary", key, name);
    return put_affix(affix, id, front, b->err);
}

/* ---- a space before the text ---- */

static bool one_of(const char *name, const char *const *list) {
    size_t n = strlen(name);
    if (n > 4 && !strcmp(name + n - 4, "Fast")) n -= 4;
    for (; *list; list++)
        if (strlen(*list) == n && !strncmp(*list, name, n)) return true;
    return false;
}

/* Classes of transformers 5 that make their own byte-level pre-tokenizer, with a space before the
 * text where tokenizer_config.json asks for it; and those that take it from tokenizer.json. */
static const char *const makes_own[] = {"GPT2Tokenizer", "Qwen2Tokenizer", NULL};
static const char *const takes_it[] = {"PreTrainedTokenizer", "TokenizersBackend", NULL};
static const char *const llama[] = {"LlamaTokenizer", NULL};

static bool prefix_space(beside *b) {
    const json_t *said = json_object_get(b->config, "add_prefix_space");
    const char *class = json_string_value(json_object_get(b->config, "tokenizer_class"));
    const em_engine *e = b->t->engine;
    if (!e->prefix_space || !b->config) return true;
    if (!class) class = "";
    em_prefix_space has = e->prefix_space(b->t->model);
    bool own = one_of(class, makes_own) && has.byte_level;
    bool model = !e->own_affixes && one_of(class, llama); /* a bare SentencePiece model */
    if (!json_is_boolean(said) && !own) return true;
    bool want = json_is_true(said);
    if (want == has.there) return true;
    bool takes = one_of(class, takes_it) || (one_of(class, llama) && has.byte_level);
    if (own || model) {
        note(b, "add_prefix_space is %s in %s, but %s %s: that of %s counts, as in transformers",
             want ? "true" : "false", CONFIG, b->t->file,
             has.there ? "puts a space before a text" : "puts none before a text", CONFIG);
        return e->set_prefix_space(b->t->model, want, b->err);
    }
    if (!takes || !e->own_affixes)
        return em_fail_at(b->err, EM_INPUT, CONFIG, 0, -1,
                          "add_prefix_space is %s, but %s %s, and which of them counts depends on "
                          "the class of tokenizer, here \"%.60s\": make the two files agree",
                          want ? "true" : "false", b->t->file,
                          has.there ? "puts a space before a text" : "puts none before a text",
                          class);
    note(b, "add_prefix_space is %s in %s, but %s %s: tokenizer.json counts, as in transformers",
         want ? "true" : "false", CONFIG, b->t->file,
         has.there ? "puts a space before a text" : "puts none before a text");
    return true;
}

/* `legacy` decides whether the dummy space goes before each stretch between added tokens of a bare
 * SentencePiece model, or only before a text that begins with none. */
static void dummy_space(beside *b) {
    const json_t *legacy = json_object_get(b->config, "legacy");
    const char *class = json_string_value(json_object_get(b->config, "tokenizer_class"));
    bool each = json_is_boolean(legacy) ? json_is_true(legacy) : !(class && one_of(class, llama));
    if (b->t->engine->space_each) b->t->engine->space_each(b->t->model, each);
}

/* transformers' LlamaTokenizer takes vocabulary, merges and added tokens from a tokenizer.json, and
 * makes the rest by itself. Models were trained with the file's, which count here. */
static void note_llama(beside *b) {
    const char *class = json_string_value(json_object_get(b->config, "tokenizer_class"));
    const json_t *space = json_object_get(b->config, "add_prefix_space");
    int prepend = json_is_false(space)                                 ? EM_PREPEND_NEVER
                  : json_is_true(json_object_get(b->config, "legacy")) ? EM_PREPEND_ALWAYS
                                                                       : EM_PREPEND_FIRST;
    if (!class || !one_of(class, llama) || !b->t->engine->like_llama ||
        b->t->engine->like_llama(b->t->model, prepend))
        return;
    note(b,
         "%s says tokenizer_class %s, for which transformers 5 makes a normalizer and a "
         "pre-tokenizer of its own: those of tokenizer.json count here, and ids may differ from "
         "transformers' where a text begins with a space or holds added or unknown tokens",
         CONFIG, class);
}

/* ---- chat templates ---- */

static bool writes_bos(const em_tokenizer *t, const char *template, size_t n) {
    char bos[64];
    size_t length = t->bos >= 0 ? t->engine->text(t->model, t->bos, bos, sizeof bos) : 0;
    return memmem(template, n, "bos_token", 9) || (length && memmem(template, n, bos, length));
}

/* A template is a string, or one of several, each with its name. */
static bool any_writes_bos(const em_tokenizer *t, const json_t *template) {
    size_t i;
    const json_t *each;
    if (json_is_string(template))
        return writes_bos(t, json_string_value(template), json_string_length(template));
    json_array_foreach(template, i, each) {
        const json_t *text = json_object_get(each, "template");
        if (json_is_string(text) && any_writes_bos(t, text)) return true;
    }
    return false;
}

/* chat_template.jinja counts before tokenizer_config.json, as in transformers. */
static void look_at_templates(const beside *b, const em_tokenizer_bytes *jinja) {
    em_tokenizer *t = b->t;
    if (jinja->data) {
        if (writes_bos(t, jinja->data, jinja->size)) t->template_bos = "chat_template.jinja";
    } else if (any_writes_bos(t, json_object_get(b->config, "chat_template"))) {
        t->template_bos = CONFIG;
    }
}

/* ---- together ---- */

static void say(beside *b) {
    const char *file = b->t->file;
    const tally *c = &b->fresh;
    if (c->n)
        note(b,
             "%s lacks %zu token%s that %s names (first \"%s\"): added, from id %d on, as in "
             "transformers",
             file, c->n, plural(c->n), c->file, c->first, c->id);
    c = &b->numbered;
    if (c->n)
        note(b, "%s gives \"%s\" the id %lld, %s %d%s: the latter counts, as in transformers",
             c->file, c->first, (long long)c->said, file, c->id,
             c->n > 1 ? ", and others likewise" : "");
    c = &b->flagged;
    if (c->n)
        note(
            b,
            "%s and %s disagree on the flags (lstrip, rstrip, normalized, single_word, special) of "
            "%zu token%s (first \"%s\"): those of %s count, as in transformers",
            c->file, file, c->n, plural(c->n), c->first, c->file);
    c = &b->unheeded;
    if (c->n)
        note(b,
             "a special token's flags in %s are not those of the added token in %s (%zu, first "
             "\"%s\"): the added token's count, as in transformers",
             c->file, b->decoder ? CONFIG : file, c->n, c->first);
    c = &b->left_out;
    if (c->n)
        note(b,
             "%s names %zu token%s (first \"%s\") that neither %s nor the added_tokens_decoder of "
             "%s "
             "has: left out, as in transformers",
             ADDED, c->n, plural(c->n), c->first, file, CONFIG);
}

static bool apply(beside *b) {
    b->decoder = json_object_get(b->config, "added_tokens_decoder") != NULL;
    const json_t *listed = b->decoder ? json_object_get(b->config, "added_tokens_decoder")
                                      : b->added;
    if (!add_listed(b, listed, b->decoder ? CONFIG : ADDED)) return false;
    if (b->t->engine->add_own && !b->t->engine->add_own(b->t->model, b->err)) return false;
    b->changed |= b->t->engine->add_own != NULL;
    if (!add_specials(b)) return false;
    if (b->decoder) left_out(b);
    if (!add_around(b, "add_bos_token", "bos_token", b->t->bos, &b->t->prefix, true) ||
        !add_around(b, "add_eos_token", "eos_token", b->t->eos, &b->t->suffix, false) ||
        !prefix_space(b))
        return false;
    dummy_space(b);
    note_llama(b);
    say(b);
    return b->noted &&
           (!b->changed || !b->t->engine->ready || b->t->engine->ready(b->t->model, b->err));
}

static bool load(const em_tokenizer_bytes *bytes, const char *file, size_t flags, json_t **out,
                 em_error *err) {
    json_error_t where;
    if (!bytes->data) return true;
    *out = json_loadb(bytes->data, bytes->size, JSON_ALLOW_NUL | flags, &where);
    if (json_is_object(*out)) return true;
    return em_fail(err, EM_INPUT, "%s is no JSON object%s%s", file, *out ? "" : ": ",
                   *out ? "" : where.text);
}

bool em_beside_apply(em_tokenizer *t, const em_tokenizer_files *files, em_error *err) {
    beside b = {.t = t, .noted = true, .err = err};
    for (int i = 0; i < NAMES; i++) t->named[i] = (em_named){names[i], CONFIG, -1};
    bool any = files->config.data || files->added_tokens.data || files->special_tokens_map.data;
    /* model_max_length is often 10^30, written as an integer */
    bool ok = load(&files->config, CONFIG, JSON_DECODE_INT_AS_REAL, &b.config, err) &&
              load(&files->added_tokens, ADDED, 0, &b.added, err) &&
              load(&files->special_tokens_map, MAP, 0, &b.map, err) && (!any || apply(&b));
    if (ok) look_at_templates(&b, &files->chat_template);
    json_decref(b.config);
    json_decref(b.added);
    json_decref(b.map);
    return ok;
}
