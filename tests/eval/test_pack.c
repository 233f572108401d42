/* The packer on documents that a stand-in for the loader hands out. Stream token k has id k, so
 * that a row's ids say where it was cut; a text token's bytes are id % 5 + 1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "loader/pack.h"

/* ---- the stand-in: documents of these token counts, EOS included ---- */

struct em_loader {
    const int32_t *lengths;
    int n, given, fail_at; /* fail_at: the call that fails, -1: none */
    int32_t next_id;
    em_document document;
};

int em_loader_next(em_loader *l, const em_document **out, em_error *err) {
    em_document *d = &l->document;
    if (l->given == l->fail_at) return em_fail(err, EM_INPUT, "a broken record"), -1;
    if (l->given == l->n) return 0;
    int32_t n = l->lengths[l->given];
    d->tokens.n = 0;
    for (int32_t i = 0; i < n; i++) {
        int32_t id = l->next_id++;
        bool added = i == n - 1 || (d->n_before && i == 0);
        assert_true(em_tokens_push(&d->tokens, id, added ? 0 : (uint32_t)(id % 5 + 1), err));
    }
    d->index = l->given;
    d->group = l->given % 3;
    d->n_after = n > 0;
    d->bytes = (uint64_t)n * 10;
    l->given++;
    *out = d;
    return 1;
}

bool em_tokens_push(em_tokens *t, int32_t id, uint32_t bytes, em_error *err) {
    static int32_t ids[4096];
    static uint32_t sizes[4096];
    t->ids = ids;
    t->bytes = sizes;
    ids[t->n] = id;
    sizes[t->n++] = bytes;
    return t->n < 4096;
}

typedef struct fixture {
    em_loader loader;
    em_packer *packer;
    em_error err;
} fixture;

static void start(fixture *f, const int32_t *lengths, int n, em_pack_mode mode, int32_t t,
                  int64_t max_tokens) {
    *f = (fixture){.loader = {.lengths = lengths, .n = n, .fail_at = -1}, .err = EM_ERROR_INIT};
    em_pack_options o = {.mode = mode, .row_tokens = t, .max_tokens = max_tokens};
    f->packer = em_packer_open(&f->loader, &o, &f->err);
    assert_non_null(f->packer);
}

static em_row *next(fixture *f) {
    em_row *r = NULL;
    int got = em_packer_next(f->packer, &r, &f->err);
    assert_int_not_equal(got, -1);
    return got ? r : NULL;
}

static void finish(fixture *f, int64_t tokens, int64_t documents) {
    em_row *r = next(f);
    assert_null(r);
    assert_null(next(f)); /* the end stays the end */
    assert_int_equal(em_packer_tokens(f->packer), tokens);
    assert_int_equal(em_packer_documents(f->packer), documents);
    em_packer_close(f->packer);
}

/* Which document stream token k belongs to and its place there. */
static void locate(const int32_t *lengths, int64_t k, int64_t *document, int64_t *place) {
    for (*document = 0; k >= lengths[*document]; k -= lengths[(*document)++]) {}
    *place = k;
}

/* Everything that must hold of any row, whatever the mode. */
static void check_row(const em_row *r, const int32_t *lengths, int64_t index, int64_t stream,
                      int32_t tokens, int32_t window) {
    assert_int_equal(r->index, index);
    assert_int_equal(r->stream, stream);
    assert_int_equal(r->tokens, tokens);
    assert_int_equal(r->window, window);
    assert_int_equal(r->segments[0].start, 0);
    assert_int_equal(r->segments[r->n_segments - 1].end, window);
    for (int32_t i = 0; i < window; i++) {
        const em_segment *s = &r->segments[em_row_segment(r, i)];
        int64_t document, place;
        locate(lengths, stream + i, &document, &place);
        assert_int_equal(r->ids[i], stream + i);
        assert_true(s->start <= i && i < s->end);
        assert_int_equal(s->document, document);
        assert_int_equal(s->place + (i - s->start), place);
        assert_int_equal(s->group, document % 3);
        assert_int_equal(s->document_bytes, (uint64_t)lengths[document] * 10);
        bool last = place == lengths[document] - 1;
        assert_int_equal(r->kind[i], last ? EM_TOKEN_ADDED : EM_TOKEN_TEXT);
        assert_int_equal(r->bytes[i], last ? 0 : (uint32_t)((stream + i) % 5 + 1));
    }
    for (int32_t g = 1; g < r->n_segments; g++)
        assert_int_equal(r->segments[g].start, r->segments[g - 1].end);
}

