#include "eval/setup/inputs.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/size.h"
#include "loader/files.h"

void em_inputs_free(em_inputs *x) {
    for (size_t i = 0; i < x->n; i++) free(x->files[i].path);
    free(x->files);
    *x = (em_inputs){0};
}

static bool add_file(em_inputs *x, const char *path, const char *what, em_error *err) {
    if (!em_grow(&x->files, &x->capacity, x->n + 1, sizeof *x->files, "the list of inputs", err))
        return false;
    em_input *file = &x->files[x->n];
    *file = (em_input){strdup(path), what};
    if (!file->path) return em_fail_memory(err, strlen(path), path);
    x->n++;
    return true;
}

/* ---- models ---- */

/* What a model's or adapter's directory holds that evaluation may read; not the results that a user
 * puts there. */
static int of_a_model(const struct dirent *e) {
    static const char *const names[] = {"config.json",
                                        "generation_config.json",
                                        "tokenizer.json",
                                        "tokenizer.model",
                                        "tokenizer_config.json",
                                        "added_tokens.json",
                                        "special_tokens_map.json",
                                        "chat_template.jinja",
                                        "model.safetensors.index.json",
                                        "adapter_config.json"};
    const char *dot = strrchr(e->d_name, '.');
    if (dot && dot != e->d_name && !strcmp(dot, ".safetensors")) return 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(e->d_name, names[i])) return 1;
    return 0;
}

static int byte_order(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool is_directory(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool add_directory(em_inputs *x, const char *path, const char *what, em_error *err) {
    struct dirent **entries;
    int n = scandir(path, &entries, of_a_model, byte_order);
    if (n < 0) return em_fail_at(err, EM_INPUT, path, 0, -1, "%s", strerror(errno));
    bool good = true;
    for (int i = 0; i < n; i++) {
        char name[4400];
        snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        good = good && add_file(x, name, what, err);
        free(entries[i]);
    }
    free(entries);
    return good;
}

bool em_inputs_add(em_inputs *out, const char *path, const char *what, em_error *err) {
    return is_directory(path) ? add_directory(out, path, what, err)
                              : add_file(out, path, what, err);
}

/* A tokenizer's file counts with what lies beside it, as it does where it is read. */
static bool add_tokenizer(em_inputs *x, const char *path, em_error *err) {
    static const char *const names[] = {"tokenizer_config.json", "added_tokens.json",
                                        "special_tokens_map.json", "chat_template.jinja"};
    char beside[4400];
    const char *slash = strrchr(path, '/');
    if (!em_inputs_add(x, path, "its tokenizer", err)) return false;
    if (is_directory(path)) return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(beside, sizeof beside, "%.*s%s", slash ? (int)(slash - path + 1) : 0, path,
                 names[i]);
        if (access(beside, F_OK) == 0 && !add_file(x, beside, "its tokenizer", err)) return false;
    }
    return true;
}

static bool add_data(em_inputs *x, const em_dataset *d, const char *text_key, em_error *err) {
    em_files files;
    bool good = em_files_list(d->paths, d->n_paths, text_key, &files, err);
    for (size_t i = 0; good && i < files.n; i++)
        good = add_file(x, files.paths[i], "its data", err);
    em_files_free(&files);
    return good;
}

bool em_inputs_of_run(em_inputs *out, const em_input_paths *given, const em_setup *setup,
                      em_error *err) {
    bool good = true;
    for (int i = 0; good && i < setup->n_models; i++)
        good = em_inputs_add(out, em_model_path(setup->models[i]), "its model", err);
    if (good && given->tokenizer) good = add_tokenizer(out, given->tokenizer, err);
    if (good && given->config) good = add_file(out, given->config, "its config", err);
    if (good && given->baseline) good = add_file(out, given->baseline, "its baseline", err);
    for (int i = 0; good && i < setup->n_datasets; i++)
        good = add_data(out, &setup->datasets[i], setup->text_key, err);
    return good;
}

/* ---- outputs ---- */

/* Whether both are one regular file. "-" is what stdin is at. */
static bool same_file(const char *output, const char *input) {
    struct stat x, y;
    bool is_stdin = !strcmp(input, "-");
    return stat(output, &x) == 0 && S_ISREG(x.st_mode) &&
           (is_stdin ? fstat(STDIN_FILENO, &y) : stat(input, &y)) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

bool em_inputs_apart(const em_inputs *x, const char *const *outputs, int n, em_error *err) {
    for (int i = n - 1; i >= 0; i--) /* the reports' own names come last */
        for (size_t k = 0; outputs[i] && k < x->n; k++)
            if (same_file(outputs[i], x->files[k].path))
                return em_fail(err, EM_USAGE,
                               "%s: the run would write over %s, %s; give another name", outputs[i],
                               x->files[k].what, x->files[k].path);
    return true;
}
