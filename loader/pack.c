#include "loader/pack.h"

#include <stdlib.h>
#include <string.h>

#include "common/size.h"

/* The stream's tokens that are not yet in a finished row wait here: at most one document
 * beyond a window. */
struct em_packer {
    em_loader *source;
    em_pack_options options;
    int32_t *ids;
    uint32_t *bytes;
    uint8_t *kind;
    size_t begin, end; /* pending tokens are [begin, end) */
    size_t ids_capacity, bytes_capacity, kind_capacity;
    em_segment *segments; /* cover [begin, end); start and end count from token 0 of the arrays */
    size_t first_segment, n_segments, segment_capacity;
    int64_t rows, stream, tokens, bytes_covered, documents; /* stream: index of token `begin` */
    int32_t overlap;                                        /* of the next row */
    bool ended;                                             /* no further documents */
};

void em_row_free(em_row *r) { free(r); }

int32_t em_row_segment(const em_row *r, int32_t i) {
    int32_t low = 0, high = r->n_segments - 1;
    while (low < high) {
        int32_t middle = (low + high) / 2;
        if (r->segments[middle].end <= i) low = middle + 1;
        else high = middle;
    }
    return low;
}

em_packer *em_packer_open(em_loader *source, const em_pack_options *options, em_error *err) {
    if (options->row_tokens < 1) {
        em_fail(err, EM_USAGE, "a row needs at least one token");
        return NULL;
    }
    if (options->stride < 0 || options->stride > options->row_tokens) {
        em_fail(err, EM_USAGE, "--stride %d: rows of %d tokens would leave some out",
                options->stride, options->row_tokens);
        return NULL;
    }
    em_packer *p = em_alloc(1, sizeof *p, "the packer", err);
    if (!p) return NULL;
    p->source = source;
    p->options = *options;
    if (!p->options.stride) p->options.stride = p->options.row_tokens;
    return p;
}

void em_packer_close(em_packer *p) {
    if (!p) return;
    free(p->ids);
    free(p->bytes);
    free(p->kind);
    free(p->segments);
    free(p);
}

int64_t em_packer_tokens(const em_packer *p) { return p->tokens; }
int64_t em_packer_bytes(const em_packer *p) { return p->bytes_covered; }
int64_t em_packer_documents(const em_packer *p) { return p->documents; }

/* Moves what is pending to the front of the arrays, so that they stay as small as it. */
static void compact(em_packer *p) {
    size_t n = p->end - p->begin, s = p->n_segments - p->first_segment;
    memmove(p->ids, p->ids + p->begin, n * sizeof *p->ids);
    memmove(p->bytes, p->bytes + p->begin, n * sizeof *p->bytes);
    memmove(p->kind, p->kind + p->begin, n);
    memmove(p->segments, p->segments + p->first_segment, s * sizeof *p->segments);
    for (size_t i = 0; i < s; i++) {
        p->segments[i].start -= (int32_t)p->begin;
        p->segments[i].end -= (int32_t)p->begin;
    }
    p->begin = p->first_segment = 0;
    p->end = n;
    p->n_segments = s;
}

static bool reserve(em_packer *p, size_t more, em_error *err) {
    size_t need;
    if (!em_size_add(p->end, more, &need) || need > INT32_MAX)
        return em_fail(err, EM_MACHINE, "a document of more than 2^31 tokens");
    return em_grow(&p->ids, &p->ids_capacity, need, sizeof *p->ids, "the stream", err) &&
           em_grow(&p->bytes, &p->bytes_capacity, need, sizeof *p->bytes, "the stream", err) &&
           em_grow(&p->kind, &p->kind_capacity, need, 1, "the stream", err) &&
           em_grow(&p->segments, &p->segment_capacity, p->n_segments + 1, sizeof *p->segments,
                   "the stream", err);
}

