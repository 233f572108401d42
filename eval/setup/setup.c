#include "eval/setup/setup.h"

#include <errno.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/size.h"
#include "eval/process/installed.h"
#include "loader/files.h"
#include "model/compose.h"

/* ---- the tokenizer ---- */

/* The tokenizer's files, and what owns their bytes. */
typedef struct tokenizer_files {
    em_tokenizer_files files;
    em_bundle *bundle; /* or NULL, where buffers own them */
    em_buffer model, config, added_tokens, special_tokens_map, chat_template;
} tokenizer_files;

static void files_free(tokenizer_files *f) {
    em_bundle_close(f->bundle);
    em_buffer_free(&f->model);
    em_buffer_free(&f->config);
    em_buffer_free(&f->added_tokens);
    em_buffer_free(&f->special_tokens_map);
    em_buffer_free(&f->chat_template);
}

/* Whole file into b. A file that is not there is no error if optional: *found says. */
static bool read_file(const char *path, bool optional, bool *found, em_buffer *b, em_error *err) {
    FILE *f = fopen(path, "rb");
    *found = f != NULL;
    if (!f)
        return optional && errno == ENOENT
                   ? true
                   : em_fail_at(err, EM_INPUT, path, 0, -1, "%s", strerror(errno));
    char part[1 << 16];
    size_t n;
    bool good = true;
    while (good && (n = fread(part, 1, sizeof part, f)) > 0)
        good = em_buffer_append(b, part, n, err);
    if (good && ferror(f))
        good = em_fail_at(err, EM_INPUT, path, 0, -1, "cannot be read: %s", strerror(errno));
    fclose(f);
    return good;
}

/* The files that may lie in a tokenizer's folder, and count for it; n: bytes of the folder's name,
 * 0: the working directory. */
static bool read_beside(const char *folder, size_t n, tokenizer_files *f, em_error *err) {
    const struct {
        const char *name;
        em_buffer *into;
    } beside[] = {{"tokenizer_config.json", &f->config},
                  {"added_tokens.json", &f->added_tokens},
                  {"special_tokens_map.json", &f->special_tokens_map},
                  {"chat_template.jinja", &f->chat_template}};
    char name[4300];
    bool found;
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        snprintf(name, sizeof name, "%.*s%s%s", (int)n, folder, n ? "/" : "", beside[i].name);
        if (!read_file(name, true, &found, beside[i].into, err)) return false;
    }
    return true;
}

static bool read_directory(const char *path, em_setup *s, tokenizer_files *f, em_error *err) {
    static const char *const names[] = {"tokenizer.json", "tokenizer.model"};
    char name[4096];
    bool found = false;
    for (int i = 0; i < 2 && !found; i++) {
        snprintf(name, sizeof name, "%s/%s", path, names[i]);
        if (!read_file(name, true, &found, &f->model, err)) return false;
    }
    if (!found)
        return em_fail_at(err, EM_INPUT, path, 0, -1,
                          "holds neither tokenizer.json nor tokenizer.model");
    snprintf(s->tokenizer_source, sizeof s->tokenizer_source, "%s", name);
    return read_beside(path, strlen(path), f, err);
}

/* A safetensors file (our .bin) starts with its header's length and then "{". */
static bool looks_like_bundle(const char *path, int64_t size) {
    unsigned char head[9];
    uint64_t length = 0;
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(head, 1, sizeof head, f) : 0;
    if (f) fclose(f);
    for (int i = 7; i >= 0 && n == sizeof head; i--) length = length << 8 | head[i];
    return n == sizeof head && head[8] == '{' && length >= 2 && length <= (uint64_t)size - 8;
}

static em_tokenizer_bytes in_bundle(const em_bundle *b, const char *name) {
    em_tokenizer_bytes bytes = {0};
    em_bundle_file(b, name, &bytes.data, &bytes.size);
    return bytes;
}

