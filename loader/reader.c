#include "loader/reader.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "loader/files.h"
#include "loader/scan.h"

#define CHUNK_BYTES ((size_t)256 << 10)
#define KEEP_BYTES ((size_t)1 << 20) /* a line buffer that grew beyond this is given back */

struct em_reader {
    em_reader_options options;
    em_files files;
    size_t file;       /* index of the file that is read, or that is next */
    int64_t finished;  /* compressed bytes of the files read to their end */
    em_source *source; /* NULL between files; changed under lock */
    bool interrupted;  /* under lock */
    pthread_mutex_t lock;
    char *chunk; /* [CHUNK_BYTES], bytes [begin, end) are not consumed */
    size_t begin, end;
    int64_t chunk_offset; /* decompressed, of chunk[0] */
    em_buffer line;       /* the part of a line, or text file, that lay in earlier chunks */
    int64_t records;      /* of the file, begun */
    bool checked;         /* the file's first byte that is no white space has been looked at */
    int64_t bad;
    char first_bad[512];
    em_error error; /* of the record at hand */
};

em_reader *em_reader_open(const em_reader_options *options, em_error *err) {
    em_reader *r = em_alloc(1, sizeof *r, "the reader", err);
    if (!r) return NULL;
    r->options = *options;
    if (!r->options.max_record_bytes) r->options.max_record_bytes = EM_RECORD_BYTES_MAX;
    em_error_init(&r->error);
    pthread_mutex_init(&r->lock, NULL);
    r->chunk = malloc(CHUNK_BYTES);
    if (!r->chunk) em_fail_memory(err, CHUNK_BYTES, "reading records");
    if (r->chunk &&
        em_files_list(options->paths, options->n_paths, options->keys.text, &r->files, err))
        return r;
    em_reader_close(r);
    return NULL;
}

void em_reader_close(em_reader *r) {
    if (!r) return;
    em_source_close(r->source);
    em_files_free(&r->files);
    em_buffer_free(&r->line);
    pthread_mutex_destroy(&r->lock);
    free(r->chunk);
    free(r);
}

void em_reader_interrupt(em_reader *r) {
    pthread_mutex_lock(&r->lock);
    r->interrupted = true;
    if (r->source) em_source_interrupt(r->source);
    pthread_mutex_unlock(&r->lock);
}

int64_t em_reader_bad(const em_reader *r) { return r->bad; }
const char *em_reader_first_bad(const em_reader *r) { return r->first_bad; }
int64_t em_reader_size(const em_reader *r) { return r->files.size; }
int64_t em_reader_position(const em_reader *r) {
    return r->finished + (r->source ? em_source_position(r->source) : 0);
}

static const char *path_name(const em_reader *r) {
    const char *path = r->files.paths[r->file];
    return strcmp(path, "-") ? path : "stdin";
}

/* ---- files ---- */

static void set_source(em_reader *r, em_source *source) {
    pthread_mutex_lock(&r->lock);
    r->source = source;
    if (source && r->interrupted) em_source_interrupt(source);
    pthread_mutex_unlock(&r->lock);
}

static bool open_file(em_reader *r, em_error *err) {
    em_source *source = em_source_open(r->files.paths[r->file], &r->options.source, err);
    if (!source) return false;
    set_source(r, source);
    r->begin = r->end = 0;
    r->records = 0;
    r->checked = false;
    return true;
}

static void close_file(em_reader *r) {
    em_source *source = r->source;
    r->finished += em_source_position(source);
    set_source(r, NULL);
    em_source_close(source);
    r->file++;
}

/* The next chunk: its length, 0 at the file's end, -1 with err. The one at hand must be used up. */
static ptrdiff_t read_chunk(em_reader *r, em_error *err) {
    ptrdiff_t got = em_source_read(r->source, r->chunk, CHUNK_BYTES, err);
    if (got < 0) em_error_place(err, NULL, r->records + 1, -1);
    r->begin = 0;
    r->end = got > 0 ? (size_t)got : 0;
    r->chunk_offset = em_source_offset(r->source) - (int64_t)r->end;
    return got;
}

