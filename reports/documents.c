#include "reports/documents.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "common/buffer.h"
#include "common/size.h"

enum { MAX_LINE_BYTES = 64 << 20 };     /* some 10^6 results; a longer one is no sidecar's */

struct em_documents {
    FILE *file;
    char *path;
    ZSTD_DCtx *zstd;
    char *packed, *plain;               /* [ZSTD_DStreamInSize()], [ZSTD_DStreamOutSize()] */
    ZSTD_inBuffer in;
    size_t plain_size, plain_at;        /* decompressed bytes in plain, those already taken */
    bool in_frame;
    em_buffer line;
    int64_t lines, line_byte, byte;     /* lines so far, where the line at hand begins, decompressed bytes taken */
    json_t *object;                     /* the line at hand: owns its strings */
    int64_t *predictions;               /* [capacity] */
    double *nll;
    size_t predictions_capacity, nll_capacity;
};

char *em_documents_path(const char *results_path) {
    size_t n = strlen(results_path);
    char *path;
    if (n < 6 || strcmp(results_path + n - 5, ".json")) return NULL;
    return asprintf(&path, "%.*s.documents.jsonl.zst", (int)(n - 5), results_path) < 0 ? NULL : path;
}

int em_documents_column(const em_results *r, int i, bool by_seq_len) {
    int column = 0;
    const em_result *x = &r->results[i];
    for (int k = 0; k < i; k++) {
        const em_result *y = &r->results[k];
        column += !strcmp(y->data_set, x->data_set) && (!by_seq_len || y->seq_len == x->seq_len);
    }
    return column;
}

/* ---- opening ---- */

void em_documents_close(em_documents *d) {
    if (!d) return;
    if (d->file) fclose(d->file);
    ZSTD_freeDCtx(d->zstd);
    json_decref(d->object);
    em_buffer_free(&d->line);
    free(d->packed);
    free(d->plain);
    free(d->predictions);
    free(d->nll);
    free(d->path);
    free(d);
}

static bool open_file(em_documents *d, const char *path, em_error *err) {
    d->file = fopen(path, "rb");
    if (!d->file) return em_fail_at(err, EM_INPUT, path, 0, -1, "cannot be read: %s", strerror(errno));
    d->path = strdup(path);
    d->zstd = ZSTD_createDCtx();
    d->packed = malloc(ZSTD_DStreamInSize());
    d->plain = malloc(ZSTD_DStreamOutSize());
    return (d->path && d->zstd && d->packed && d->plain) || em_fail_memory(err, ZSTD_DStreamOutSize(), path);
}

em_documents *em_documents_open(const char *path, em_error *err) {
    em_documents *d = em_alloc(1, sizeof *d, path, err);
    if (d && open_file(d, path, err)) return d;
    em_documents_close(d);
    return NULL;
}

/* ---- bytes ---- */

static bool bad(const em_documents *d, em_error *err, const char *what) {
    return em_fail_at(err, EM_INPUT, d->path, d->lines + 1, d->line_byte, "%s", what);
}

/* More packed bytes; false at the end of the file, or with err. */
static bool read_packed(em_documents *d, em_error *err) {
    size_t n = fread(d->packed, 1, ZSTD_DStreamInSize(), d->file);
    if (n == 0 && ferror(d->file)) return em_fail_at(err, EM_INPUT, d->path, 0, -1, "cannot be read: %s", strerror(errno));
    d->in = (ZSTD_inBuffer){d->packed, n, 0};
    if (n == 0 && d->in_frame) return bad(d, err, "the file is cut short: run again to write it anew");
    return n > 0;
}

/* Decompresses until there are bytes in plain; false at the end, or with err. */
static bool fill(em_documents *d, em_error *err) {
    d->plain_size = d->plain_at = 0;
    while (d->plain_size == 0) {
        if (d->in.pos == d->in.size && !read_packed(d, err)) return false;
        ZSTD_outBuffer out = {d->plain, ZSTD_DStreamOutSize(), 0};
        size_t left = ZSTD_decompressStream(d->zstd, &out, &d->in);
        if (ZSTD_isError(left)) return bad(d, err, ZSTD_getErrorName(left));
        d->in_frame = left != 0;
        d->plain_size = out.pos;
    }
    return true;
}