/* The tokenizer's files in a bundle; NULL: it holds none, else the name of its own. */
static const char *files_of_bundle(const em_bundle *b, em_tokenizer_files *f) {
    static const char *const names[] = {"tokenizer.json", "tokenizer.model"};
    f->config = in_bundle(b, "tokenizer_config.json");
    f->added_tokens = in_bundle(b, "added_tokens.json");
    f->special_tokens_map = in_bundle(b, "special_tokens_map.json");
    f->chat_template = in_bundle(b, "chat_template.jinja");
    for (int i = 0; i < 2; i++) {
        f->model = in_bundle(b, names[i]);
        if (f->model.data) return names[i];
    }
    return NULL;
}

static bool read_bundle(const char *path, em_setup *s, tokenizer_files *f, em_error *err) {
    f->bundle = em_bundle_open(path, err);
    if (!f->bundle) return false;
    const char *name = files_of_bundle(f->bundle, &f->files);
    if (!name)
        return em_fail_at(err, EM_INPUT, path, 0, -1,
                          "holds no tokenizer; give one with --tokenizer PATH");
    snprintf(s->tokenizer_source, sizeof s->tokenizer_source, "%s in %s", name, path);
    return true;
}

static bool read_one(const char *path, tokenizer_files *f, em_error *err) {
    const char *slash = strrchr(path, '/');
    bool found;
    return read_file(path, false, &found, &f->model, err) &&
           read_beside(slash == path ? "/." : path,
                       slash == path ? 2
                       : slash       ? (size_t)(slash - path)
                                     : 0,
                       f, err);
}

static em_tokenizer_bytes bytes_of(const em_buffer *b) {
    return (em_tokenizer_bytes){b->data, b->length};
}

static bool read_tokenizer(const char *path, em_setup *s, tokenizer_files *f, em_error *err) {
    struct stat st;
    if (stat(path, &st)) return em_fail_at(err, EM_INPUT, path, 0, -1, "%s", strerror(errno));
    if (!S_ISDIR(st.st_mode) && looks_like_bundle(path, st.st_size))
        return read_bundle(path, s, f, err);
    snprintf(s->tokenizer_source, sizeof s->tokenizer_source, "%s", path);
    if (!(S_ISDIR(st.st_mode) ? read_directory(path, s, f, err) : read_one(path, f, err)))
        return false;
    f->files = (em_tokenizer_files){.model = bytes_of(&f->model),
                                    .config = bytes_of(&f->config),
                                    .added_tokens = bytes_of(&f->added_tokens),
                                    .special_tokens_map = bytes_of(&f->special_tokens_map),
                                    .chat_template = bytes_of(&f->chat_template)};
    return true;
}

static bool model_tokenizer(em_setup *s, tokenizer_files *f, em_error *err) {
    const em_bundle *b = em_model_bundle(s->model);
    const char *name = files_of_bundle(b, &f->files);
    if (!name)
        return em_fail_at(
            err, EM_INPUT, em_bundle_path(b), 0, -1,
            "has no tokenizer (tokenizer.json or tokenizer.model); give one with --tokenizer PATH");
    snprintf(s->tokenizer_source, sizeof s->tokenizer_source, "%s", name);
    return true;
}

/* ---- EOS and BOS ---- */

static bool describe_special(em_setup *s, em_special *out, int32_t id, const char *origin) {
    out->id = id;
    snprintf(out->origin, sizeof out->origin, "%s", origin);
    if (id >= 0) em_tokenizer_text(s->tokenizer, id, out->text, sizeof out->text);
    return true;
}

/* --eos / --bos: an id, a token of the vocabulary, or none. */
static bool special_option(em_setup *s, const char *option, const char *value, em_special *out,
                           em_error *err) {
    if (!strcmp(value, "none")) return describe_special(s, out, -1, option);
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (*value >= '0' && *value <= '9' && !*end && !errno) {
        if (number >= em_tokenizer_size(s->tokenizer))
            return em_fail(err, EM_USAGE, "%s %s: the tokenizer's ids end at %d", option, value,
                           em_tokenizer_size(s->tokenizer) - 1);
        return describe_special(s, out, (int32_t)number, option);
    }
    int32_t id = em_tokenizer_id(s->tokenizer, value);
    if (id < 0)
        return em_fail(err, EM_USAGE,
                       "%s %s: no such token in the tokenizer; give an id, a token, or none",
                       option, value);
    return describe_special(s, out, id, option);
}

