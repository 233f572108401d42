/* Streams of bytes: formats, frames and members, damage, windows, byte order marks, interruption.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "loader/source.h"
#include "make.h"

/* Reads path to its end in pieces of at most n bytes. The error's line is in `line`. */
static char line[1280];
static bool read_all(const char *path, int window_log, size_t n, em_buffer *out) {
    em_source_options options = {window_log};
    em_error err = EM_ERROR_INIT;
    em_source *s = em_source_open(path, &options, &err);
    char *piece = malloc(n);
    ptrdiff_t got = -1;
    em_buffer_clear(out);
    while (s && (got = em_source_read(s, piece, n, &err)) > 0)
        assert_true(em_buffer_append(out, piece, (size_t)got, NULL));
    em_error_line(&err, line, sizeof line);
    assert_true((got < 0) == (err.status != EM_OK));
    if (s && got == 0) assert_int_equal(em_source_read(s, piece, n, &err), 0);
    struct stat st;
    if (s && got == 0 && !stat(path, &st) && S_ISREG(st.st_mode))
        assert_int_equal(em_source_position(s), st.st_size);
    free(piece);
    em_source_close(s);
    return got == 0;
}

static void assert_reads(const char *path, const void *wanted, size_t n) {
    static const size_t pieces[] = {1, 2, 3, 5, 1000, 1 << 18};
    em_buffer got = {0};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        if (!read_all(path, 0, pieces[i], &got)) fail_msg("%s", line);
        assert_int_equal(got.length, n);
        if (n) assert_memory_equal(got.data, wanted, n);
    }
    em_buffer_free(&got);
}

/* The error line, with the scratch folder's name taken off its front. */
static void assert_fails(const char *path, int window_log, const char *wanted) {
    em_buffer got = {0};
    if (read_all(path, window_log, 4096, &got))
        fail_msg("%s was read, where \"%s\" was due", path, wanted);
    const char *name = strrchr(path, '/') + 1, *at = strstr(line, name);
    if (!at || strcmp(at, wanted)) fail_msg("%s, not\n  %s", line, wanted);
    em_buffer_free(&got);
}

/* Text that compresses a little, longer than zstd's blocks. */
static em_buffer sample(size_t n) {
    em_buffer b = {0};
    for (unsigned x = 1; b.length < n; x = x * 1103515245u + 12345u)
        em_buffer_printf(&b, "%u ", x >> 20);
    b.length = n;
    return b;
}

static void formats_agree(void **state) {
    em_buffer data = sample(400000), zst = {0}, gz = {0};
    add_zstd(&zst, data.data, data.length);
    add_gzip(&gz, data.data, data.length);
    assert_reads(make_file("a", data.data, data.length), data.data, data.length);
    assert_reads(make_file("a", zst.data, zst.length), data.data, data.length);
    assert_reads(make_file("a", gz.data, gz.length), data.data, data.length);
    assert_reads(make_text("a", ""), "", 0);
    assert_reads(make_text("a", "x"), "x", 1);
    em_buffer_free(&data);
    em_buffer_free(&zst);
    em_buffer_free(&gz);
}

static void frames_follow_one_another(void **state) {
    em_buffer zst = {0}, gz = {0};
    add_skippable(&zst, "index", 5);
    add_zstd(&zst, "one ", 4);
    add_zstd(&zst, "", 0);
    add_skippable(&zst, "", 0);
    add_zstd(&zst, "two", 3);
    add_skippable(&zst, "a longer one that is skipped", 28);
    assert_reads(make_file("a.zst", zst.data, zst.length), "one two", 7);
    em_buffer_clear(&zst);
    add_skippable(&zst, "only", 4);
    assert_reads(make_file("a.zst", zst.data, zst.length), "", 0);
    add_gzip(&gz, "one ", 4);
    add_gzip(&gz, "", 0);
    add_gzip(&gz, "two", 3);
    assert_reads(make_file("a.gz", gz.data, gz.length), "one two", 7);
    em_buffer_free(&zst);
    em_buffer_free(&gz);
}

