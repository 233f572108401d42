#include "loader/files.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/size.h"
#include "loader/source.h"

enum {
    HEAD_BYTES = 64 << 10, /* of a file, to see whether it is data */
    NAMES_BYTES = 240,     /* of what is left out */
    DEPTH = 64             /* folders inside one another */
};

typedef struct inode {
    dev_t device;
    ino_t number;
} inode;

/* A directory that is walked. */
typedef struct walk {
    em_files *files;
    const char *text_key;
    size_t root; /* bytes of the directory's path, and of the slash after it */
    void *met;   /* tsearch's tree of inodes */
} walk;

void em_files_free(em_files *f) {
    for (size_t i = 0; i < f->n; i++) free(f->paths[i]);
    free(f->paths);
    em_buffer_free(&f->left_names);
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

/* ---- what is data ---- */

static size_t without_compression(const char *path) {
    size_t n = strlen(path);
    if (n > 4 && !strcmp(path + n - 4, ".zst")) return n - 4;
    return n > 3 && !strcmp(path + n - 3, ".gz") ? n - 3 : n;
}

static bool named(const char *path, const char *suffix) {
    size_t n = without_compression(path), m = strlen(suffix);
    return n > m && !memcmp(path + n - m, suffix, m);
}

bool em_file_is_text(const char *path) { return named(path, ".txt"); }

/* README.txt, LICENSE-MIT.txt, requirements.txt … are about data. */
static bool is_about(const char *name) {
    static const char *const words[] = {"readme",    "license", "licence", "copying",
                                        "changelog", "notice",  "authors", "requirements"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i]);
        if (!strncasecmp(name, words[i], n) && !isalpha((unsigned char)name[n])) return true;
    }
    return false;
}

static const char *past_space(const char *p, const char *end) {
    while (p < end && memchr(" \t\r\n", *p, 4)) p++;
    return p;
}

/* A place where "key" is followed by ':' and a value that begins with first. */
static bool holds_key(const char *p, const char *end, const char *key, char first) {
    size_t n = strlen(key);
    for (; (p = memmem(p, (size_t)(end - p), key, n)); p++) {
        if (p[-1] != '"' || p + n >= end || p[n] != '"') continue;
        const char *q = past_space(p + n + 1, end);
        if (q == end || *q != ':') continue;
        q = past_space(q + 1, end);
        if (q < end && *q == first) return true;
    }
    return false;
}

/* JSON with the key in its first bytes, or one record longer than these: what form of JSON it is,
 * and whether it is whole, is seen when it is read. */
static bool head_is_data(const char *head, size_t n, const char *text_key) {
    const char *p = past_space(head, head + n), *end = head + n;
    if (p == end || (*p != '{' && *p != '[')) return false;
    if (holds_key(p + 1, end, text_key ? text_key : "input_ids", text_key ? '"' : '[')) return true;
    return n == HEAD_BYTES && *p == '{' && !memchr(p, '\n', (size_t)(end - p));
}

/* Whether the file's content is data. One that cannot be decompressed holds none that is read. */
static bool sniff(const char *path, const char *text_key, bool *is_data, em_error *err) {
    em_error unread = EM_ERROR_INIT;
    char *head = em_alloc(HEAD_BYTES, 1, path, err);
    em_source *source = head ? em_source_open(path, NULL, err) : NULL;
    size_t n = 0;
    ptrdiff_t got = 1;
    while (source && got > 0 && n < HEAD_BYTES) {
        got = em_source_read(source, head + n, HEAD_BYTES - n, &unread);
        if (got > 0) n += (size_t)got;
    }
    *is_data = source && head_is_data(head, n, text_key);
    bool good = source != NULL;
    em_source_close(source);
    free(head);
    return good;
}

static bool is_data(const char *path, const char *name, const char *text_key, bool *out,
                    em_error *err) {
    *out = named(name, ".jsonl") || named(name, ".ndjson") ||
           (em_file_is_text(name) && !is_about(name));
    return *out || em_file_is_text(name) || sniff(path, text_key, out, err);
}

/* ---- directories ---- */

/* "." and ".." are no entries. */
static int is_entry(const struct dirent *e) {
    return strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
}