static bool resolve_eos(em_setup *s, const em_setup_needs *needs, em_error *err) {
    const char *file;
    s->eos.id = -1;
    if (needs->models->eos) return special_option(s, "--eos", needs->models->eos, &s->eos, err);
    int32_t id = em_tokenizer_named(s->tokenizer, "eos_token", &file);
    if (id >= 0) return describe_special(s, &s->eos, id, file);
    const em_model_spec *spec = s->model ? em_model_spec_of(s->model) : NULL;
    if (spec && spec->eos >= 0) {
        snprintf(s->eos.note, sizeof s->eos.note, "%s", spec->eos_note);
        if (spec->eos >= em_tokenizer_size(s->tokenizer))
            return em_fail_at(
                err, EM_INPUT, spec->eos_origin, 0, -1,
                "eos_token_id %d is outside the tokenizer's %d ids; say --eos ID, TOKEN or none",
                spec->eos, em_tokenizer_size(s->tokenizer));
        if (needs->models->tokenizer && !*s->eos.note)
            snprintf(s->eos.note, sizeof s->eos.note,
                     "the id is the model's own, the tokenizer is the one of --tokenizer; --eos "
                     "says which is meant");
        return describe_special(s, &s->eos, spec->eos, spec->eos_origin);
    }
    if (em_tokenizer_eos(s->tokenizer) >= 0)
        return describe_special(s, &s->eos, em_tokenizer_eos(s->tokenizer), "the tokenizer");
    if (needs->eos_optional) return true;
    return em_fail(err, EM_INPUT,
                   "no EOS: neither tokenizer_config.json, config.json, generation_config.json nor "
                   "the tokenizer names one; "
                   "say --eos ID, TOKEN or none");
}

static bool resolve_pad(em_setup *s, const em_model_settings *models, em_error *err) {
    const char *file = "tokenizer_config.json";
    if (models->pad) return special_option(s, "--pad", models->pad, &s->pad, err);
    int32_t id = em_tokenizer_named(s->tokenizer, "pad_token", &file);
    return describe_special(s, &s->pad, id, file);
}

static bool push(int32_t *list, int *n, int32_t id, em_error *err) {
    if (*n == EM_MAX_AROUND)
        return em_fail(err, EM_INPUT, "the tokenizer adds more than %d tokens around a text",
                       EM_MAX_AROUND);
    list[(*n)++] = id;
    return true;
}

/* Before the text: the tokenizer's own prefix, or --bos. After it: the tokenizer's own suffix and
 * EOS, which is not added twice. */
static bool resolve_around(em_setup *s, const em_model_settings *models, em_error *err) {
    size_t n, m;
    const int32_t *prefix = em_tokenizer_prefix(s->tokenizer, &n),
                  *suffix = em_tokenizer_suffix(s->tokenizer, &m);
    s->bos.id = -1;
    if (models->bos && strcmp(models->bos, "auto")) {
        if (!special_option(s, "--bos", models->bos, &s->bos, err)) return false;
        if (s->bos.id >= 0 && !push(s->before, &s->n_before, s->bos.id, err)) return false;
    } else {
        for (size_t i = 0; i < n; i++)
            if (!push(s->before, &s->n_before, prefix[i], err)) return false;
        if (n) describe_special(s, &s->bos, prefix[0], "the tokenizer");
    }
    bool none = models->eos && s->eos.id < 0;
    for (size_t i = 0; i < m && !none; i++)
        if (!push(s->after, &s->n_after, suffix[i], err)) return false;
    if (s->eos.id < 0 || (s->n_after && s->after[s->n_after - 1] == s->eos.id)) return true;
    return push(s->after, &s->n_after, s->eos.id, err);
}

