#include "make.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

static char folder[1024];

void make_folder(void) {
    const char *top = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/evalmask-XXXXXX", top ? top : "/tmp");
    if (!mkdtemp(folder)) abort();
}

static void remove_below(const char *path) {
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        char below[2048];
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        snprintf(below, sizeof below, "%s/%s", path, e->d_name);
        if (e->d_type == DT_DIR) remove_below(below);
        else unlink(below);
    }
    if (d) closedir(d);
    rmdir(path);
}

void make_clean(void) { remove_below(folder); }

const char *make_path(const char *name) {
    static char paths[16][2048];
    static int next;
    char *path = paths[next++ % 16];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

const char *make_file(const char *name, const void *data, size_t n) {
    const char *path = make_path(name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f)) abort();
    return path;
}

const char *make_text(const char *name, const char *text) {
    return make_file(name, text, strlen(text));
}

static void append(em_buffer *out, const void *data, size_t n) {
    if (!em_buffer_append(out, data, n, NULL)) abort();
}

void add_zstd(em_buffer *out, const void *data, size_t n) {
    ZSTD_CCtx *c = ZSTD_createCCtx();
    size_t bound = ZSTD_compressBound(n);
    char *packed = malloc(bound);
    ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
    size_t got = ZSTD_compress2(c, packed, bound, data, n);
    if (ZSTD_isError(got)) abort();
    append(out, packed, got);
    free(packed);
    ZSTD_freeCCtx(c);
}

static void add_little_endian(em_buffer *out, unsigned long x, int bytes) {
    for (; bytes--; x >>= 8) append(out, &(unsigned char){(unsigned char)x}, 1);
}

void add_skippable(em_buffer *out, const void *data, size_t n) {
    add_little_endian(out, 0x184d2a53, 4);
    add_little_endian(out, n, 4);
    append(out, data, n);
}

void add_zstd_window(em_buffer *out, int exponent, int mantissa, const char *text) {
    add_little_endian(out, 0xfd2fb528, 4);
    add_little_endian(out, 0, 1);
    add_little_endian(out, (unsigned long)(exponent << 3 | mantissa), 1);
    add_little_endian(out, strlen(text) << 3 | 1, 3); /* last block, raw */
    append(out, text, strlen(text));
}

void add_gzip(em_buffer *out, const void *data, size_t n) {
    z_stream z = {0};
    if (deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) abort();
    size_t bound = deflateBound(&z, n);
    unsigned char *packed = malloc(bound);
    z.next_in = (unsigned char *)(size_t)data;
    z.avail_in = (uInt)n;
    z.next_out = packed;
    z.avail_out = (uInt)bound;
    if (deflate(&z, Z_FINISH) != Z_STREAM_END) abort();
    append(out, packed, bound - z.avail_out);
    deflateEnd(&z);
    free(packed);
}