/* Keeps n bytes of the chunk for a record that began at byte start and goes on in the next one. */
static bool keep(em_reader *r, size_t n, int64_t start, em_error *err) {
    if (n > r->options.max_record_bytes - r->line.length)
        return em_fail_at(
            err, EM_INPUT, path_name(r), r->records + 1, start,
            "longer than %zu bytes, the most that one record may take: cut it into several",
            r->options.max_record_bytes);
    if (!em_buffer_append(&r->line, r->chunk + r->begin, n, err)) return false;
    r->begin += n;
    return true;
}

/* ---- lines ---- */

/* JSON lines begin with '{'. Looked at before a line is collected, since other data may have no
 * lines. */
static bool check_start(em_reader *r, size_t n, em_error *err) {
    size_t i = r->begin, end = r->begin + n;
    while (i < end && em_record_blank(r->chunk + i, 1)) i++;
    if (i == end) return true;
    r->checked = true;
    if (r->chunk[i] == '{') return true;
    int64_t byte = r->chunk_offset + (int64_t)i;
    if (r->chunk[i] == '[')
        return em_fail_at(
            err, EM_INPUT, path_name(r), 0, byte,
            "begins with '[': one JSON array is not JSON lines; convert it with jq -c '.[]'");
    return em_fail_at(err, EM_INPUT, path_name(r), 0, byte,
                      "does not begin with '{', so it is not JSON lines; "
                      "a file that is one text must be named .txt");
}

/* 1: the next line (in the chunk or in r->line, valid until the next call) without its newline,
 * and its offset; 0: the file's end; -1: err. */
static int next_line(em_reader *r, const char **line, size_t *n, int64_t *offset, em_error *err) {
    if (r->line.capacity > KEEP_BYTES) em_buffer_free(&r->line);
    em_buffer_clear(&r->line);
    for (;;) {
        if (r->begin == r->end) {
            ptrdiff_t got = read_chunk(r, err);
            if (got < 0) return -1;
            if (got == 0) break;
        }
        const char *start = r->chunk + r->begin, *newline = memchr(start, '\n', r->end - r->begin);
        size_t piece = newline ? (size_t)(newline - start) : r->end - r->begin;
        if (!r->checked && !check_start(r, piece, err)) return -1;
        if (!r->line.length) *offset = r->chunk_offset + (int64_t)r->begin;
        if (newline && !r->line.length && piece <= r->options.max_record_bytes) {
            *line = start;
            *n = piece;
            r->begin += piece + 1;
            return 1;
        }
        if (!keep(r, piece, *offset, err)) return -1;
        if (newline) {
            r->begin++;
            break;
        }
    }
    *line = r->line.data;
    *n = r->line.length;
    return r->line.length > 0;
}

/* With the file's name alone: this goes into results, which hold no path. */
static void note_first_bad(em_reader *r) {
    em_error e = r->error;
    const char *slash = strrchr(r->error.source, '/');
    if (slash) snprintf(e.source, sizeof e.source, "%s", slash + 1);
    em_error_line(&e, r->first_bad, sizeof r->first_bad);
}

bool em_reader_place(const em_place *place, em_error *err) {
    if (err && err->status != EM_OK) err->byte = place->byte + (err->byte < 0 ? 0 : err->byte);
    return em_error_place(err, place->path, place->record, -1);
}

/* The record's own error becomes the reader's, or is counted where broken records are skipped. */
static bool record_failed(em_reader *r, const em_place *place, em_error *err) {
    em_error *e = &r->error;
    em_reader_place(place, e);
    bool skip = r->options.skip_bad_records && e->status == EM_INPUT;
    if (!skip && err && err->status == EM_OK) *err = *e;
    if (skip && r->bad++ == 0) note_first_bad(r);
    em_error_init(e);
    return skip;
}