/* Cut anywhere but between frames, the data is never taken as complete. */
static void check_truncation(const em_buffer *packed, size_t first, size_t magic,
                             const char *format) {
    em_buffer got = {0};
    for (size_t n = magic; n < packed->length; n++) {
        const char *path = make_file("cut", packed->data, n);
        bool good = read_all(path, 0, 1000, &got);
        assert_int_equal(good, n == first);
        bool in_magic = n > first && n < first + magic;
        if (!good && !strstr(line, in_magic ? "followed by bytes that are none" : "truncated"))
            fail_msg("cut at %zu of %s: %s", n, format, line);
        if (n >= first) assert_memory_equal(got.data, "first", 5);
    }
    em_buffer_free(&got);
}

static void truncation_is_an_error(void **state) {
    em_buffer zst = {0}, gz = {0}, skip = {0};
    add_zstd(&zst, "first", 5);
    size_t first_zst = zst.length;
    add_zstd(&zst, "second one", 10);
    check_truncation(&zst, first_zst, 4, "zstd");
    add_gzip(&gz, "first", 5);
    size_t first_gz = gz.length;
    add_gzip(&gz, "second one", 10);
    check_truncation(&gz, first_gz, 2, "gzip");
    add_zstd(&skip, "first", 5);
    size_t first_skip = skip.length;
    add_skippable(&skip, "0123456789", 10);
    check_truncation(&skip, first_skip, 4, "skippable");
    assert_fails(make_file("a.zst", zst.data, zst.length - 1), 0,
                 "a.zst, byte 15: the file ends inside a Zstandard frame: it is truncated "
                 "(compressed byte 40)");
    em_buffer_free(&zst);
    em_buffer_free(&gz);
    em_buffer_free(&skip);
}

static void trailing_bytes_are_an_error(void **state) {
    em_buffer zst = {0}, gz = {0};
    add_zstd(&zst, "first", 5);
    add_gzip(&gz, "first", 5);
    assert_int_equal(zst.length, 18);
    assert_true(em_buffer_append(&zst, "\n", 1, NULL) && em_buffer_append(&gz, "\0\1", 2, NULL));
    assert_fails(make_file("a.zst", zst.data, zst.length), 0,
                 "a.zst, byte 5: the last Zstandard frame is followed by bytes that are none: the "
                 "file is damaged "
                 "(compressed byte 18)");
    assert_fails(make_file("a.gz", gz.data, gz.length), 0,
                 "a.gz, byte 5: the last gzip member is followed by bytes that are none: the file "
                 "is damaged "
                 "(compressed byte 26)");
    em_buffer_free(&zst);
    em_buffer_free(&gz);
}

/* As tapes, block devices and some object stores leave them. */
static void zeros_pad_gzip(void **state) {
    static const char zeros[300000];
    em_buffer gz = {0}, got = {0};
    add_gzip(&gz, "first", 5);
    assert_true(em_buffer_append(&gz, zeros, sizeof zeros, NULL));
    assert_true(read_all(make_file("a.gz", gz.data, gz.length), 0, 4096, &got));
    assert_string_equal(got.data, "first");
    em_buffer_clear(&got);
    add_gzip(&gz, "second", 6); /* padded to whole blocks, then joined */
    assert_true(read_all(make_file("a.gz", gz.data, gz.length), 0, 4096, &got));
    assert_string_equal(got.data, "firstsecond");
    em_buffer_free(&got);
    em_buffer_free(&gz);
}

static void dictionaries_are_named(void **state) {
    /* a frame's header with the two-byte dictionary id 4660, and an empty last block */
    static const char frame[] = "\x28\xb5\x2f\xfd\x22\x34\x12\x00\x01\x00\x00";
    assert_fails(make_file("a.zst", frame, 11), 0,
                 "a.zst, byte 0: the Zstandard frame at compressed byte 0 needs the dictionary "
                 "with id 4660, and dictionaries are not read: decompress it with zstd -d -D "
                 "DICTIONARY");
}

