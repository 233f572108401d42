#include "loader/source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "common/size.h"

#define INPUT_BYTES \
    (128u << 10)             /* compressed bytes held; more than any header that is looked at \
                              */
#define ZSTD_HEADER_BYTES 18 /* the longest frame header (RFC 8878, 3.1.1) */

typedef enum format { PLAIN, ZSTANDARD, GZIP } format;

struct em_source {
    char *path; /* owned; "stdin" for "-" */
    int fd;
    bool owns_fd;
    int wake;     /* eventfd: readable once interrupted */
    bool started; /* format and byte order mark have been looked at */
    bool ended;   /* the file has no more bytes than those in input */
    format format;
    bool inside;      /* a frame or member has begun and not ended */
    bool more_output; /* the decoder filled the last output: ask it before new input */
    int max_window_log;
    ZSTD_DCtx *zstd;
    z_stream zlib;
    bool zlib_open;
    unsigned char *input; /* [INPUT_BYTES], bytes [begin, end) are not consumed */
    size_t begin, end;
    unsigned char head[3]; /* decompressed bytes read ahead for the byte order mark */
    size_t head_begin, head_end;
    int64_t read;   /* bytes read from the file */
    int64_t offset; /* decompressed, of the next byte handed out */
};

static bool fail(const em_source *s, em_error *err, const char *what) {
    return em_fail_at(err, EM_INPUT, s->path, 0, s->offset, "%s (compressed byte %lld)", what,
                      (long long)em_source_position(s));
}

/* Opening a pipe must not wait for its writer, or nobody could interrupt it; reads wait in poll().
 */
static bool open_file(em_source *s, em_error *err) {
    struct stat st;
    if (s->owns_fd) s->fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (s->fd < 0 || fstat(s->fd, &st))
        return em_fail_at(err, EM_INPUT, s->path, 0, -1, "cannot be opened: %s", strerror(errno));
    if (S_ISDIR(st.st_mode))
        return em_fail_at(err, EM_INPUT, s->path, 0, -1, "is a directory where a file is expected");
    s->wake = eventfd(0, EFD_CLOEXEC);
    if (s->wake >= 0) return true;
    return em_fail_at(err, EM_MACHINE, s->path, 0, -1, "no event descriptor: %s", strerror(errno));
}

em_source *em_source_open(const char *path, const em_source_options *options, em_error *err) {
    int window_log = options && options->max_window_log ? options->max_window_log
                                                        : EM_SOURCE_WINDOW_LOG;
    if (window_log < 10 || window_log > 31) {
        em_fail(err, EM_USAGE, "--zstd-window takes 10 to 31, not %d", window_log);
        return NULL;
    }
    em_source *s = em_alloc(1, sizeof *s, path, err);
    if (!s) return NULL;
    bool is_stdin = !strcmp(path, "-");
    s->fd = is_stdin ? STDIN_FILENO : -1;
    s->owns_fd = !is_stdin;
    s->wake = -1;
    s->max_window_log = window_log;
    s->input = malloc(INPUT_BYTES);
    s->path = strdup(is_stdin ? "stdin" : path);
    if (!s->input || !s->path) em_fail_memory(err, INPUT_BYTES, path);
    else if (open_file(s, err)) return s;
    em_source_close(s);
    return NULL;
}

void em_source_close(em_source *s) {
    if (!s) return;
    ZSTD_freeDCtx(s->zstd);
    if (s->zlib_open) inflateEnd(&s->zlib);
    if (s->owns_fd && s->fd >= 0) close(s->fd);
    if (s->wake >= 0) close(s->wake);
    free(s->input);
    free(s->path);
    free(s);
}

void em_source_interrupt(em_source *s) {
    uint64_t one = 1;
    while (write(s->wake, &one, sizeof one) < 0 && errno == EINTR) {}
}

int64_t em_source_offset(const em_source *s) { return s->offset; }
int64_t em_source_position(const em_source *s) { return s->read - (int64_t)(s->end - s->begin); }

static bool wait_for_data(em_source *s, em_error *err) {
    struct pollfd fds[2] = {{.fd = s->fd, .events = POLLIN}, {.fd = s->wake, .events = POLLIN}};
    while (poll(fds, 2, -1) < 0)
        if (errno != EINTR && errno != EAGAIN)
            return em_fail_at(err, EM_MACHINE, s->path, 0, s->offset, "cannot be waited for: %s",
                              strerror(errno));
    return !fds[1].revents || em_fail_at(err, EM_INTERRUPTED, s->path, 0, s->offset, "interrupted");
}

