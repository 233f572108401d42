/* Packing statistics against a recount over the whole stream, on documents of a stand-in loader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "eval/inspect/packing.h"

enum { EOS = 2, BOS = 1, MOST = 2048 };

struct em_loader {
    const int32_t *lengths;
    int n, given;
    em_document document;
};

/* BOS, text of ids from 10 on (with one EOS in the text of long documents), EOS. */
int em_loader_next(em_loader *l, const em_document **out, em_error *err) {
    static int32_t ids[MOST];
    static uint32_t bytes[MOST];
    if (l->given == l->n) return 0;
    int32_t n = l->lengths[l->given];
    for (int32_t i = 0; i < n; i++)
        ids[i] = i == 0 ? BOS : i == n - 1 ? EOS : n > 20 && i == 5 ? EOS : 10 + i;
    l->document = (em_document){.index = l->given++,
                                .n_before = 1,
                                .n_after = 1,
                                .tokens = {.ids = ids, .bytes = bytes, .n = (size_t)n}};
    *out = &l->document;
    return 1;
}

static void count(const em_protocol_settings *s, int32_t t, const int32_t *lengths, int n,
                  em_packing *out) {
    em_error err = EM_ERROR_INIT;
    em_loader loader = {.lengths = lengths, .n = n};
    em_pack_options pack = {.mode = s->pack, .row_tokens = t};
    em_packer *packer = em_packer_open(&loader, &pack, &err);
    em_packing_counter *c = em_packing_open(s, t, EOS, BOS, &err);
    em_row *row;
    assert_non_null(packer);
    assert_non_null(c);
    while (em_packer_next(packer, &row, &err) == 1) {
        em_packing_add(c, row);
        em_row_free(row);
    }
    em_packing_finish(c, out);
    em_packing_close(c);
    em_packer_close(packer);
}

static em_protocol_settings settings_for(em_tail tail, em_pack_mode pack, int32_t batch) {
    em_error err = EM_ERROR_INIT;
    em_protocol_settings s = {.tail = tail, .pack = pack, .batch = batch};
    static const char *const names[] = {"unshifted", "shifted", "raw-shifted", "raw-unshifted",
                                        "backward"};
    for (int i = 0; i < 5; i++) s.labels[s.n_labels++] = em_labels_parse(names[i], &err);
    return s;
}

static const int32_t lengths[] = {5, 2, 30, 3, 64, 2, 7}; /* 113 tokens */
enum { DOCUMENTS = 7, TOKENS = 113 };

static void the_stream_as_a_whole(void **unused) {
    for (int32_t t = 2; t <= 130; t++) {
        em_packing p;
        em_protocol_settings s = settings_for(EM_TAIL_PAD, EM_PACK_STREAM, 2);
        count(&s, t, lengths, DOCUMENTS, &p);
        assert_int_equal(p.rows, (TOKENS + t - 1) / t);
        assert_int_equal(p.tokens, TOKENS);
        assert_int_equal(p.slots, p.rows * t);
        assert_int_equal(p.last_row_tokens, TOKENS - (p.rows - 1) * t);
        assert_int_equal(p.documents, DOCUMENTS);
        assert_int_equal(p.shortest, 2);
        assert_int_equal(p.longest, 64);
        assert_int_equal(p.eos_added, DOCUMENTS);
        assert_int_equal(p.bos_added, DOCUMENTS);
        assert_int_equal(p.eos_in_text, 2);
        assert_int_equal(p.bos_in_text, 0);
        static const int64_t buckets[] = {0, 3, 2, 0, 1, 0, 1}; /* 2 2 3 | 5 7 | 30 | 64 */
        assert_memory_equal(p.lengths, buckets, sizeof buckets);
    }
}

static void documents_per_row(void **unused) {
    em_packing p;
    em_protocol_settings s = settings_for(EM_TAIL_PAD, EM_PACK_STREAM, 2);
    count(&s, 10, lengths, DOCUMENTS, &p);
    /* rows of 10: ends of documents at 5 7 37 40 104 106 113 -> 3 1 1 2 1 1 1 1 1 1 3 1 */
    assert_int_equal(p.least_documents, 1);
    assert_int_equal(p.median_documents, 1);
    assert_int_equal(p.most_documents, 3);
    count(&s, 200, lengths, DOCUMENTS, &p);
    assert_int_equal(p.least_documents, 7);
    assert_int_equal(p.median_documents, 7);
}

static int document_at(int64_t k) {
    int d = 0;
    for (; k >= lengths[d]; k -= lengths[d++]) {}
    return d;
}

/* What each scheme scores, recounted from the stream alone. */
static void schemes_score_what_the_stream_gives(void **unused) {
    static const int offsets[] = {1, 2, 1, 0, -1};
    for (int tail = 0; tail < 2; tail++)
        for (int32_t t = 4; t <= 40; t++) {
            em_packing p;
            em_protocol_settings s = settings_for((em_tail)tail, EM_PACK_STREAM, 3);
            count(&s, t, lengths, DOCUMENTS, &p);
            for (int l = 0; l < 5; l++) {
                bool caller = s.labels[l]->caller_shifts;
                int64_t rows = 0, complete = 0, predictions = 0, boundary = 0;
                for (int64_t at = 0; at < TOKENS; at += t) {
                    complete += at + t + caller <= TOKENS;
                    rows += TOKENS - at > caller;
                }
                int64_t kept = tail == EM_TAIL_DROP ? complete / 3 * 3 : rows;
                for (int64_t r = 0; r < kept; r++) {
                    int64_t last = caller ? r * t + t + 1 : r * t + t; /* end of the row's window */
                    if (last > TOKENS) last = TOKENS;
                    for (int64_t i = r * t; i < (caller ? last - 1 : last); i++) {
                        int64_t k = i + offsets[l];
                        if (k < r * t || k >= last) continue;
                        predictions++;
                        boundary += document_at(k) != document_at(i);
                    }
                }
                assert_int_equal(p.schemes[l].rows, kept);
                assert_int_equal(p.schemes[l].predictions, predictions);
                assert_int_equal(p.schemes[l].boundary, boundary);
                assert_int_equal(p.schemes[l].dropped_rows, rows - kept);
            }
        }
}

static void documents_by_themselves(void **unused) {
    em_packing p;
    em_protocol_settings s = settings_for(EM_TAIL_PAD, EM_PACK_NONE, 4);
    count(&s, 32, lengths, DOCUMENTS, &p);
    assert_int_equal(p.rows, 8);
    assert_int_equal(p.slots - p.tokens, 8 * 32 - TOKENS);
    assert_int_equal(p.schemes[0].boundary, 0);
    assert_int_equal(p.schemes[0].predictions, TOKENS - 8);
    assert_int_equal(p.most_documents, 1);
    assert_int_equal(p.schemes[0].batches, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_stream_as_a_whole),
                                       cmocka_unit_test(documents_per_row),
                                       cmocka_unit_test(schemes_score_what_the_stream_gives),
                                       cmocka_unit_test(documents_by_themselves)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