static void formats_are_named(void **state) {
    static const struct {
        const char *bytes, *name;
        size_t n;
    } cases[] = {
        {"\x93NUMPY\1\0v\0{'descr': '<u2'", "NumPy (.npy)", 24},
        {"ARROW1\0\0\xff\xff\xff\xff", "Arrow (Feather)", 12},
        {"\xff\xff\xff\xff\x78\2\0\0\x10\0\0\0\0\0\x0a\0", "Arrow stream", 16},
        {"PAR1\x15\4\x15", "Parquet", 7},
        {"PK\3\4\x14\0", "zip", 6},
        {"BZh51AY&SY", "bzip2", 10},
        {"GGUF\3\0\0\0", "GGUF", 8},
        {"\x89HDF\r\n\x1a\n", "HDF5", 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char wanted[200];
        snprintf(
            wanted, sizeof wanted,
            "q.bin: is %s data, which is not read: convert it to JSON lines (.jsonl, .jsonl.zst "
            "or .jsonl.gz)",
            cases[i].name);
        assert_fails(make_file("q.bin", cases[i].bytes, cases[i].n), 0, wanted);
    }
    /* words are no format */
    static const char *const texts[] = {"BZhou is a name", "PARIS", "ARROW1 is a key", "GGUF is"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        em_buffer got = {0};
        assert_true(read_all(make_text("a", texts[i]), 0, 4096, &got));
        assert_string_equal(got.data, texts[i]);
        em_buffer_free(&got);
    }
}

static void damage_is_an_error(void **state) {
    em_buffer zst = {0}, gz = {0}, got = {0};
    add_zstd(&zst, "first", 5);
    add_gzip(&gz, "first", 5);
    zst.data[zst.length - 1] ^= 1;
    gz.data[gz.length - 5] ^= 1;
    assert_fails(make_file("a.zst", zst.data, zst.length), 0,
                 "a.zst, byte 3: bad Zstandard data near compressed byte 14: Restored data doesn't "
                 "match checksum");
    assert_fails(make_file("a.gz", gz.data, gz.length), 0,
                 "a.gz, byte 5: bad gzip data near compressed byte 21: incorrect data check");
    read_all(make_path("a.gz"), 0, 100, &got);
    assert_string_equal(got.data, "first");
    em_buffer_free(&zst);
    em_buffer_free(&gz);
    em_buffer_free(&got);
}

static void windows_are_bounded(void **state) {
    em_buffer b = {0};
    add_zstd_window(&b, 18, 0, "long");
    const char *path = make_file("a.zst", b.data, b.length);
    assert_fails(path, 0,
                 "a.zst, byte 0: the Zstandard frame at compressed byte 0 needs a window of "
                 "268435456 bytes: "
                 "allow it with --zstd-window 28");
    em_buffer got = {0};
    assert_true(read_all(path, 28, 100, &got));
    assert_string_equal(got.data, "long");
    em_buffer_clear(&b);
    add_zstd(&b, "first", 5);
    add_zstd_window(&b, 20, 1, "longer");
    assert_fails(make_file("a.zst", b.data, b.length), 30,
                 "a.zst, byte 5: the Zstandard frame at compressed byte 18 "
                 "needs a window of 1207959552 bytes: allow it with --zstd-window 31");
    em_buffer_clear(&b);
    add_zstd_window(&b, 31, 7, "");
    assert_fails(make_file("a.zst", b.data, b.length), 31,
                 "a.zst, byte 0: the Zstandard frame at compressed byte 0 "
                 "needs a window of 4123168604160 bytes; 2 GiB is the most: compress it again "
                 "without --long");
    /* one segment of 2^32 bytes */
    static const char single[] = "\x28\xb5\x2f\xfd\xe0\0\0\0\0\1\0\0\0\1\0\0";
    assert_fails(make_file("a.zst", single, sizeof single), 31,
                 "a.zst, byte 0: the Zstandard frame at compressed byte "
                 "0 needs a window of 4294967296 bytes; 2 GiB is the most: compress it again "
                 "without --long");
    em_buffer_free(&b);
    em_buffer_free(&got);
}

static void byte_order_mark_is_skipped(void **state) {
    em_buffer zst = {0};
    assert_reads(make_text("a", "\xef\xbb\xbf{}"), "{}", 2);
    assert_reads(make_text("a", "\xef\xbb\xbf"), "", 0);
    assert_reads(make_text("a", "\xef\xbb"), "\xef\xbb", 2);
    assert_reads(make_text("a", "\xef\xbb\xbf\xef\xbb\xbf"), "\xef\xbb\xbf", 3);
    add_zstd(&zst, "\xef", 1);
    add_zstd(&zst, "\xbb\xbf{", 3);
    assert_reads(make_file("a.zst", zst.data, zst.length), "{", 1);
    em_error err = EM_ERROR_INIT;
    em_source *s = em_source_open(make_text("a", "\xef\xbb\xbf{}"), NULL, &err);
    char c;
    assert_int_equal(em_source_read(s, &c, 1, &err), 1);
    assert_int_equal(em_source_offset(s), 4);
    em_source_close(s);
    em_buffer_free(&zst);
}

static void what_cannot_be_read(void **state) {
    assert_fails(make_path("missing"), 0, "missing: cannot be opened: No such file or directory");
    assert_int_equal(mkdir(make_path("folder"), 0777), 0);
    assert_fails(make_path("folder"), 0, "folder: is a directory where a file is expected");
    assert_fails(make_file("a.xz",
                           "\xfd"
                           "7zXZ\0....",
                           10),
                 0,
                 "a.xz: is xz data, which is not read: convert it to JSON lines (.jsonl, "
                 ".jsonl.zst or .jsonl.gz)");
    if (geteuid() != 0) {
        chmod(make_text("secret", "x"), 0);
        assert_fails(make_path("secret"), 0, "secret: cannot be opened: Permission denied");
    }
    em_error err = EM_ERROR_INIT;
    em_source_options options = {32};
    assert_null(em_source_open(make_text("a", ""), &options, &err));
    assert_int_equal(err.status, EM_USAGE);
}

static void stdin_is_a_dash(void **state) {
    em_buffer got = {0};
    int before = dup(STDIN_FILENO);
    assert_non_null(freopen(make_text("a", "hello"), "rb", stdin));
    assert_true(read_all("-", 0, 100, &got));
    assert_string_equal(got.data, "hello");
    assert_int_equal(dup2(before, STDIN_FILENO), STDIN_FILENO);
    close(before);
    em_buffer_free(&got);
}

/* 64 MB of zeros from a few kB: read as they come, never held. */
static void bombs_are_streamed(void **state) {
    size_t n = 64 << 20, total = 0;
    char *zeros = calloc(n, 1), piece[4096];
    em_buffer zst = {0};
    em_error err = EM_ERROR_INIT;
    add_zstd(&zst, zeros, n);
    free(zeros);
    em_source *s = em_source_open(make_file("a.zst", zst.data, zst.length), NULL, &err);
    for (ptrdiff_t got; (got = em_source_read(s, piece, sizeof piece, &err)) > 0;)
        total += (size_t)got;
    assert_int_equal(err.status, EM_OK);
    assert_int_equal(total, n);
    em_source_close(s);
    em_buffer_free(&zst);
}

static void *read_one(void *argument) {
    em_error *err = malloc(sizeof *err);
    char c;
    em_error_init(err);
    assert_int_equal(em_source_read(argument, &c, 1, err), -1);
    return err;
}

/* A pipe that nobody has opened for writing, and one whose writer says nothing. */
static void waiting_can_be_interrupted(void **state) {
    for (int opened = 0; opened < 2; opened++) {
        em_error err = EM_ERROR_INIT;
        pthread_t thread;
        void *result;
        const char *path = make_path(opened ? "silent" : "unopened");
        assert_int_equal(mkfifo(path, 0600), 0);
        em_source *s = em_source_open(path, NULL, &err);
        assert_non_null(s);
        FILE *writer = opened ? fopen(path, "wb") : NULL;
        assert_int_equal(pthread_create(&thread, NULL, read_one, s), 0);
        usleep(20000);
        em_source_interrupt(s);
        pthread_join(thread, &result);
        assert_int_equal(((em_error *)result)->status, EM_INTERRUPTED);
        free(result);
        if (writer) fclose(writer);
        em_source_close(s);
    }
}

static int set_up(void **state) {
    make_folder();
    return 0;
}

static int tear_down(void **state) {
    make_clean();
    return 0;
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(formats_agree),          IN_FOLDER(frames_follow_one_another),
        IN_FOLDER(truncation_is_an_error), IN_FOLDER(trailing_bytes_are_an_error),
        IN_FOLDER(zeros_pad_gzip),         IN_FOLDER(dictionaries_are_named),
        IN_FOLDER(formats_are_named),      IN_FOLDER(damage_is_an_error),
        IN_FOLDER(windows_are_bounded),    IN_FOLDER(byte_order_mark_is_skipped),
        IN_FOLDER(what_cannot_be_read),    IN_FOLDER(stdin_is_a_dash),
        IN_FOLDER(bombs_are_streamed),     IN_FOLDER(waiting_can_be_interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