static void rows_run_across_documents(void **unused) {
    static const int32_t lengths[] = {5, 1, 9, 3, 30, 2, 2}; /* 52 tokens */
    for (int32_t t = 1; t <= 60; t++) {
        fixture f;
        start(&f, lengths, 7, EM_PACK_STREAM, t, 0);
        int64_t at = 0;
        for (int64_t index = 0; at < 52; index++) {
            int32_t tokens = 52 - at < t ? (int32_t)(52 - at) : t;
            int32_t window = at + tokens < 52 ? tokens + 1 : tokens;
            em_row *r = next(&f);
            assert_non_null(r);
            check_row(r, lengths, index, at, tokens, window);
            assert_int_equal(r->scored_from, 0);
            assert_int_equal(r->scored_to, t);
            em_row_free(r);
            at += tokens;
        }
        finish(&f, 52, 7);
    }
}

/* Rows begin every `stride` tokens of the stream, or of a document, until one holds the last. */
static void rows_overlap(void **unused) {
    static const int32_t lengths[] = {5, 1, 9, 3, 30, 2, 2}; /* 52 tokens */
    for (int alone = 0; alone < 2; alone++)
        for (int32_t t = 1; t <= 55; t++)
            for (int32_t stride = 1; stride <= t; stride++) {
                fixture f;
                int64_t index = 0, from = 0;
                start(&f, lengths, 7, alone ? EM_PACK_NONE : EM_PACK_STREAM, t, 0);
                em_packer_close(f.packer);
                f.packer =
                    em_packer_open(&f.loader,
                                   &(em_pack_options){.mode = alone ? EM_PACK_NONE : EM_PACK_STREAM,
                                                      .row_tokens = t,
                                                      .stride = stride},
                                   &f.err);
                for (int d = 0; d < (alone ? 7 : 1); d++) {
                    int64_t end = from + (alone ? lengths[d] : 52), at = from;
                    for (bool more = true; more; at += stride, index++) {
                        int32_t tokens = end - at < t ? (int32_t)(end - at) : t;
                        em_row *r = next(&f);
                        assert_non_null(r);
                        check_row(r, lengths, index, at, tokens,
                                  tokens + (at + tokens < end ? 1 : 0));
                        assert_int_equal(r->overlap, at == from ? 0 : t - stride);
                        em_row_free(r);
                        more = at + tokens < end;
                    }
                    from = end;
                }
                finish(&f, 52, 7);
            }
}

static void a_stride_beyond_the_row_is_refused(void **unused) {
    em_error err = EM_ERROR_INIT;
    em_loader loader = {0};
    assert_null(em_packer_open(&loader, &(em_pack_options){.row_tokens = 4, .stride = 5}, &err));
    assert_int_equal(err.status, EM_USAGE);
}

static void segments_of_a_row(void **unused) {
    static const int32_t lengths[] = {5, 1, 9};
    fixture f;
    start(&f, lengths, 3, EM_PACK_STREAM, 6, 0);
    em_row *r = next(&f);
    assert_int_equal(r->n_segments, 3); /* the third by the token after the row */
    assert_int_equal(r->segments[2].start, 6);
    assert_int_equal(r->segments[2].end, 7);
    assert_int_equal(r->segments[2].place, 0);
    em_row_free(r);
    r = next(&f);
    assert_int_equal(r->n_segments, 1);
    assert_int_equal(r->segments[0].place, 0);
    em_row_free(r);
    r = next(&f);
    assert_int_equal(r->tokens, 3);
    assert_int_equal(r->segments[0].place, 6); /* a document that goes on */
    em_row_free(r);
    finish(&f, 15, 3);
}

static void the_stream_is_cut_in_mid_document(void **unused) {
    static const int32_t lengths[] = {5, 1, 9, 3, 30, 2, 2};
    for (int64_t most = 1; most <= 60; most++) {
        fixture f;
        int64_t total = most < 52 ? most : 52, at = 0, documents = 0, place;
        start(&f, lengths, 7, EM_PACK_STREAM, 8, most);
        for (em_row *r; at < total; em_row_free(r)) {
            int32_t tokens = total - at < 8 ? (int32_t)(total - at) : 8;
            r = next(&f);
            assert_non_null(r);
            check_row(r, lengths, at / 8, at, tokens, at + tokens < total ? tokens + 1 : tokens);
            at += tokens;
        }
        locate(lengths, total - 1, &documents, &place);
        finish(&f, total, documents + 1);
    }
}

