/* Records a second on one thread: decompression alone, with our record scanner, with jansson.
 *     bench_records FILE.jsonl[.zst|.gz] [ROUNDS]
 * MB/s are of decompressed data; the best of ROUNDS (default 5). */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/measure.h"
#include "common/buffer.h"
#include "loader/reader.h"
#include "loader/scan.h"

/* The decompressed file; its length is what every rate is counted in. */
static void read_all(const char *path, em_buffer *out) {
    static char chunk[256 << 10];
    em_error err = EM_ERROR_INIT;
    em_source *s = em_source_open(path, NULL, &err);
    ptrdiff_t n = -1;
    em_buffer_clear(out);
    while (s && (n = em_source_read(s, chunk, sizeof chunk, &err)) > 0)
        if (!em_buffer_append(out, chunk, (size_t)n, &err)) stop(&err);
    if (n < 0) stop(&err);
    em_source_close(s);
}

static size_t decode_only(const char *path, const em_buffer *data) {
    static char chunk[256 << 10];
    em_error err = EM_ERROR_INIT;
    em_source *s = em_source_open(path, NULL, &err);
    size_t bytes = 0;
    ptrdiff_t n = -1;
    while (s && (n = em_source_read(s, chunk, sizeof chunk, &err)) > 0) bytes += (size_t)n;
    if (n < 0) stop(&err);
    em_source_close(s);
    return bytes;
}

static size_t decode_and_scan(const char *path, const em_buffer *data) {
    em_reader_options o = {.paths = &path, .n_paths = 1, .keys = {"text", "meta.pile_set_name"}};
    em_error err = EM_ERROR_INIT;
    em_record record = {0};
    em_place place;
    size_t bytes = 0;
    em_reader *r = em_reader_open(&o, &err);
    while (r && em_reader_next(r, &record, &place, &err) > 0) bytes += record.text.length;
    if (err.status != EM_OK) stop(&err);
    em_reader_close(r);
    em_record_free(&record);
    return bytes;
}

static size_t scan_only(const char *path, const em_buffer *data) {
    static const em_record_keys keys = {"text", "meta.pile_set_name"};
    em_error err = EM_ERROR_INIT;
    em_record record = {0};
    size_t bytes = 0;
    for (const char *p = data->data, *end = p + data->length; p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p)),
                   *stop_at = newline ? newline : end;
        if (!em_record_parse(p, (size_t)(stop_at - p), &keys, &record, &err)) stop(&err);
        bytes += record.text.length;
        p = stop_at + 1;
    }
    em_record_free(&record);
    return bytes;
}

static size_t jansson_only(const char *path, const em_buffer *data) {
    size_t bytes = 0;
    for (const char *p = data->data, *end = p + data->length; p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p)),
                   *stop_at = newline ? newline : end;
        json_error_t error;
        json_t *record = json_loadb(p, (size_t)(stop_at - p), JSON_ALLOW_NUL, &error);
        if (!record) {
            fprintf(stderr, "jansson: %s\n", error.text);
            exit(EM_INPUT);
        }
        bytes += json_string_length(json_object_get(record, "text"));
        json_decref(record);
        p = stop_at + 1;
    }
    return bytes;
}

static void measure(const char *name, size_t (*work)(const char *, const em_buffer *),
                    const char *path, const em_buffer *data, int rounds) {
    double best = 1e30;
    size_t bytes = 0;
    for (int i = 0; i < rounds; i++) {
        double start = now();
        bytes = work(path, data);
        double took = now() - start;
        if (took < best) best = took;
    }
    printf("%-28s %8.0f MB/s   (%zu bytes)\n", name, (double)data->length / best / 1e6, bytes);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fputs("usage: bench_records FILE.jsonl[.zst|.gz] [ROUNDS]\n", stderr);
        return EM_USAGE;
    }
    int rounds = argc > 2 ? atoi(argv[2]) : 5;
    em_buffer data = {0};
    read_all(argv[1], &data);
    printf("%.1f MB, byte scans: %s\n", (double)data.length / 1e6, em_scan_best()->name);
    measure("decompress", decode_only, argv[1], &data, rounds);
    measure("scan records", scan_only, argv[1], &data, rounds);
    measure("decompress and scan records", decode_and_scan, argv[1], &data, rounds);
    measure("jansson, without decompress", jansson_only, argv[1], &data, rounds);
    em_buffer_free(&data);
    return 0;
}
