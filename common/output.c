#include "common/output.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include "common/size.h"
#include "common/temporary.h"

struct em_output {
    FILE *file;           /* NULL: committed by an earlier process */
    char *path, *partial; /* partial: what is written to; equal to path where no rename is due */
    bool rename;
    bool keep;          /* a failed commit leaves the partial file for another process */
    ZSTD_CCtx *zstd;    /* NULL: plain */
    bool frame;         /* a Zstandard frame is open */
    char *packed;       /* [ZSTD_CStreamOutSize()] */
    XXH3_state_t *hash; /* of the file's bytes so far */
};

static void output_free(em_output *o) {
    if (o->file) fclose(o->file);
    ZSTD_freeCCtx(o->zstd);
    XXH3_freeState(o->hash);
    free(o->packed);
    free(o->path);
    free(o->partial);
    free(o);
}

static bool write_failed(const em_output *o, em_error *err) {
    return em_fail_at(err, EM_MACHINE, o->path, 0, -1, "cannot be written: %s", strerror(errno));
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

/* ---- opening ---- */

void em_output_new_id(char id[EM_OUTPUT_ID]) {
    uint64_t number;
    if (getrandom(&number, sizeof number, GRND_NONBLOCK) != sizeof number)
        number = (uint64_t)time(NULL) << 24 ^ (uint64_t)getpid();
    snprintf(id, EM_OUTPUT_ID, "%016llx", (unsigned long long)number);
}

static bool make_compressor(em_output *o, em_error *err) {
    o->zstd = ZSTD_createCCtx();
    o->packed = malloc(ZSTD_CStreamOutSize());
    if (!o->zstd || !o->packed) return em_fail_memory(err, ZSTD_CStreamOutSize(), o->path);
    ZSTD_CCtx_setParameter(o->zstd, ZSTD_c_checksumFlag, 1);
    return true;
}

/* Names and the compressor; no file yet. */
static em_output *output_new(const char *path, const char *id, em_error *err) {
    em_output *o = em_alloc(1, sizeof *o, path, err);
    if (!o) return NULL;
    struct stat st;
    o->rename = stat(path, &st) != 0 || S_ISREG(st.st_mode);
    o->path = strdup(path);
    o->hash = XXH3_createState();
    if (o->hash) XXH3_64bits_reset(o->hash);
    if (!o->path || !o->hash ||
        asprintf(&o->partial, "%s%s%s%s", path, o->rename ? "." : "", o->rename ? id : "",
                 o->rename ? ".partial" : "") < 0) {
        o->partial = NULL;
        em_fail_memory(err, strlen(path), path);
    } else if (!ends_with(path, ".zst") || make_compressor(o, err)) {
        return o;
    }
    output_free(o);
    return NULL;
}

/* Made anew, or emptied where an earlier process of this run left it. */
static bool open_file(em_output *o, em_error *err) {
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | (o->rename ? O_NOFOLLOW : 0);
    int file = open(o->partial, flags, 0666);
    o->file = file < 0 ? NULL : fdopen(file, "wb");
    if (o->file) return true;
    write_failed(o, err);
    if (file >= 0) close(file);
    return false;
}

em_output *em_output_open(const char *path, em_error *err) {
    char id[EM_OUTPUT_ID];
    em_output_new_id(id);
    em_output *o = output_new(path, id, err);
    if (!o || open_file(o, err)) return o;
    output_free(o);
    return NULL;
}

static bool open_unnamed(em_output *o, em_error *err) {
    if (!(o->hash = XXH3_createState())) return em_fail_memory(err, 576, "a temporary file");
    XXH3_64bits_reset(o->hash);
    int file = em_temporary_file("/tmp", err);
    if (file < 0) return false;
    if (asprintf(&o->path, "/proc/self/fd/%d", file) < 0) o->path = NULL;
    o->file = o->path ? fdopen(file, "wb") : NULL;
    if (o->file) return make_compressor(o, err);
    close(file);
    return em_fail_memory(err, 1, "a temporary file");
}

em_output *em_output_open_temporary(em_error *err) {
    em_output *o = em_alloc(1, sizeof *o, "a temporary file", err);
    if (o && open_unnamed(o, err)) return o;
    if (o) output_free(o);
    return NULL;
}

/* Hashes the file's first bytes. Whether they are those of the mark. */
static bool same_bytes(em_output *o, FILE *file, const em_output_mark *mark) {
    char part[1 << 16];
    XXH3_64bits_reset(o->hash);
    for (int64_t left = mark->length; left > 0;) {
        size_t n = left < (int64_t)sizeof part ? (size_t)left : sizeof part;
        if (fread(part, 1, n, file) != n) return false;
        XXH3_64bits_update(o->hash, part, n);
        left -= (int64_t)n;
    }
    return XXH3_64bits_digest(o->hash) == mark->check;
}

static bool not_resumed(const em_output *o, int64_t byte, const char *what, em_error *err) {
    return em_fail_at(err, EM_INPUT, o->partial, 0, byte, "%s; delete the journal to start over",
                      what);
}

/* At the end of what counts, where the bytes before it are those that were written. */
static bool open_at(em_output *o, const em_output_mark *mark, em_error *err) {
    struct stat st;
    char what[200];
    int file = open(o->partial, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    o->file = file < 0 ? NULL : fdopen(file, "r+b");
    if (!o->file || fstat(file, &st)) {
        snprintf(what, sizeof what, "cannot be gone on with: %s", strerror(errno));
        if (!o->file && file >= 0) close(file);
        return not_resumed(o, -1, what, err);
    }
    if (st.st_size < mark->length) {
        snprintf(what, sizeof what, "ends here, and the journal has %lld bytes of it",
                 (long long)mark->length);
        return not_resumed(o, st.st_size, what, err);
    }
    if (!same_bytes(o, o->file, mark)) {
        snprintf(what, sizeof what,
                 "its first %lld bytes are not those that the journal's run wrote",
                 (long long)mark->length);
        return not_resumed(o, -1, what, err);
    }
    return (!ftruncate(file, mark->length) && !fseeko(o->file, mark->length, SEEK_SET)) ||
           write_failed(o, err);
}

/* Whether the file has its name, and is the one that was written. */
static bool committed_before(em_output *o, const em_output_resumed *from) {
    struct stat st;
    if (!from->complete || !access(o->partial, F_OK) || stat(o->path, &st) ||
        !S_ISREG(st.st_mode) || st.st_size != from->mark.length)
        return false;
    FILE *file = fopen(o->path, "rb");
    bool same = file && same_bytes(o, file, &from->mark);
    if (file) fclose(file);
    return same;
}

em_output *em_output_resume(const char *path, const em_output_resumed *from, em_error *err) {
    em_output *o = output_new(path, from->id, err);
    if (!o || committed_before(o, from)) return o;
    o->keep = true;
    if (from->mark.length ? open_at(o, &from->mark, err)
                          : open_file(o, err) && em_sync_folder(path, err))
        return o;
    output_free(o);
    return NULL;
}

/* ---- writing ---- */

/* To the file, as it is. */
static bool put(em_output *o, const void *data, size_t n, em_error *err) {
    if (fwrite(data, 1, n, o->file) != n) return write_failed(o, err);
    XXH3_64bits_update(o->hash, data, n);
    return true;
}

static bool compress(em_output *o, const void *data, size_t n, ZSTD_EndDirective end,
                     em_error *err) {
    ZSTD_inBuffer in = {data, n, 0};
    size_t left;
    do {
        ZSTD_outBuffer out = {o->packed, ZSTD_CStreamOutSize(), 0};
        left = ZSTD_compressStream2(o->zstd, &out, &in, end);
        if (ZSTD_isError(left))
            return em_fail_at(err, EM_MACHINE, o->path, 0, -1, "zstd: %s", ZSTD_getErrorName(left));
        if (out.pos && !put(o, o->packed, out.pos, err)) return false;
    } while (end == ZSTD_e_end ? left != 0 : in.pos < in.size);
    o->frame = end != ZSTD_e_end;
    return true;
}

bool em_output_write(em_output *o, const void *data, size_t n, em_error *err) {
    if (o->zstd) return compress(o, data, n, ZSTD_e_continue, err);
    return put(o, data, n, err);
}

/* A compressed file has at least one frame. */
static bool end_frame(em_output *o, em_error *err) {
    if (!o->zstd || (!o->frame && o->rename && ftello(o->file) > 0)) return true;
    return compress(o, "", 0, ZSTD_e_end, err);
}

bool em_output_sync(em_output *o, em_output_mark *mark, em_error *err) {
    if (!end_frame(o, err)) return false;
    off_t at = fflush(o->file) ? -1 : ftello(o->file);
    if (at < 0 || fsync(fileno(o->file))) return write_failed(o, err);
    *mark = (em_output_mark){at, XXH3_64bits_digest(o->hash)};
    return true;
}

const char *em_output_readable(em_output *o, em_error *err) {
    if (!o->file) return o->path;
    if (!end_frame(o, err)) return NULL;
    if (fflush(o->file)) return write_failed(o, err), NULL;
    return o->rename ? o->partial : o->path;
}

bool em_sync_folder(const char *path, em_error *err) {
    char *copy = strdup(path);
    if (!copy) return em_fail_memory(err, strlen(path), path);
    int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    if (folder < 0) return true; /* no leave to read it: the kernel writes it when it likes */
    bool good = fsync(folder) == 0 || errno == EINVAL || errno == EROFS;
    close(folder);
    return good || em_fail_at(err, EM_MACHINE, path, 0, -1, "its folder cannot be written: %s",
                              strerror(errno));
}

bool em_output_commit(em_output *o, em_error *err) {
    bool good = true;
    if (o->file) {
        good = end_frame(o, err);
        if (good && fflush(o->file)) good = write_failed(o, err);
        if (good && o->rename && fsync(fileno(o->file))) good = write_failed(o, err);
        if (fclose(o->file) && good) good = write_failed(o, err);
        o->file = NULL;
        if (good && o->rename && rename(o->partial, o->path)) good = write_failed(o, err);
        if (!good && o->rename && !o->keep) unlink(o->partial);
    }
    good = good && (!o->rename || em_sync_folder(o->path, err));
    output_free(o);
    return good;
}

void em_output_leave(em_output *o) {
    if (o) output_free(o);
}

void em_output_abort(em_output *o) {
    if (!o) return;
    if (o->rename) unlink(o->partial);
    output_free(o);
}

int em_print(const char *text, size_t n, em_error *err) {
    if (fwrite(text, 1, n, stdout) == n && fflush(stdout) == 0) return 0;
    em_fail(err, EM_MACHINE, "stdout cannot be written: %s", strerror(errno));
    return EM_MACHINE;
}