/* Some bytes of the file at out; 0 at its end, -1 with err. */
static ptrdiff_t read_file(em_source *s, void *out, size_t n, em_error *err) {
    for (;;) {
        if (!wait_for_data(s, err)) return -1;
        ssize_t got = read(s->fd, out, n);
        if (got > 0) s->read += got;
        if (got >= 0) return got;
        if (errno == EINTR || errno == EAGAIN) continue;
        em_fail_at(err, EM_INPUT, s->path, 0, s->offset, "cannot be read: %s", strerror(errno));
        return -1;
    }
}

/* Makes at least n bytes of input available, fewer only where the file has no more. */
static bool fill(em_source *s, size_t n, em_error *err) {
    if (s->end - s->begin >= n || s->ended) return true;
    memmove(s->input, s->input + s->begin, s->end - s->begin);
    s->end -= s->begin;
    s->begin = 0;
    while (s->end < n && !s->ended) {
        ptrdiff_t got = read_file(s, s->input + s->end, INPUT_BYTES - s->end, err);
        if (got < 0) return false;
        s->ended = got == 0;
        s->end += (size_t)got;
    }
    return true;
}

static size_t available(const em_source *s) { return s->end - s->begin; }

/* ---- Zstandard ---- */

static uint64_t little_endian(const unsigned char *p, int n) {
    uint64_t x = 0;
    while (n--) x = x << 8 | p[n];
    return x;
}