static bool append_document(em_packer *p, const em_document *d, em_error *err) {
    size_t n = d->tokens.n;
    int64_t room = p->options.max_tokens
                       ? p->options.max_tokens - p->stream - (int64_t)(p->end - p->begin)
                       : INT64_MAX;
    if ((int64_t)n >= room) { /* the stream is cut here */
        n = (size_t)room;
        p->ended = true;
    }
    if (n == 0) { /* a document all the same; one that the cut leaves nothing of is none */
        p->documents += d->tokens.n == 0;
        return true;
    }
    if (p->begin > 0) compact(p);
    if (!reserve(p, n, err)) return false;
    memcpy(p->ids + p->end, d->tokens.ids, n * sizeof *p->ids);
    memcpy(p->bytes + p->end, d->tokens.bytes, n * sizeof *p->bytes);
    for (size_t i = 0; i < n; i++) p->bytes_covered += d->tokens.bytes[i];
    for (size_t i = 0; i < n; i++) {
        bool added = (int64_t)i < d->n_before || i >= d->tokens.n - (size_t)d->n_after;
        p->kind[p->end + i] = added ? EM_TOKEN_ADDED : EM_TOKEN_TEXT;
    }
    p->segments[p->n_segments++] = (em_segment){.start = (int32_t)p->end,
                                                .end = (int32_t)(p->end + n),
                                                .group = d->group,
                                                .document = d->index,
                                                .place = 0,
                                                .document_bytes = d->bytes};
    p->end += n;
    p->documents++;
    return true;
}

/* Reads documents until `need` tokens are pending or the stream ends. */
static bool fill(em_packer *p, size_t need, em_error *err) {
    while (!p->ended && p->end - p->begin < need) {
        const em_document *d;
        int got = em_loader_next(p->source, &d, err);
        if (got < 0) return false;
        if (got == 0) p->ended = true;
        else if (!append_document(p, d, err)) return false;
    }
    return true;
}

em_row *em_row_new(int32_t window, int32_t n_segments, em_error *err) {
    size_t w = (size_t)window, segments = (size_t)n_segments * sizeof(em_segment);
    size_t bytes = sizeof(em_row) + segments + w * (sizeof(int32_t) + sizeof(uint32_t) + 1);
    em_row *r = em_alloc(1, bytes, "a row", err);
    if (!r) return NULL;
    r->segments = (em_segment *)(r + 1);
    r->ids = (int32_t *)(r->segments + n_segments);
    r->bytes = (uint32_t *)(r->ids + w);
    r->kind = (uint8_t *)(r->bytes + w);
    r->window = window;
    r->n_segments = n_segments;
    return r;
}

static em_row *cut_row(em_packer *p, int32_t tokens, int32_t window, em_error *err) {
    size_t stop = p->begin + (size_t)window, last = p->first_segment;
    while ((size_t)p->segments[last].end < stop) last++;
    em_row *r = em_row_new(window, (int32_t)(last - p->first_segment + 1), err);
    if (!r) return NULL;
    r->index = p->rows++;
    r->stream = p->stream;
    r->tokens = tokens;
    r->overlap = p->overlap;
    r->scored_to = p->options.row_tokens;
    memcpy(r->ids, p->ids + p->begin, (size_t)window * sizeof *r->ids);
    memcpy(r->bytes, p->bytes + p->begin, (size_t)window * sizeof *r->bytes);
    memcpy(r->kind, p->kind + p->begin, (size_t)window);
    for (int32_t i = 0; i < r->n_segments; i++) {
        em_segment s = p->segments[p->first_segment + (size_t)i];
        if (s.start < (int64_t)p->begin) { /* negative once compact() has dropped its first part */
            s.place += (int64_t)p->begin - s.start;
            s.start = (int32_t)p->begin;
        }
        s.start -= (int32_t)p->begin;
        s.end = s.end - (int32_t)p->begin < window ? s.end - (int32_t)p->begin : window;
        r->segments[i] = s;
    }
    return r;
}

static void advance(em_packer *p, int32_t tokens) {
    p->begin += (size_t)tokens;
    p->stream += tokens;
    p->tokens += tokens;
    while (p->first_segment < p->n_segments &&
           (size_t)p->segments[p->first_segment].end <= p->begin)
        p->first_segment++;
}

int em_packer_next(em_packer *p, em_row **out, em_error *err) {
    size_t t = (size_t)p->options.row_tokens;
    bool alone = p->options.mode == EM_PACK_NONE;
    if (!fill(p, alone ? 1 : t + 1, err)) return -1;
    size_t pending = p->end - p->begin;
    if (pending == 0) return 0;
    if (alone) pending = (size_t)p->segments[p->first_segment].end - p->begin;
    int32_t window = (int32_t)(pending < t + 1 ? pending : t + 1);
    int32_t tokens = (int32_t)(pending < t ? pending : t);
    *out = cut_row(p, tokens, window, err);
    if (!*out) return -1;
    int32_t step = pending > t ? p->options.stride : tokens; /* the end is reached: no more rows */
    p->overlap = tokens - step;
    advance(p, step);
    return 1;
}