/* 1 and a line without its end in d->line, 0 at the end, -1 with err. */
static int next_line(em_documents *d, em_error *err) {
    em_buffer_clear(&d->line);
    d->line_byte = d->byte;
    for (;;) {
        if (d->plain_at == d->plain_size && !fill(d, err)) break;
        const char *from = d->plain + d->plain_at, *end = memchr(from, '\n', d->plain_size - d->plain_at);
        size_t n = end ? (size_t)(end - from) : d->plain_size - d->plain_at;
        if (d->line.length + n > MAX_LINE_BYTES) return bad(d, err, "the line is too long to be a document's"), -1;
        if (!em_buffer_append(&d->line, from, n, err)) return -1;
        d->plain_at += n + (end != NULL);
        d->byte += (int64_t)n + (end != NULL);
        if (end) return 1;
    }
    if (err->status != EM_OK) return -1;
    if (d->line.length) return bad(d, err, "the last line has no end: run again to write the file anew"), -1;
    return 0;
}

/* ---- a line ---- */

static bool whole(const json_t *value, int64_t least, int64_t *out) {
    if (!json_is_integer(value) || json_integer_value(value) < least) return false;
    *out = json_integer_value(value);
    return true;
}

static bool sums(em_documents *d, em_document_line *out, em_error *err) {
    const json_t *predictions = json_object_get(d->object, "predictions"), *nll = json_object_get(d->object, "nll");
    size_t n = json_array_size(predictions);
    if (n == 0 || n > INT32_MAX || json_array_size(nll) != n) return bad(d, err, "predictions and nll are no arrays of one length");
    if (!em_grow(&d->predictions, &d->predictions_capacity, n, sizeof *d->predictions, d->path, err) ||
        !em_grow(&d->nll, &d->nll_capacity, n, sizeof *d->nll, d->path, err)) return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_array_get(nll, i);
        if (!whole(json_array_get(predictions, i), 0, &d->predictions[i])) return bad(d, err, "predictions: not whole numbers");
        if (!json_is_number(x) && !json_is_null(x)) return bad(d, err, "nll: neither numbers nor null");
        d->nll[i] = json_is_null(x) ? NAN : json_number_value(x);
    }
    out->n = (int)n;
    out->predictions = d->predictions;
    out->nll = d->nll;
    return true;
}

static bool parse(em_documents *d, em_document_line *out, em_error *err) {
    json_error_t problem;
    json_decref(d->object);
    d->object = json_loadb(d->line.data ? d->line.data : "", d->line.length, JSON_REJECT_DUPLICATES, &problem);
    if (!d->object) return bad(d, err, problem.text);
    const json_t *set = json_object_get(d->object, "data_set"), *length = json_object_get(d->object, "seq_len");
    int64_t seq_len = 0;
    out->data_set = set ? json_string_value(set) : "";
    out->subset = json_string_value(json_object_get(d->object, "subset"));
    if (!out->data_set || !out->subset) return bad(d, err, "data_set or subset is no string");
    if (!whole(json_object_get(d->object, "document"), 0, &out->document) || !whole(json_object_get(d->object, "bytes"), 0, &out->bytes) ||
        (length && (!whole(length, 1, &seq_len) || seq_len > INT32_MAX)))
        return bad(d, err, "document, bytes or seq_len is no whole number");
    out->seq_len = (int32_t)seq_len;
    return sums(d, out, err);
}

int em_documents_next(em_documents *d, em_document_line *out, em_error *err) {
    int got = next_line(d, err);
    if (got <= 0) return got;
    if (!parse(d, out, err)) return -1;
    d->lines++;
    return 1;
}