/* 1: a frame, 2: a skippable frame, 0: neither. */
static int zstd_magic(const unsigned char *p, size_t n) {
    if (n < 4) return 0;
    uint32_t magic = (uint32_t)little_endian(p, 4);
    if (magic == ZSTD_MAGICNUMBER) return 1;
    return (magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START ? 2 : 0;
}

/* Bytes of history that a frame needs, from its header (RFC 8878, 3.1.1.1.2); 0: the header is cut.
 */
static uint64_t zstd_window(const unsigned char *p, size_t n) {
    static const int dictionary_bytes[4] = {0, 1, 2, 4}, size_bytes[4] = {1, 2, 4, 8};
    if (n < 6) return 0;
    unsigned descriptor = p[4];
    if (!(descriptor & 0x20)) {
        uint64_t base = (uint64_t)1 << (10 + (p[5] >> 3));
        return base + base / 8 * (p[5] & 7);
    }
    size_t at = 5 + (size_t)dictionary_bytes[descriptor & 3];
    int bytes = size_bytes[descriptor >> 6];
    if (n < at + (size_t)bytes) return 0;
    return little_endian(p + at, bytes) + (bytes == 2 ? 256 : 0);
}

static bool check_window(const em_source *s, em_error *err) {
    unsigned long long window = zstd_window(s->input + s->begin, available(s));
    long long at = em_source_position(s);
    if (window <= (uint64_t)1 << s->max_window_log) return true;
    int log = s->max_window_log;
    while (log < 63 && window > (uint64_t)1 << log) log++;
    if (log > 31)
        return em_fail_at(
            err, EM_INPUT, s->path, 0, s->offset,
            "the Zstandard frame at compressed byte %lld needs a window of %llu bytes; "
            "2 GiB is the most: compress it again without --long",
            at, window);
    return em_fail_at(err, EM_INPUT, s->path, 0, s->offset,
                      "the Zstandard frame at compressed byte %lld needs a window of %llu bytes: "
                      "allow it with --zstd-window %d",
                      at, window, log);
}

static bool check_dictionary(const em_source *s, em_error *err) {
    unsigned id = ZSTD_getDictID_fromFrame(s->input + s->begin, available(s));
    return !id ||
           em_fail_at(err, EM_INPUT, s->path, 0, s->offset,
                      "the Zstandard frame at compressed byte %lld needs the dictionary with "
                      "id %u, and dictionaries are not read: decompress it with zstd -d -D "
                      "DICTIONARY",
                      (long long)em_source_position(s), id);
}

/* Looks at the next frame's header. 1: it may be decoded, 0: end of the file, -1: err. */
static int zstd_begin(em_source *s, em_error *err) {
    if (!fill(s, ZSTD_HEADER_BYTES, err)) return -1;
    if (!available(s)) return 0;
    int kind = zstd_magic(s->input + s->begin, available(s));
    if (!kind)
        fail(s, err,
             "the last Zstandard frame is followed by bytes that are none: the file is damaged");
    if (!kind || (kind == 1 && (!check_dictionary(s, err) || !check_window(s, err)))) return -1;
    s->inside = true;
    return 1;
}

static bool zstd_failed(const em_source *s, size_t code, em_error *err) {
    if (ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation)
        return em_fail_at(err, EM_MACHINE, s->path, 0, s->offset,
                          "out of memory for the Zstandard window");
    return em_fail_at(err, EM_INPUT, s->path, 0, s->offset,
                      "bad Zstandard data near compressed byte %lld: %s",
                      (long long)em_source_position(s), ZSTD_getErrorName(code));
}

static ptrdiff_t zstd_read(em_source *s, void *out, size_t n, em_error *err) {
    ZSTD_outBuffer to = {out, n, 0};
    while (to.pos == 0) {
        if (!s->inside) {
            int begun = zstd_begin(s, err);
            if (begun <= 0) return begun;
        }
        if (!s->more_output && !fill(s, 1, err)) return -1;
        if (!s->more_output && !available(s)) {
            fail(s, err, "the file ends inside a Zstandard frame: it is truncated");
            return -1;
        }
        ZSTD_inBuffer from = {s->input + s->begin, available(s), 0};
        size_t left = ZSTD_decompressStream(s->zstd, &to, &from);
        s->begin += from.pos;
        if (ZSTD_isError(left)) {
            zstd_failed(s, left, err);
            return -1;
        }
        s->inside = left != 0;
        s->more_output = s->inside && to.pos == to.size;
    }
    return (ptrdiff_t)to.pos;
}

/* ---- gzip ---- */

static bool is_gzip(const unsigned char *p, size_t n) {
    return n >= 2 && p[0] == 0x1f && p[1] == 0x8b;
}

/* Past zeros that pad a file after its members, as gzip does. */
static bool skip_padding(em_source *s, em_error *err) {
    for (;;) {
        if (!fill(s, 1, err)) return false;
        if (!available(s) || s->input[s->begin]) return true;
        s->begin++;
    }
}

static int gzip_begin(em_source *s, em_error *err) {
    if (!skip_padding(s, err) || !fill(s, 2, err)) return -1;
    if (!available(s)) return 0;
    if (!is_gzip(s->input + s->begin, available(s))) {
        fail(s, err,
             "the last gzip member is followed by bytes that are none: the file is damaged");
        return -1;
    }
    inflateReset(&s->zlib);
    s->inside = true;
    return 1;
}

static bool gzip_failed(const em_source *s, int code, em_error *err) {
    if (code == Z_MEM_ERROR)
        return em_fail_at(err, EM_MACHINE, s->path, 0, s->offset, "out of memory for gzip");
    return em_fail_at(err, EM_INPUT, s->path, 0, s->offset,
                      "bad gzip data near compressed byte %lld: %s",
                      (long long)em_source_position(s), s->zlib.msg ? s->zlib.msg : zError(code));
}

static ptrdiff_t gzip_read(em_source *s, void *out, size_t n, em_error *err) {
    size_t room = n < 1u << 30 ? n : 1u << 30; /* zlib counts in 32 bits */
    s->zlib.next_out = out;
    s->zlib.avail_out = (uInt)room;
    while (s->zlib.avail_out == room) {
        if (!s->inside) {
            int begun = gzip_begin(s, err);
            if (begun <= 0) return begun;
        }
        if (!s->more_output && !fill(s, 1, err)) return -1;
        if (!s->more_output && !available(s)) {
            fail(s, err, "the file ends inside a gzip member: it is truncated");
            return -1;
        }
        s->zlib.next_in = s->input + s->begin;
        s->zlib.avail_in = (uInt)available(s);
        int code = inflate(&s->zlib, Z_NO_FLUSH);
        s->begin = s->end - s->zlib.avail_in;
        if (s->zlib.avail_out < room && code < 0)
            break; /* hand out what is good; inflate fails again */
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
            gzip_failed(s, code, err);
            return -1;
        }
        s->inside = code != Z_STREAM_END;
        s->more_output = s->inside && s->zlib.avail_out == 0;
    }
    return (ptrdiff_t)(room - s->zlib.avail_out);
}

/* ---- plain ---- */

static ptrdiff_t plain_read(em_source *s, void *out, size_t n, em_error *err) {
    size_t held = available(s);
    if (!held) return s->ended ? 0 : read_file(s, out, n, err);
    if (held > n) held = n;
    memcpy(out, s->input + s->begin, held);
    s->begin += held;
    return (ptrdiff_t)held;
}

