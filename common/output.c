#include "common/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "common/size.h"

struct em_output {
    FILE *file;
    char *path, *partial;       /* partial: what is written to; equal to path where no rename is due */
    bool rename;
    ZSTD_CCtx *zstd;            /* NULL: plain */
    char *packed;               /* [ZSTD_CStreamOutSize()] */
};

static void output_free(em_output *o) {
    if (o->file) fclose(o->file);
    ZSTD_freeCCtx(o->zstd);
    free(o->packed);
    free(o->path);
    free(o->partial);
    free(o);
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

em_output *em_output_open(const char *path, em_error *err) {
    em_output *o = em_alloc(1, sizeof *o, path, err);
    if (!o) return NULL;
    struct stat st;
    o->rename = stat(path, &st) != 0 || S_ISREG(st.st_mode);
    o->path = strdup(path);
    if (!o->path || asprintf(&o->partial, "%s%s", path, o->rename ? ".partial" : "") < 0) {
        o->partial = NULL;
        em_fail_memory(err, strlen(path), path);
        output_free(o);
        return NULL;
    }
    if (ends_with(path, ".zst")) {
        o->zstd = ZSTD_createCCtx();
        o->packed = malloc(ZSTD_CStreamOutSize());
        if (!o->zstd || !o->packed) {
            em_fail_memory(err, ZSTD_CStreamOutSize(), path);
            output_free(o);
            return NULL;
        }
        ZSTD_CCtx_setParameter(o->zstd, ZSTD_c_checksumFlag, 1);
    }
    o->file = fopen(o->partial, "wb");
    if (!o->file) {
        em_fail_at(err, EM_MACHINE, path, 0, -1, "cannot be written: %s", strerror(errno));
        output_free(o);
        return NULL;
    }
    return o;
}

static bool write_failed(const em_output *o, em_error *err) {
    return em_fail_at(err, EM_MACHINE, o->path, 0, -1, "cannot be written: %s", strerror(errno));
}

static bool compress(em_output *o, const void *data, size_t n, ZSTD_EndDirective end, em_error *err) {
    ZSTD_inBuffer in = {data, n, 0};
    size_t left;
    do {
        ZSTD_outBuffer out = {o->packed, ZSTD_CStreamOutSize(), 0};
        left = ZSTD_compressStream2(o->zstd, &out, &in, end);
        if (ZSTD_isError(left)) return em_fail_at(err, EM_MACHINE, o->path, 0, -1, "zstd: %s", ZSTD_getErrorName(left));
        if (out.pos && fwrite(o->packed, 1, out.pos, o->file) != out.pos) return write_failed(o, err);
    } while (end == ZSTD_e_end ? left != 0 : in.pos < in.size);
    return true;
}

bool em_output_write(em_output *o, const void *data, size_t n, em_error *err) {
    if (o->zstd) return compress(o, data, n, ZSTD_e_continue, err);
    return fwrite(data, 1, n, o->file) == n || write_failed(o, err);
}

bool em_output_commit(em_output *o, em_error *err) {
    bool good = !o->zstd || compress(o, "", 0, ZSTD_e_end, err);
    if (good && fflush(o->file)) good = write_failed(o, err);
    if (good && o->rename && fsync(fileno(o->file))) good = write_failed(o, err);
    if (fclose(o->file) && good) good = write_failed(o, err);
    o->file = NULL;
    if (good && o->rename && rename(o->partial, o->path)) good = write_failed(o, err);
    if (!good && o->rename) unlink(o->partial);
    output_free(o);
    return good;
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