static bool open_tokenizer(em_setup *s, const em_setup_needs *needs, em_error *err) {
    tokenizer_files f = {0};
    bool good = needs->models->tokenizer ? read_tokenizer(needs->models->tokenizer, s, &f, err)
                                         : model_tokenizer(s, &f, err);
    if (good) {
        f.files.source = s->tokenizer_source;
        s->tokenizer = em_tokenizer_open_files(&f.files, err);
        good = s->tokenizer && resolve_eos(s, needs, err) &&
               resolve_around(s, needs->models, err) && resolve_pad(s, needs->models, err);
    }
    files_free(&f);
    return good;
}

/* What is put round every text has rows in the model. */
static bool check_around(const em_setup *s, int i, int vocab, em_error *err) {
    for (int k = 0; k < s->n_before + s->n_after; k++) {
        int32_t id = k < s->n_before ? s->before[k] : s->after[k - s->n_before];
        if (id >= vocab)
            return em_fail_at(err, EM_INPUT, s->tokenizer_source, 0, -1,
                              "id %d is put round every text, the embedding of %s has only %d rows "
                              "(--eos and --bos say which tokens are meant)",
                              id, s->names[i], vocab);
    }
    return true;
}

static bool check_vocabulary(const em_setup *s, int i, em_error *err) {
    int32_t ids = em_tokenizer_own_size(s->tokenizer);
    int vocab = em_model_spec_of(s->models[i])->vocab;
    if (ids <= vocab) {
        return em_tokenizer_limit(s->tokenizer, vocab, err) && check_around(s, i, vocab, err);
    }
    return em_fail_at(err, EM_INPUT, s->tokenizer_source, 0, -1,
                      "the tokenizer has ids up to %d, the embedding of %s only %d rows: they do "
                      "not belong together "
                      "(--tokenizer PATH gives another)",
                      ids - 1, s->names[i], vocab);
}

/* The first id that the two tokenizers do not use for the same text, or -1. */
static int32_t first_difference(const em_tokenizer *a, const em_tokenizer *b) {
    int32_t n = em_tokenizer_size(a) < em_tokenizer_size(b) ? em_tokenizer_size(a)
                                                            : em_tokenizer_size(b);
    for (int32_t id = 0; id < n; id++) {
        char x[256], y[256];
        size_t length = em_tokenizer_text(a, id, x, sizeof x);
        if (em_tokenizer_text(b, id, y, sizeof y) != length || memcmp(x, y, length)) return id;
    }
    return -1;
}

/* The tokens come from the first model's tokenizer; a further model's own must mean the same by
 * them. */
static bool check_tokenizer(const em_setup *s, int i, em_error *err) {
    em_tokenizer_files files = {0};
    files.source = files_of_bundle(em_model_bundle(s->models[i]), &files);
    if (!files.source) return true;
    em_tokenizer *own = em_tokenizer_open_files(&files, err);
    if (!own) return em_error_place(err, s->names[i], 0, -1);
    int32_t id = first_difference(s->tokenizer, own);
    char x[64] = "", y[64] = "";
    if (id >= 0) {
        em_tokenizer_text(s->tokenizer, id, x, sizeof x);
        em_tokenizer_text(own, id, y, sizeof y);
        em_fail(err, EM_INPUT,
                "id %d is \"%s\" to the tokenizer of %s and \"%s\" to that of %s: the models "
                "cannot be compared on "
                "the same tokens (--tokenizer PATH says which tokenizer both mean)",
                id, x, s->names[0], y, s->names[i]);
    }
    em_tokenizer_close(own);
    return id < 0;
}

