#include "reports/results/lines.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "common/buffer.h"
#include "common/size.h"

enum { MAX_LINE_BYTES = 64 << 20 }; /* some 10^6 results; a longer one is none of ours */

struct em_lines {
    FILE *file;
    char *path;
    ZSTD_DCtx *zstd;      /* NULL: the file is plain */
    char *packed, *plain; /* [ZSTD_DStreamInSize()], [ZSTD_DStreamOutSize()] */
    ZSTD_inBuffer in;
    size_t plain_size, plain_at; /* decompressed bytes in plain, those already taken */
    bool in_frame;
    em_buffer line;
    int64_t number, line_byte,
        byte; /* of the line at hand, where it begins, decompressed bytes taken */
};

void em_lines_close(em_lines *l) {
    if (!l) return;
    if (l->file) fclose(l->file);
    ZSTD_freeDCtx(l->zstd);
    em_buffer_free(&l->line);
    free(l->packed);
    free(l->plain);
    free(l->path);
    free(l);
}

static bool cannot_be_read(const em_lines *l, em_error *err) {
    return em_fail_at(err, EM_INPUT, l->path, 0, -1, "cannot be read: %s", strerror(errno));
}

/* Zstandard's magic number, little-endian (RFC 8878), or that of a skippable frame. */
static bool is_zstd(const char *bytes, size_t n) {
    static const char magic[4] = {'\x28', '\xb5', '\x2f', '\xfd'};
    return n >= 4 && (!memcmp(bytes, magic, 4) || (((unsigned char)bytes[0] & 0xf0) == 0x50 &&
                                                   !memcmp(bytes + 1, "\x2a\x4d\x18", 3)));
}

static bool open_file(em_lines *l, const char *path, bool may_be_plain, em_error *err) {
    l->path = strdup(path);
    l->packed = malloc(ZSTD_DStreamInSize());
    l->plain = malloc(ZSTD_DStreamOutSize());
    if (!l->path || !l->packed || !l->plain)
        return em_fail_memory(err, ZSTD_DStreamOutSize(), path);
    l->file = fopen(path, "rb");
    if (!l->file) return cannot_be_read(l, err);
    l->in = (ZSTD_inBuffer){l->packed, fread(l->packed, 1, ZSTD_DStreamInSize(), l->file), 0};
    if (l->in.size == 0 && ferror(l->file)) return cannot_be_read(l, err);
    if (may_be_plain && !is_zstd(l->packed, l->in.size)) return true;
    l->zstd = ZSTD_createDCtx();
    return l->zstd || em_fail_memory(err, ZSTD_DStreamOutSize(), path);
}

em_lines *em_lines_open(const char *path, bool may_be_plain, em_error *err) {
    em_lines *l = em_alloc(1, sizeof *l, path, err);
    if (l && open_file(l, path, may_be_plain, err)) return l;
    em_lines_close(l);
    return NULL;
}

bool em_lines_fail(const em_lines *l, em_error *err, const char *what) {
    return em_fail_at(err, EM_INPUT, l->path, l->number, l->line_byte, "%s", what);
}

/* More bytes of the file; false at its end, or with err. */
static bool read_packed(em_lines *l, em_error *err) {
    size_t n = fread(l->packed, 1, ZSTD_DStreamInSize(), l->file);
    if (n == 0 && ferror(l->file)) return cannot_be_read(l, err);
    l->in = (ZSTD_inBuffer){l->packed, n, 0};
    if (n == 0 && l->in_frame)
        return em_lines_fail(l, err, "the file is cut short: run again to write it anew");
    return n > 0;
}

static bool decompress(em_lines *l, em_error *err) {
    ZSTD_outBuffer out = {l->plain, ZSTD_DStreamOutSize(), 0};
    size_t left = ZSTD_decompressStream(l->zstd, &out, &l->in);
    if (ZSTD_isError(left)) return em_lines_fail(l, err, ZSTD_getErrorName(left));
    l->in_frame = left != 0;
    l->plain_size = out.pos;
    return true;
}

static void copy(em_lines *l) {
    size_t n = l->in.size - l->in.pos, most = ZSTD_DStreamOutSize();
    l->plain_size = n < most ? n : most;
    memcpy(l->plain, l->packed + l->in.pos, l->plain_size);
    l->in.pos += l->plain_size;
}

/* Goes on until there are bytes in plain; false at the end, or with err. */
static bool fill(em_lines *l, em_error *err) {
    l->plain_size = l->plain_at = 0;
    while (l->plain_size == 0) {
        if (l->in.pos == l->in.size && !read_packed(l, err)) return false;
        if (!l->zstd) copy(l);
        else if (!decompress(l, err)) return false;
    }
    return true;
}

int em_lines_next(em_lines *l, const char **text, size_t *length, em_error *err) {
    em_buffer_clear(&l->line);
    l->line_byte = l->byte;
    l->number++;
    for (;;) {
        if (l->plain_at == l->plain_size && !fill(l, err)) break;
        const char *from = l->plain + l->plain_at,
                   *end = memchr(from, '\n', l->plain_size - l->plain_at);
        size_t n = end ? (size_t)(end - from) : l->plain_size - l->plain_at;
        if (l->line.length + n > MAX_LINE_BYTES)
            return em_lines_fail(l, err, "the line is too long for one that evalmask writes"), -1;
        if (!em_buffer_append(&l->line, from, n, err)) return -1;
        l->plain_at += n + (end != NULL);
        l->byte += (int64_t)n + (end != NULL);
        if (end) return *text = l->line.data, *length = l->line.length, 1;
    }
    if (err->status != EM_OK) return -1;
    if (l->line.length)
        return em_lines_fail(l, err, "the last line has no end: run again to write the file anew"),
               -1;
    return 0;
}