static void documents_by_themselves(void **unused) {
    static const int32_t lengths[] = {8, 9, 1, 16, 17, 3}; /* T, T+1, 1, 2T, 2T+1, 3 */
    static const struct {
        int32_t stream, tokens, window;
    } want[] = {{0, 8, 8},  {8, 8, 9},  {16, 1, 1}, {17, 1, 1}, {18, 8, 9},
                {26, 8, 8}, {34, 8, 9}, {42, 8, 9}, {50, 1, 1}, {51, 3, 3}};
    fixture f;
    start(&f, lengths, 6, EM_PACK_NONE, 8, 0);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        em_row *r = next(&f);
        assert_non_null(r);
        check_row(r, lengths, (int64_t)i, want[i].stream, want[i].tokens, want[i].window);
        assert_int_equal(r->n_segments, 1);
        em_row_free(r);
    }
    finish(&f, 54, 6);
}

static void documents_by_themselves_are_cut_too(void **unused) {
    static const int32_t lengths[] = {8, 9};
    fixture f;
    start(&f, lengths, 2, EM_PACK_NONE, 8, 16);
    em_row_free(next(&f));
    em_row *r = next(&f);
    check_row(r, lengths, 1, 8, 8,
              8); /* the ninth token is beyond the cut: no token after the row */
    em_row_free(r);
    finish(&f, 16, 2);
}

/* An empty text is its EOS; where nothing ends a document it has no token at all, and is
 * counted all the same. */
static void empty_documents(void **unused) {
    static const int32_t lengths[] = {1, 1, 0, 4, 0, 0, 1};
    static const int32_t without_empty[] = {1, 1, 0, 4, 0, 0, 1};
    fixture f;
    start(&f, lengths, 7, EM_PACK_STREAM, 4, 0);
    em_row *r = next(&f);
    check_row(r, without_empty, 0, 0, 4, 5);
    assert_int_equal(r->n_segments, 3);
    em_row_free(r);
    r = next(&f);
    check_row(r, without_empty, 1, 4, 3, 3);
    em_row_free(r);
    finish(&f, 7, 7);
}

static void nothing_at_all(void **unused) {
    static const int32_t lengths[] = {0, 0};
    for (int mode = 0; mode < 2; mode++) {
        fixture f;
        start(&f, lengths, 0, (em_pack_mode)mode, 4, 0);
        finish(&f, 0, 0);
        start(&f, lengths, 2, (em_pack_mode)mode, 4, 0);
        finish(&f, 0, 2);
    }
}

static void an_error_of_the_loader_comes_through(void **unused) {
    static const int32_t lengths[] = {3, 3, 3};
    fixture f;
    em_row *r;
    start(&f, lengths, 3, EM_PACK_STREAM, 8, 0);
    f.loader.fail_at = 2;
    assert_int_equal(em_packer_next(f.packer, &r, &f.err), -1);
    assert_string_equal(f.err.text, "a broken record");
    em_packer_close(f.packer);
}

static void a_row_of_no_tokens_is_refused(void **unused) {
    em_error err = EM_ERROR_INIT;
    em_pack_options o = {.row_tokens = 0};
    assert_null(em_packer_open(NULL, &o, &err));
    assert_int_equal(err.status, EM_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_run_across_documents),
                                       cmocka_unit_test(rows_overlap),
                                       cmocka_unit_test(a_stride_beyond_the_row_is_refused),
                                       cmocka_unit_test(segments_of_a_row),
                                       cmocka_unit_test(the_stream_is_cut_in_mid_document),
                                       cmocka_unit_test(documents_by_themselves),
                                       cmocka_unit_test(documents_by_themselves_are_cut_too),
                                       cmocka_unit_test(empty_documents),
                                       cmocka_unit_test(nothing_at_all),
                                       cmocka_unit_test(an_error_of_the_loader_comes_through),
                                       cmocka_unit_test(a_row_of_no_tokens_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