static bool check_models(const em_setup *s, const em_model_settings *models, em_error *err) {
    for (int i = 0; i < s->n_models; i++) {
        if (!check_vocabulary(s, i, err)) return false;
        if (i > 0 && !models->tokenizer && !check_tokenizer(s, i, err)) return false;
        int vocab = em_model_spec_of(s->models[i])->vocab,
            first = em_model_spec_of(s->model)->vocab;
        if (models->alphas.n && vocab != first && !models->common_vocab)
            return em_fail(err, EM_INPUT,
                           "--alpha: %s has a vocabulary of %d, %s of %d, so their logits cannot "
                           "be combined; say "
                           "--common-vocab, or leave out --alpha to compare their losses, each "
                           "over its own vocabulary",
                           s->names[0], first, s->names[i], vocab);
    }
    return true;
}

/* ---- rows ---- */

/* The model whose limit of positions is the lowest; NULL: none has one. */
static const em_model_spec *tightest(const em_setup *s) {
    const em_model_spec *least = NULL;
    for (int i = 0; i < s->n_models; i++) {
        const em_model_spec *spec = em_model_spec_of(s->models[i]);
        if (spec->max_positions > 0 && (!least || spec->max_positions < least->max_positions))
            least = spec;
    }
    return least;
}

static bool check_learned_positions(const em_setup *s, em_error *err) {
    for (int i = 0; i < s->n_models; i++) {
        const em_model_spec *spec = em_model_spec_of(s->models[i]);
        if ((spec->learned_positions || spec->length_limited) &&
            s->row_tokens > spec->max_positions)
            return em_fail(
                err, EM_INPUT, "-T %d: %s has %s for %lld tokens only; say -T %lld or less",
                s->row_tokens, s->n_models > 1 ? s->names[i] : "the model",
                spec->learned_positions ? "learned positions" : "longrope, which is supported",
                (long long)spec->max_positions, (long long)spec->max_positions);
    }
    return true;
}

/* FROM..limit: doubled, and the limit itself. */
static bool double_to_limit(em_setup *s, const em_protocol_settings *protocol,
                            const em_model_spec *tight, em_error *err) {
    if (!tight)
        return em_fail(
            err, EM_USAGE,
            "-T %d..limit: the model's config names no limit of positions; say -T %d..4096 or so",
            protocol->row_tokens_from, protocol->row_tokens_from);
    if (tight->max_positions < protocol->row_tokens_from)
        return em_fail(err, EM_USAGE, "-T %d..limit: the model's limit is %lld",
                       protocol->row_tokens_from, (long long)tight->max_positions);
    int64_t limit = tight->max_positions < 1 << 24 ? tight->max_positions : 1 << 24;
    for (int64_t t = protocol->row_tokens_from; t < limit; t *= 2)
        s->row_lengths[s->n_row_lengths++] = (int32_t)t;
    s->row_lengths[s->n_row_lengths++] = (int32_t)limit;
    return true;
}

static bool list_row_lengths(em_setup *s, const em_protocol_settings *protocol, em_error *err) {
    if (protocol->row_tokens_from) return double_to_limit(s, protocol, tightest(s), err);
    for (int i = 0; i < protocol->n_row_tokens; i++)
        s->row_lengths[s->n_row_lengths++] = protocol->row_tokens[i];
    if (s->n_row_lengths == 0) s->row_lengths[s->n_row_lengths++] = 1024;
    return true;
}

static bool resolve_row_tokens(em_setup *s, const em_protocol_settings *protocol, em_error *err) {
    const em_model_spec *spec = tightest(s);
    if (!list_row_lengths(s, protocol, err)) return false;
    s->row_tokens = s->row_lengths[s->n_row_lengths - 1];
    if (!spec || s->row_tokens <= spec->max_positions) return true;
    if (protocol->n_row_tokens == 0) {
        s->row_tokens = s->row_lengths[0] = (int32_t)spec->max_positions;
        snprintf(s->row_tokens_note, sizeof s->row_tokens_note,
                 "T = %d, the model's limit, instead of 1024", s->row_tokens);
        return true;
    }
    snprintf(s->row_tokens_note, sizeof s->row_tokens_note,
             "T = %d is beyond the %lld positions that the model's config names", s->row_tokens,
             (long long)spec->max_positions);
    return check_learned_positions(s, err);
}

/* ---- data sets ---- */

