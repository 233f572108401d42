#include "eval/setup/identity.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/hash.h"
#include "loader/files.h"

enum { HEAD_BYTES = 1 << 20 };

/* ---- files ---- */

/* XXH3-128 of the first `most` bytes, or of all where that is 0. */
static bool hash_file(const char *path, size_t most, char out[17], em_error *err) {
    char part[1 << 16];
    size_t n, done = 0;
    FILE *f = fopen(path, "rb");
    if (!f) return em_fail_at(err, EM_INPUT, path, 0, -1, "%s", strerror(errno));
    XXH3_state_t *hash = XXH3_createState();
    bool good = hash || em_fail_memory(err, 576, path);
    if (good) XXH3_128bits_reset(hash);
    while (good && (!most || done < most) && (n = fread(part, 1, sizeof part, f)) > 0) {
        XXH3_128bits_update(hash, part, n);
        done += n;
    }
    if (good && ferror(f))
        good = em_fail_at(err, EM_INPUT, path, 0, -1, "cannot be read: %s", strerror(errno));
    if (good) em_hash_hex(XXH3_128bits_digest(hash), out);
    XXH3_freeState(hash);
    fclose(f);
    return good;
}

static bool put_file(em_buffer *out, const char *path, em_error *err) {
    struct stat st;
    char hash[17], when[32];
    if (!strcmp(path, "-"))
        return em_fail(err, EM_USAGE,
                       "--data -: stdin cannot be read again from its beginning, as a run with "
                       "--journal must; give a file");
    if (stat(path, &st)) return em_fail_at(err, EM_INPUT, path, 0, -1, "%s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return em_fail(
            err, EM_USAGE,
            "%s: is no regular file, and a run with --journal must be able to read it again", path);
    if (!hash_file(path, HEAD_BYTES, hash, err)) return false;
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", gmtime_r(&st.st_mtim.tv_sec, &utc));
    em_buffer_printf(out, "%s\t%lld bytes of %s.%09ldZ, XXH3 %s\n", path, (long long)st.st_size,
                     when, (long)st.st_mtim.tv_nsec, hash);
    return true;
}

/* What a model's or adapter's directory holds that evaluation may read; not the results that a user
 * puts there. */
static int of_a_model(const struct dirent *e) {
    static const char *const names[] = {"config.json",           "generation_config.json",
                                        "tokenizer.json",        "tokenizer.model",
                                        "tokenizer_config.json", "model.safetensors.index.json",
                                        "adapter_config.json",   "added_tokens.json",
                                        "chat_template.jinja",   "special_tokens_map.json"};
    const char *dot = strrchr(e->d_name, '.');
    if (dot && dot != e->d_name && !strcmp(dot, ".safetensors")) return 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(e->d_name, names[i])) return 1;
    return 0;
}

static int byte_order(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool put_directory(em_buffer *out, const char *path, em_error *err) {
    struct dirent **entries;
    int n = scandir(path, &entries, of_a_model, byte_order);
    if (n < 0) return em_fail_at(err, EM_INPUT, path, 0, -1, "%s", strerror(errno));
    bool good = true;
    for (int i = 0; i < n; i++) {
        char name[4400];
        snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        good = good && put_file(out, name, err);
        free(entries[i]);
    }
    free(entries);
    return good;
}

static bool put_model(em_buffer *out, const char *path, em_error *err) {
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return put_directory(out, path, err);
    return put_file(out, path, err);
}

/* A tokenizer's file counts with what lies beside it, as it does where it is read. */
static bool put_tokenizer(em_buffer *out, const char *path, em_error *err) {
    static const char *const names[] = {"tokenizer_config.json", "added_tokens.json",
                                        "special_tokens_map.json", "chat_template.jinja"};
    struct stat st;
    char beside[4400];
    const char *slash = strrchr(path, '/');
    if (!put_model(out, path, err)) return false;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(beside, sizeof beside, "%.*s%s", slash ? (int)(slash - path + 1) : 0, path,
                 names[i]);
        if (access(beside, F_OK) == 0 && !put_file(out, beside, err)) return false;
    }
    return true;
}