/* ---- the stream ---- */

static ptrdiff_t decode(em_source *s, void *out, size_t n, em_error *err) {
    switch (s->format) {
    case ZSTANDARD: return zstd_read(s, out, n, err);
    case GZIP: return gzip_read(s, out, n, err);
    case PLAIN: break;
    }
    return plain_read(s, out, n, err);
}

/* Formats that people have and that we do not read, by their first bytes: enough of them that no
 * text begins so. */
static const struct {
    const char *magic;
    size_t n;
    const char *name;
} others[] = {
    {"\xfd"
     "7zXZ\0",
     6, "xz"},
    {"BZh", 3, "bzip2"}, /* and "1AY&SY" after the block size */
    {"\x04\x22\x4d\x18", 4, "lz4"},
    {"\xff\x06\0\0sNaPpY", 10, "Snappy"},
    {"7z\xbc\xaf\x27\x1c", 6, "7-Zip"},
    {"PK\3\4", 4, "zip"}, /* .npz too */
    {"PAR1\x15", 5, "Parquet"},
    {"ARROW1\0\0", 8, "Arrow (Feather)"},
    {"\xff\xff\xff\xff", 4, "Arrow stream"}, /* and the length of its schema's message */
    {"\x93NUMPY", 6, "NumPy (.npy)"},
    {"\x89HDF\r\n\x1a\n", 8, "HDF5"},
    {"Obj\1", 4, "Avro"},
    {"SQLite format 3\0", 16, "SQLite"},
    {"GGUF\3\0\0\0", 8, "GGUF"},
    {"%PDF-", 5, "PDF"},
};

static const char *other_format(const unsigned char *p, size_t n) {
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (n < others[i].n || memcmp(p, others[i].magic, others[i].n)) continue;
        if (*p == 'B' && (n < 10 || memcmp(p + 4, "1AY&SY", 6))) continue;
        if (*p == 0xff && p[1] == 0xff && (n < 16 || p[6] || p[7] || p[8] != 16)) continue;
        return others[i].name;
    }
    return NULL;
}

static bool refuse_others(const em_source *s, em_error *err) {
    const char *name = other_format(s->input + s->begin, available(s));
    return !name || em_fail_at(err, EM_INPUT, s->path, 0, -1,
                               "is %s data, which is not read: convert it to JSON lines "
                               "(.jsonl, .jsonl.zst or .jsonl.gz)",
                               name);
}

static bool open_decoder(em_source *s, em_error *err) {
    if (s->format == ZSTANDARD) {
        s->zstd = ZSTD_createDCtx();
        if (!s->zstd) return em_fail_memory(err, INPUT_BYTES, s->path);
        ZSTD_DCtx_setParameter(s->zstd, ZSTD_d_windowLogMax, s->max_window_log);
    } else if (s->format == GZIP) {
        if (inflateInit2(&s->zlib, 16 + MAX_WBITS) != Z_OK)
            return em_fail_memory(err, INPUT_BYTES, s->path);
        s->zlib_open = true;
    }
    return true;
}

/* Sniffs the format, then takes a byte order mark off the decompressed data. */
static bool start(em_source *s, em_error *err) {
    if (!fill(s, 16, err) || !refuse_others(s, err)) return false;
    if (zstd_magic(s->input + s->begin, available(s))) s->format = ZSTANDARD;
    else if (is_gzip(s->input + s->begin, available(s))) s->format = GZIP;
    if (!open_decoder(s, err)) return false;
    s->started = true;
    while (s->head_end < sizeof s->head) {
        ptrdiff_t got = decode(s, s->head + s->head_end, sizeof s->head - s->head_end, err);
        if (got < 0) return false;
        if (got == 0) break;
        s->head_end += (size_t)got;
    }
    if (s->head_end == 3 && !memcmp(s->head, "\xef\xbb\xbf", 3))
        s->offset = (int64_t)(s->head_begin = 3);
    return true;
}

ptrdiff_t em_source_read(em_source *s, void *out, size_t n, em_error *err) {
    if (!s->started && !start(s, err)) return -1;
    ptrdiff_t got;
    size_t held = s->head_end - s->head_begin;
    if (held) {
        got = (ptrdiff_t)(held < n ? held : n);
        memcpy(out, s->head + s->head_begin, (size_t)got);
        s->head_begin += (size_t)got;
    } else {
        got = decode(s, out, n, err);
    }
    if (got > 0) s->offset += got;
    return got;
}
