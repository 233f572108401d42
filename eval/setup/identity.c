#include "eval/setup/identity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <xxhash.h>

#include "common/hash.h"

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

/* Every input. */
static bool put_inputs(em_buffer *out, const em_input_paths *given, const em_setup *setup,
                       em_error *err) {
    em_inputs inputs = {0};
    bool good = em_inputs_of_run(&inputs, given, setup, err);
    for (size_t i = 0; good && i < inputs.n; i++) good = put_file(out, inputs.files[i].path, err);
    em_inputs_free(&inputs);
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
    return put_inputs(out, &source->inputs, setup, err);
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