/* --data without a name makes one stream together; each name is a data set of its own. */
static bool add_data(em_setup *s, const em_named_path *p, em_error *err) {
    em_dataset *d = NULL;
    const char *name = p->name ? p->name : "";
    for (int i = 0; i < s->n_datasets; i++)
        if (!strcmp(s->datasets[i].name, name)) d = &s->datasets[i];
    if (!d) {
        d = &s->datasets[s->n_datasets++];
        d->name = name;
    }
    if (d->n_paths == EM_MAX_LIST)
        return em_fail(err, EM_USAGE, "--data: at most %d paths", EM_MAX_LIST);
    d->paths[d->n_paths++] = p->path;
    return true;
}

/* Every data set under every packing. */
static bool pack_data(em_setup *s, const em_protocol_settings *protocol, em_error *err) {
    int packs = protocol->n_packs > 1 ? protocol->n_packs : 1;
    for (int i = s->n_datasets * packs - 1; i >= 0; i--) {
        em_dataset *d = &s->datasets[i];
        *d = s->datasets[i / packs];
        d->pack = packs > 1 ? protocol->packs[i % packs] : protocol->pack;
        const char *how = packs < 2 ? "" : d->pack == EM_PACK_NONE ? "alone" : "packed";
        int n = snprintf(d->shown, sizeof d->shown, "%s%s%s", d->name, *d->name && *how ? ", " : "",
                         how);
        if ((size_t)n >= sizeof d->shown)
            return em_fail(err, EM_USAGE, "--data %s=: this name is too long", d->name);
    }
    s->n_datasets *= packs;
    return true;
}

static bool resolve_data(em_setup *s, const em_data_settings *data,
                         const em_protocol_settings *protocol, em_error *err) {
    static char sample[4096];
    for (int i = 0; i < data->n_sets; i++)
        if (!add_data(s, &data->sets[i], err)) return false;
    if (s->n_datasets > 1 && !*s->datasets[0].name)
        return em_fail(err, EM_USAGE,
                       "--data %s: with several data sets each wants a name, --data NAME=%s",
                       s->datasets[0].paths[0], s->datasets[0].paths[0]);
    for (int i = 1; i < s->n_datasets; i++)
        if (!*s->datasets[i].name)
            return em_fail(err, EM_USAGE,
                           "--data %s: with several data sets each wants a name, --data NAME=%s",
                           s->datasets[i].paths[0], s->datasets[i].paths[0]);
    if (data->n_sets) return pack_data(s, protocol, err);
    const char *name = data->bundled ? data->bundled : "sample.jsonl.zst";
    if (!em_installed_file(name, sample, sizeof sample))
        return em_fail(err, EM_USAGE,
                       "no --data, and the bundled %s is not installed; say --data PATH", name);
    s->bundled_sample = !data->bundled;
    return add_data(s, &(em_named_path){NULL, sample}, err) && pack_data(s, protocol, err);
}

/* Walks the directories, so that what is left out of them can be said. */
static bool list_data(em_setup *s, const char *text_key, em_error *err) {
    bool good = true;
    s->text_key = text_key;
    for (int i = 0; good && i < s->n_datasets; i++) {
        em_dataset *d = &s->datasets[i];
        em_files files;
        good = em_files_list(d->paths, d->n_paths, text_key, &files, err);
        em_files_note(&files, d->left_out, sizeof d->left_out);
        em_files_free(&files);
    }
    return good;
}

/* ---- together ---- */

static bool keep_model(em_setup *s, em_model *m, const char *name, const char *group,
                       em_error *err) {
    if (!m) return false;
    snprintf(s->names[s->n_models], sizeof s->names[0], "%s", name ? name : em_model_name(m));
    snprintf(s->groups[s->n_models], sizeof s->groups[0], "%s", group);
    s->models[s->n_models++] = m;
    return em_notes_join(&s->notes, em_model_notes(m), err);
}

static bool room_for_model(const em_setup *s, const char *path, em_error *err) {
    return s->n_models < EM_MAX_MODELS ||
           em_fail(err, EM_USAGE, "%s: at most %d models in a run", path, EM_MAX_MODELS);
}

