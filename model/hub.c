/* The local Hugging Face cache: CACHE/models--ORG--NAME/{refs/main, snapshots/COMMIT/}.
 * https://huggingface.co/docs/huggingface_hub/guides/manage-cache */
#include "model/hub.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool good_part(const char *s, size_t n) {
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return n > 0 && s[0] != '.' && strspn(s, allowed) >= n;
}

bool em_hub_is_name(const char *path) {
    const char *slash = strchr(path, '/');
    return slash && good_part(path, (size_t)(slash - path)) &&
           good_part(slash + 1, strlen(slash + 1));
}

/* The cache's folder, by the same variables as huggingface_hub. */
static void cache_folder(char *out, size_t n) {
    const char *cache = getenv("HF_HUB_CACHE"), *home = getenv("HF_HOME"),
               *xdg = getenv("XDG_CACHE_HOME"), *user = getenv("HOME");
    if (cache && *cache) snprintf(out, n, "%s", cache);
    else if (home && *home) snprintf(out, n, "%s/hub", home);
    else if (xdg && *xdg) snprintf(out, n, "%s/huggingface/hub", xdg);
    else snprintf(out, n, "%s/.cache/huggingface/hub", user ? user : "");
}

static bool is_directory(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The commit that refs/main names, or "". */
static void read_main(const char *folder, char *out, size_t n) {
    char path[4096];
    snprintf(path, sizeof path, "%s/refs/main", folder);
    *out = 0;
    FILE *f = fopen(path, "r");
    if (!f) return;
    if (!fgets(out, (int)n, f)) *out = 0;
    fclose(f);
    out[strcspn(out, "\r\n ")] = 0;
    if (!good_part(out, strlen(out))) *out = 0;
}

/* The newest folder below snapshots/, or "". */
static void newest_snapshot(const char *folder, char *out, size_t n) {
    char path[4096];
    struct timespec newest = {-1, 0};
    snprintf(path, sizeof path, "%s/snapshots", folder);
    *out = 0;
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        struct stat st;
        if (e->d_name[0] == '.' || fstatat(dirfd(d), e->d_name, &st, 0) || !S_ISDIR(st.st_mode))
            continue;
        if (st.st_mtim.tv_sec < newest.tv_sec ||
            (st.st_mtim.tv_sec == newest.tv_sec && st.st_mtim.tv_nsec <= newest.tv_nsec))
            continue;
        newest = st.st_mtim;
        snprintf(out, n, "%s", e->d_name);
    }
    if (d) closedir(d);
}

static char *snapshot_path(const char *folder, const char *commit) {
    char *path = NULL;
    if (!*commit || asprintf(&path, "%s/snapshots/%s", folder, commit) < 0) return NULL;
    if (is_directory(path)) return path;
    free(path);
    return NULL;
}

char *em_hub_snapshot(const char *repository, em_error *err) {
    char cache[2048], folder[3072], commit[256];
    const char *slash = strchr(repository, '/');
    cache_folder(cache, sizeof cache);
    snprintf(folder, sizeof folder, "%s/models--%.*s--%s", cache, (int)(slash - repository),
             repository, slash + 1);
    read_main(folder, commit, sizeof commit);
    char *path = snapshot_path(folder, commit);
    if (path) return path;
    newest_snapshot(folder, commit, sizeof commit);
    path = snapshot_path(folder, commit);
    if (!path)
        em_fail_at(err, EM_INPUT, repository, 0, -1,
                   "is neither a path nor in the local Hugging Face cache (%s); "
                   "download it with `hf download %s`",
                   cache, repository);
    return path;
}