/* A byte order mark stands where files that begin with one were joined. */
static void skip_mark(const char **line, size_t *n, int64_t *byte) {
    if (*n < 3 || memcmp(*line, "\xef\xbb\xbf", 3)) return;
    *line += 3;
    *n -= 3;
    *byte += 3;
}

/* No record ends in the middle of an object: a first line that does is JSON laid out over several.
 */
static bool check_first(const em_reader *r, const char *line, size_t n, const em_place *place,
                        em_error *err) {
    while (n && em_record_blank(line + n - 1, 1)) n--;
    if (!memchr("{[,:", line[n - 1], 4)) return true;
    return em_fail_at(err, EM_INPUT, path_name(r), 0, place->byte,
                      "is JSON laid out over several lines, which is not JSON lines; convert it "
                      "with jq -c .");
}

/* The next line that is not blank. 1, 0: the file's end, -1: err. */
static int next_record(em_reader *r, const char **line, size_t *n, em_place *place, em_error *err) {
    int got;
    do got = next_line(r, line, n, &place->byte, err);
    while (got > 0 && (skip_mark(line, n, &place->byte), em_record_blank(*line, *n)));
    if (got > 0) place->record = ++r->records;
    if (got > 0 && r->records == 1 && !check_first(r, *line, *n, place, err)) return -1;
    return got;
}

/* 1: a record, 0: the file's end, -1: err. */
static int next_json(em_reader *r, em_record *out, em_place *place, em_error *err) {
    const char *line;
    size_t n;
    int got;
    while ((got = next_record(r, &line, &n, place, err)) > 0) {
        if (em_record_parse(line, n, &r->options.keys, out, &r->error)) return 1;
        if (!record_failed(r, place, err)) return -1;
    }
    return got;
}

/* ---- text files ---- */

static int next_text(em_reader *r, em_record *out, em_place *place, em_error *err) {
    if (r->records) return 0;
    em_buffer_clear(&r->line);
    ptrdiff_t got = read_chunk(r, err);
    place->byte = r->chunk_offset;
    for (; got > 0; got = read_chunk(r, err))
        if (!keep(r, r->end, place->byte, err)) return -1;
    if (got < 0 || !em_buffer_append(&r->line, "", 0, err))
        return -1; /* an empty text is no NULL */
    place->record = ++r->records;
    size_t good = em_scan_best()->utf8(r->line.data, r->line.length);
    if (good < r->line.length) {
        em_fail_at(&r->error, EM_INPUT, NULL, 0, (int64_t)good,
                   "bytes that are not UTF-8, from 0x%02x on", (unsigned char)r->line.data[good]);
        return record_failed(r, place, err) ? 0 : -1;
    }
    em_buffer text = out->text;
    out->text = r->line;
    r->line = text;
    em_buffer_clear(&out->group);
    return 1;
}

/* ---- one file after another ---- */

/* 1: a file is open, 0: there is no further one, -1: err. */
static int at_file(em_reader *r, em_place *place, em_error *err) {
    if (r->file == r->files.n) return 0;
    if (!r->source && !open_file(r, err)) return r->file = r->files.n, -1;
    place->path = path_name(r);
    return 1;
}

/* After the file's last record, or after an error, which ends all. */
static void leave_file(em_reader *r, bool failed) {
    close_file(r);
    if (failed) r->file = r->files.n;
}

int em_reader_next(em_reader *r, em_record *out, em_place *place, em_error *err) {
    int got;
    while ((got = at_file(r, place, err)) > 0) {
        got = em_file_is_text(place->path) ? next_text(r, out, place, err)
                                           : next_json(r, out, place, err);
        if (got > 0) return 1;
        leave_file(r, got < 0);
        if (got < 0) return -1;
    }
    return got;
}

int em_reader_next_line(em_reader *r, const char **line, size_t *n, em_place *place,
                        em_error *err) {
    int got;
    while ((got = at_file(r, place, err)) > 0) {
        got = next_record(r, line, n, place, err);
        if (got > 0) return 1;
        leave_file(r, got < 0);
        if (got < 0) return -1;
    }
    return got;
}