static bool add_model(em_setup *s, const char *path, const char *name, const char *group,
                      em_error *err) {
    return room_for_model(s, path, err) &&
           keep_model(s, em_model_open(path, err), name, group, err);
}

static bool add_adapter(em_setup *s, const em_named_path *p, em_error *err) {
    if (*s->groups[0])
        return em_fail(err, EM_USAGE, "--adapter %s wants one --model, not a group of them",
                       p->path);
    return room_for_model(s, p->path, err) &&
           keep_model(s, em_model_with_adapter(s->models[0], p->path, err), p->name, "", err);
}

/* NAME=A,B,C: NAME.1, NAME.2 and NAME.3. A path that exists is one path, commas and all. */
static bool add_models(em_setup *s, const em_named_path *p, em_error *err) {
    char path[4096], name[sizeof s->names[0]];
    if (!strchr(p->path, ',') || access(p->path, F_OK) == 0)
        return add_model(s, p->path, p->name, "", err);
    if (!p->name)
        return em_fail(err, EM_USAGE, "--model %s: a group of models wants a name, NAME=%s",
                       p->path, p->path);
    int member = 0;
    for (const char *from = p->path;; from++) {
        size_t n = strcspn(from, ",");
        if (n == 0 || n >= sizeof path)
            return em_fail(err, EM_USAGE, "--model %s=%s: one of the paths is empty or too long",
                           p->name, p->path);
        snprintf(path, sizeof path, "%.*s", (int)n, from);
        if ((size_t)snprintf(name, sizeof name, "%s.%d", p->name, ++member) >= sizeof name)
            return em_fail(err, EM_USAGE, "--model %s=: too long for the name of a group", p->name);
        if (!add_model(s, path, name, p->name, err)) return false;
        from += n;
        if (!*from) return true;
    }
}

/* The name that model i was given, or NULL; without groups, which have their own. */
static const char *given_name(const em_model_settings *models, int i) {
    if (i == 0) return models->first.name;
    return i <= models->n_compare ? models->compare[i - 1].name
                                  : models->adapters[i - 1 - models->n_compare].name;
}

/* Of two models without a name the first is "before" and the second "after". */
static bool name_models(em_setup *s, const em_model_settings *models, em_error *err) {
    static const char *const of_two[] = {"before", "after"};
    for (int i = 0; i < 2 && s->n_models == 2 && !*s->groups[0]; i++)
        if (!given_name(models, i)) strcpy(s->names[i], of_two[i]);
    for (int i = 0; models->alphas.n && i < s->n_models; i++)
        if (!strcmp(s->names[i], "amplified"))
            return em_fail(err, EM_USAGE,
                           "a model is named amplified, as the results of --alpha are; give it "
                           "another name");
    for (int i = 0; i < s->n_models; i++)
        for (int k = 0; k < i; k++)
            if (!strcmp(s->names[i], s->names[k]))
                return em_fail(err, EM_USAGE,
                               "two models are named %s; say --compare NAME=PATH with another name",
                               s->names[i]);
    return true;
}

static bool open_models(em_setup *s, const em_model_settings *models, em_error *err) {
    if (!models->first.path) return true;
    if (!add_models(s, &models->first, err)) return false;
    for (int i = 0; i < models->n_compare; i++)
        if (!add_models(s, &models->compare[i], err)) return false;
    for (int i = 0; i < models->n_adapters; i++)
        if (!add_adapter(s, &models->adapters[i], err)) return false;
    s->model = s->models[0];
    s->n_named = s->n_models;
    if (models->alphas.n && s->n_models != 2)
        return em_fail(
            err, EM_USAGE,
            "--alpha wants two models: alphas lie on the line through them, and these are %d",
            s->n_models);
    return name_models(s, models, err);
}

