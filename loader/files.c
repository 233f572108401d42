#include "loader/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/size.h"

void em_files_free(em_files *f) {
    for (size_t i = 0; i < f->n; i++) free(f->paths[i]);
    free(f->paths);
    *f = (em_files){0};
}

/* Takes path over. */
static bool add(em_files *f, char *path, int64_t size, em_error *err) {
    if (!path) return em_fail_memory(err, 256, "a path");
    if (!em_grow(&f->paths, &f->capacity, f->n + 1, sizeof *f->paths, "the list of files", err)) {
        free(path);
        return false;
    }
    f->paths[f->n++] = path;
    f->size = f->size < 0 || size < 0 ? -1 : f->size + size;
    return true;
}

static bool unreadable(const char *path, em_error *err) {
    return em_fail_at(err, EM_INPUT, path, 0, -1, "cannot be opened: %s", strerror(errno));
}

static int not_hidden(const struct dirent *e) { return e->d_name[0] != '.'; }
static int byte_order(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool add_entry(em_files *f, const char *directory, const char *name, em_error *err) {
    char *path = NULL;
    struct stat st;
    bool slash = directory[strlen(directory) - 1] == '/';
    if (asprintf(&path, "%s%s%s", directory, slash ? "" : "/", name) < 0)
        return em_fail_memory(err, 256, "a path");
    bool good = (!stat(path, &st) && !access(path, R_OK)) || unreadable(path, err);
    if (good && S_ISREG(st.st_mode)) return add(f, path, st.st_size, err);
    free(path);
    return good;
}

static bool add_directory(em_files *f, const char *path, em_error *err) {
    struct dirent **entries;
    size_t before = f->n;
    int n = scandir(path, &entries, not_hidden, byte_order);
    if (n < 0) return unreadable(path, err);
    bool good = true;
    for (int i = 0; i < n; i++) {
        good = good && add_entry(f, path, entries[i]->d_name, err);
        free(entries[i]);
    }
    free(entries);
    return good && (f->n > before ||
                    em_fail_at(err, EM_INPUT, path, 0, -1, "the directory holds no files"));
}

static bool add_path(em_files *f, const char *path, em_error *err) {
    struct stat st;
    if (!strcmp(path, "-")) {
        for (size_t i = 0; i < f->n; i++)
            if (!strcmp(f->paths[i], "-"))
                return em_fail(err, EM_USAGE, "stdin (\"-\") can be read only once");
        return add(f, strdup(path), -1, err);
    }
    if (stat(path, &st) || access(path, R_OK)) return unreadable(path, err);
    if (S_ISDIR(st.st_mode)) return add_directory(f, path, err);
    return add(f, strdup(path), S_ISREG(st.st_mode) ? st.st_size : -1, err);
}

bool em_files_list(const char *const *paths, int n, em_files *out, em_error *err) {
    *out = (em_files){0};
    for (int i = 0; i < n; i++)
        if (!add_path(out, paths[i], err)) return false;
    return true;
}

bool em_file_is_text(const char *path) {
    size_t n = strlen(path);
    if (n > 4 && !strcmp(path + n - 4, ".zst")) n -= 4;
    else if (n > 3 && !strcmp(path + n - 3, ".gz")) n -= 3;
    return n > 4 && !memcmp(path + n - 4, ".txt", 4);
}