static int byte_order(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void leave_out(walk *w, const char *path) {
    em_files *f = w->files;
    em_buffer *names = &f->left_names;
    f->left_out++;
    if (names->length > NAMES_BYTES) return;
    if (names->length) em_buffer_puts(names, ", ");
    em_buffer_shown(names, path + w->root, strlen(path + w->root));
    if (names->length > NAMES_BYTES) em_buffer_puts(names, " …");
}

static int by_inode(const void *a, const void *b) {
    const inode *x = a, *y = b;
    if (x->device != y->device) return x->device < y->device ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* 1: new, 0: met before under this directory, -1: err. */
static int meet(walk *w, const struct stat *st, em_error *err) {
    inode *key = em_alloc(1, sizeof *key, "a directory", err);
    if (!key) return -1;
    *key = (inode){st->st_dev, st->st_ino};
    inode **found = tsearch(key, &w->met, by_inode);
    if (found && *found == key) return 1;
    free(key);
    return found ? 0 : (em_fail_memory(err, sizeof *key, "a directory"), -1);
}

static bool walk_folder(walk *w, const char *path, int depth, em_error *err);

/* Takes path over. */
static bool walk_file(walk *w, char *path, const char *name, int64_t size, em_error *err) {
    bool data;
    bool good = is_data(path, name, w->text_key, &data, err);
    if (good && data) return add(w->files, path, size, err);
    if (good) leave_out(w, path);
    free(path);
    return good;
}

static bool walk_entry(walk *w, const char *folder, const char *name, int depth, em_error *err) {
    char *path = NULL;
    struct stat st;
    int met = 1;
    bool slash = folder[strlen(folder) - 1] == '/', good = true;
    if (asprintf(&path, "%s%s%s", folder, slash ? "" : "/", name) < 0)
        return em_fail_memory(err, 256, "a path");
    if (*name == '.') leave_out(w, path);
    else if (stat(path, &st) || access(path, R_OK)) good = unreadable(path, err);
    else if ((met = meet(w, &st, err)) < 0) good = false;
    else if (!met) w->files->links++;
    else if (S_ISDIR(st.st_mode)) good = walk_folder(w, path, depth + 1, err);
    else if (S_ISREG(st.st_mode)) return walk_file(w, path, name, st.st_size, err);
    else leave_out(w, path);
    free(path);
    return good;
}

static bool walk_folder(walk *w, const char *path, int depth, em_error *err) {
    struct dirent **entries;
    if (depth > DEPTH)
        return em_fail_at(err, EM_INPUT, path, 0, -1, "lies more than %d folders deep", DEPTH);
    int n = scandir(path, &entries, is_entry, byte_order);
    if (n < 0) return unreadable(path, err);
    bool good = true;
    for (int i = 0; i < n; i++) {
        good = good && walk_entry(w, path, entries[i]->d_name, depth, err);
        free(entries[i]);
    }
    free(entries);
    return good;
}

/* names: of what this directory holds; "" where there was no room for more. */
static bool without_data(const walk *w, const char *path, int64_t left_out, const char *names,
                         em_error *err) {
    if (!left_out) return em_fail_at(err, EM_INPUT, path, 0, -1, "the directory holds no files");
    return em_fail_at(err, EM_INPUT, path, 0, -1,
                      "the directory holds no data: JSON lines with \"%s\", or .txt; %lld other "
                      "file%s: %s",
                      w->text_key ? w->text_key : "input_ids", (long long)left_out,
                      left_out == 1 ? "" : "s", names);
}

static bool add_directory(em_files *f, const char *path, const struct stat *st,
                          const char *text_key, em_error *err) {
    size_t before = f->n, length = strlen(path), names = f->left_names.length;
    int64_t left_out = f->left_out;
    walk w = {.files = f, .text_key = text_key, .root = length + (path[length - 1] != '/')};
    bool good = meet(&w, st, err) > 0 && walk_folder(&w, path, 0, err);
    tdestroy(w.met, free);
    if (!good || f->n > before) return good;
    if (names) names += 2; /* the comma and space after those of other directories */
    return without_data(&w, path, f->left_out - left_out,
                        f->left_names.length > names ? f->left_names.data + names : "…", err);
}

/* ---- paths ---- */

/* An address where a file is due: what brings its bytes. */
static bool is_address(const char *path, em_error *err) {
    static const struct {
        const char *scheme, *command;
    } known[] = {{"s3://", "aws s3 cp"}, {"gs://", "gcloud storage cat"}, {"", "curl -L"}};
    const char *colon = strstr(path, "://");
    if (!colon || colon == path) return false;
    for (const char *p = path; p < colon; p++)
        if (!isalnum((unsigned char)*p)) return false;
    size_t i = 0;
    while (strncmp(path, known[i].scheme, strlen(known[i].scheme))) i++;
    em_fail_at(err, EM_INPUT, path, 0, -1,
               "is an address, and files and stdin are read: %s '%s'%s | evalmask --data - …",
               known[i].command, path, i == 0 ? " -" : "");
    return true;
}

static bool add_path(em_files *f, const char *path, const char *text_key, em_error *err) {
    struct stat st;
    if (!strcmp(path, "-")) {
        for (size_t i = 0; i < f->n; i++)
            if (!strcmp(f->paths[i], "-"))
                return em_fail(err, EM_USAGE, "stdin (\"-\") can be read only once");
        return add(f, strdup(path), -1, err);
    }
    if (stat(path, &st) || access(path, R_OK))
        return !is_address(path, err) && unreadable(path, err);
    if (S_ISDIR(st.st_mode)) return add_directory(f, path, &st, text_key, err);
    return add(f, strdup(path), S_ISREG(st.st_mode) ? st.st_size : -1, err);
}

bool em_files_list(const char *const *paths, int n, const char *text_key, em_files *out,
                   em_error *err) {
    *out = (em_files){0};
    for (int i = 0; i < n; i++)
        if (!add_path(out, paths[i], text_key, err)) return false;
    return true;
}

char *em_files_note(const em_files *f, char *out, size_t n) {
    int at = 0;
    *out = 0;
    if (f->left_out)
        at = snprintf(out, n, "%lld file%s there %s no data and %s left out: %s",
                      (long long)f->left_out, f->left_out == 1 ? "" : "s",
                      f->left_out == 1 ? "is" : "are", f->left_out == 1 ? "was" : "were",
                      f->left_names.data);
    if (f->links && (size_t)at < n)
        snprintf(out + at, n - (size_t)at, "%s%lld second link%s", at ? "; " : "",
                 (long long)f->links, f->links == 1 ? "" : "s");
    return out;
}