/* One model for each alpha but those that are the two models themselves. */
static bool open_amplified(em_setup *s, const em_model_settings *models, em_error *err) {
    for (int i = 0; i < models->alphas.n && models->alpha_space == EM_ALPHA_WEIGHT; i++) {
        double a = models->alphas.values[i];
        s->amplified[i] = a == -1 ? 0 : a == 0 ? 1 : s->n_models;
        if (a == -1 || a == 0) continue;
        if (s->n_models == EM_MAX_MODELS)
            return em_fail(err, EM_USAGE,
                           "--alpha-space weight: at most %d alphas beside -1 and 0 in a run, each "
                           "is a model of its own",
                           EM_MAX_MODELS - 2);
        if (!keep_model(s, em_model_between(s->models[0], s->models[1], a, err), "amplified", "",
                        err))
            return false;
    }
    return true;
}

/* Resident pages of this process, and what the loader may still take: its documents in flight, the
 * decompressor's window at its usual size, and the waiting rows. */
static size_t taken_already(void) {
    enum { LOADER_BYTES = 24 << 20 };
    unsigned long size, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%lu %lu", &size, &resident) != 2) resident = 0;
    if (f) fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE) + LOADER_BYTES;
}

bool em_setup_open(em_setup *s, const em_setup_needs *needs, em_error *err) {
    *s = (em_setup){0};
    s->threads = needs->threads ? needs->threads : omp_get_num_procs();
    if (!open_models(s, needs->models, err)) goto fail;
    if (!open_tokenizer(s, needs, err)) goto fail;
    if (!check_models(s, needs->models, err)) goto fail;
    if (!em_notes_join(&s->notes, em_tokenizer_notes(s->tokenizer), err)) goto fail;
    if (!open_amplified(s, needs->models, err)) goto fail;
    if (!resolve_row_tokens(s, needs->protocol, err)) goto fail;
    if (needs->data && (!resolve_data(s, needs->data, needs->protocol, err) ||
                        !list_data(s, needs->data->text_key, err)))
        goto fail;
    s->taken = taken_already();
    return true;
fail:
    em_setup_close(s);
    return false;
}

void em_setup_close(em_setup *s) {
    em_tokenizer_close(s->tokenizer);
    for (int i = s->n_models; i-- > 0;)
        em_model_close(s->models[i]); /* what is made of others before them */
    em_notes_free(&s->notes);
    *s = (em_setup){0};
}

em_loader *em_setup_loader(const em_setup *s, const em_data_settings *data, const em_dataset *d,
                           em_error *err) {
    em_loader_options o = {.paths = d->paths,
                           .n_paths = d->n_paths,
                           .keys = {.text = data->text_key, .group = data->group_by},
                           .subsets = data->subsets,
                           .n_subsets = data->n_subsets,
                           .max_docs = data->max_docs,
                           .skip_bad_records = data->skip_bad_records,
                           .source = {.max_window_log = data->zstd_window},
                           .workers = s->threads,
                           .tokenizer = s->tokenizer,
                           .stop = s->stop,
                           .before = s->before,
                           .n_before = s->n_before,
                           .after = s->after,
                           .n_after = s->n_after};
    return em_loader_open(&o, err);
}

em_network *em_setup_network(const em_setup *s, size_t memory, int i, em_backend *backend,
                             const em_network_options *needs, em_error *err) {
    size_t device = backend->device_memory, ranks = s->node_ranks ? (size_t)s->node_ranks : 1;
    size_t half = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE) / 2,
           room = device ? device / 10 * 9 : half / ranks;
    em_network_options o = *needs;
    o.source = em_model_path(s->models[i]);
    o.memory = memory ? memory : room;
    o.taken = device ? 0 : s->taken;
    o.sharers = s->n_models;
    o.stop = s->stop;
    return em_network_open(s->models[i], backend, &o, err);
}

void em_setup_notes(const em_setup *s) {
    if (s->bundled_sample) fputs("no --data: using the bundled sample\n", stderr);
    em_notes_print(&s->notes);
    if (*s->row_tokens_note) fprintf(stderr, "%s\n", s->row_tokens_note);
}