static bool put_data_set(em_buffer *out, const em_dataset *d, const char *text_key, em_error *err) {
    em_files files;
    if (!em_files_list(d->paths, d->n_paths, text_key, &files, err))
        return em_files_free(&files), false;
    bool good = true;
    for (size_t i = 0; good && i < files.n; i++) good = put_file(out, files.paths[i], err);
    em_files_free(&files);
    return good;
}

/* ---- the text ---- */

/* Two builds of one version need not give the same bits. */
static bool put_program(em_buffer *out, em_error *err) {
    char hash[17];
    if (!hash_file("/proc/self/exe", 0, hash, err)) return false;
    em_buffer_printf(out, "version\t%s\nprogram\tXXH3 %s\n", EM_VERSION, hash);
    return true;
}

bool em_identity_make(em_buffer *out, const em_identity_source *source, const em_setup *setup,
                      const em_backend *backend, em_error *err) {
    if (!put_program(out, err)) return false;
    em_buffer_printf(out, "device\t%s, %s\n", backend->name, backend->isa);
    em_buffer_puts(out, source->given ? source->given : "");
    for (int i = 0; i < setup->n_models; i++)
        if (!put_model(out, em_model_path(setup->models[i]), err)) return false;
    if (source->tokenizer && !put_tokenizer(out, source->tokenizer, err)) return false;
    if (source->config && !put_file(out, source->config, err)) return false;
    if (source->baseline && !put_file(out, source->baseline, err)) return false;
    for (int i = 0; i < setup->n_datasets; i++)
        if (!put_data_set(out, &setup->datasets[i], setup->text_key, err)) return false;
    return true;
}

/* ---- the comparison ---- */

typedef struct line {
    const char *text;
    int n, key;
} line; /* bytes of the line, and of its key */

static line line_at(const char *text) {
    line l = {.text = text, .n = (int)strcspn(text, "\n"), .key = (int)strcspn(text, "\t\n")};
    return l;
}

static bool same_key(line a, line b) {
    return a.key == b.key && !memcmp(a.text, b.text, (size_t)a.key);
}

static bool has_key(const char *text, line l) {
    for (; *text; text += strcspn(text, "\n"), text += *text == '\n')
        if (same_key(line_at(text), l)) return true;
    return false;
}

static const char *value(line l) { return l.text + l.key + (l.n > l.key); }
static int value_bytes(line l) { return l.n - l.key - (l.n > l.key); }

/* No command brings another build's journal back. */
static bool of_build(line l) {
    return same_key(l, line_at("version")) || same_key(l, line_at("program"));
}

bool em_identity_check(const char *journal, const char *theirs, const char *ours, em_error *err) {
    while (*theirs || *ours) {
        line a = line_at(theirs), b = line_at(ours);
        const char *hint = of_build(a)
                               ? "go on with the build that it is of, or delete it to start over"
                               : "give the same command, or delete the journal to start over";
        if (a.n != b.n || memcmp(a.text, b.text, (size_t)a.n)) {
            if (same_key(a, b))
                return em_fail_at(err, EM_USAGE, journal, 0, -1,
                                  "its run had %.*s %.*s, this one %.*s; %s", a.key, a.text,
                                  value_bytes(a), value(a), value_bytes(b), value(b), hint);
            if (a.n && !has_key(ours, a))
                return em_fail_at(err, EM_USAGE, journal, 0, -1,
                                  "its run had %.*s %.*s, this one has not; %s", a.key, a.text,
                                  value_bytes(a), value(a), hint);
            return em_fail_at(err, EM_USAGE, journal, 0, -1, "its run did not have %.*s %.*s; %s",
                              b.key, b.text, value_bytes(b), value(b), hint);
        }
        theirs += a.n + (theirs[a.n] == '\n');
        ours += b.n + (ours[b.n] == '\n');
    }
    return true;
}
