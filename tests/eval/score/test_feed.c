/* Rows in batches under the tail policy, per label scheme; passes shared by masks and schemes. The
 * loader is a stand-in that hands out documents of given lengths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "eval/score/feed.h"
#include "eval/score/passes.h"

struct em_loader {
    const int *lengths;
    int n, next;
    em_document document;
};

int em_loader_next(em_loader *l, const em_document **out, em_error *err) {
    static int32_t ids[4096];
    static uint32_t bytes[4096];
    if (l->next == l->n) return 0;
    for (int i = 0; i < l->lengths[l->next]; i++) ids[i] = l->next * 1000 + i, bytes[i] = 1;
    l->document = (em_document){
        .index = l->next, .tokens = {.ids = ids, .bytes = bytes, .n = (size_t)l->lengths[l->next]}};
    l->next++;
    *out = &l->document;
    return 1;
}

/* The network is not run here. */
int64_t em_network_padded(int64_t tokens) { return (tokens + 7) / 8 * 8; }
int64_t em_network_capacity(const em_network *n) { return 0; }
bool em_network_forward(em_network *n, const em_row_batch *b, em_error *err) { return false; }
bool em_network_score_depths(em_network *n, const em_row_batch *b, const em_score_request *q,
                             const int *depths, int n_depths, em_scores *o, em_error *err) {
    return false;
}
bool em_network_head_pair(em_network *a, em_network *z, const em_row_batch *b,
                          const em_pair_request *q, em_pair_scores *o, em_error *err) {
    return false;
}

static em_protocol_settings settings_for(const char *labels, em_tail tail, int batch,
                                         em_pack_mode pack) {
    em_error err = EM_ERROR_INIT;
    char text[128], *part, *rest = text;
    em_protocol_settings s = {.tail = tail, .batch = batch, .pack = pack, .n_positions = 1};
    snprintf(text, sizeof text, "%s", labels);
    while ((part = strsep(&rest, ","))) s.labels[s.n_labels++] = em_labels_parse(part, &err);
    em_mask_parse("doc", &s.masks[s.n_masks++], &err);
    em_mask_parse("regular", &s.masks[s.n_masks++], &err);
    return s;
}

typedef struct tally {
    int kept, dropped, predictions, max_batch;
} tally;

static tally feed_all(const int *lengths, int n, int T, const em_protocol_settings *s, int scheme) {
    em_error err = EM_ERROR_INIT;
    em_loader loader = {lengths, n, 0, {0}};
    em_packer *packer = em_packer_open(&loader,
                                       &(em_pack_options){.mode = s->pack, .row_tokens = T}, &err);
    em_feed *feed = em_feed_open(packer, s, T, &err);
    tally t = {0};
    em_fed_row *f;
    int64_t index = 0;
    while (em_feed_next(feed, &f, &err) == 1) {
        assert_true(f->row->index >= index);
        index = f->row->index;
        if (f->reading[scheme].inputs > 0) {
            if (f->dropped[scheme]) t.dropped++;
            else {
                t.kept++;
                t.predictions += f->reading[scheme].to - f->reading[scheme].from;
                if (f->batch[scheme] > t.max_batch) t.max_batch = (int)f->batch[scheme];
            }
        }
        em_fed_row_free(f);
    }
    assert_int_equal(err.status, EM_OK);
    em_feed_close(feed);
    em_packer_close(packer);
    return t;
}

static void check(const int *lengths, int n, int T, const char *labels, em_tail tail, int batch,
                  em_pack_mode pack, tally want) {
    em_protocol_settings s = settings_for(labels, tail, batch, pack);
    tally t = feed_all(lengths, n, T, &s, 0);
    if (memcmp(&t, &want, sizeof t))
        fail_msg("%s T %d B %d: %d kept, %d dropped, %d predictions, last batch %d", labels, T,
                 batch, t.kept, t.dropped, t.predictions, t.max_batch);
}

/* 41 tokens in rows of 8: five full rows and one of a single token. */
static void stream_tails(void **state) {
    const int d[] = {20, 1, 20};
    check(d, 3, 8, "unshifted", EM_TAIL_PAD, 2, EM_PACK_STREAM, (tally){6, 0, 35, 2});
    check(d, 3, 8, "unshifted", EM_TAIL_DROP, 2, EM_PACK_STREAM, (tally){4, 2, 28, 1});
    check(d, 3, 8, "unshifted", EM_TAIL_DROP, 5, EM_PACK_STREAM, (tally){5, 1, 35, 0});
    check(d, 3, 8, "unshifted", EM_TAIL_DROP, 6, EM_PACK_STREAM, (tally){0, 6, 0, 0});
    /* the fifth row has its look-ahead token; the sixth has no inputs left when the caller shifts
     */
    check(d, 3, 8, "raw-shifted", EM_TAIL_PAD, 2, EM_PACK_STREAM, (tally){5, 0, 40, 2});
    check(d, 3, 8, "shifted", EM_TAIL_DROP, 5, EM_PACK_STREAM, (tally){5, 0, 35, 0});
}

/* 40 tokens: the last row is full, but its window lacks the token after it. */
static void a_full_row_without_its_window(void **state) {
    const int d[] = {40};
    check(d, 1, 8, "unshifted", EM_TAIL_DROP, 5, EM_PACK_STREAM, (tally){5, 0, 35, 0});
    check(d, 1, 8, "raw-shifted", EM_TAIL_DROP, 5, EM_PACK_STREAM, (tally){0, 5, 0, 0});
    check(d, 1, 8, "raw-shifted", EM_TAIL_PAD, 5, EM_PACK_STREAM, (tally){5, 0, 39, 0});
}

static void documents_by_themselves(void **state) {
    const int d[] = {3, 1, 8, 9, 17};
    check(d, 5, 8, "unshifted", EM_TAIL_PAD, 4, EM_PACK_NONE,
          (tally){8, 0, 2 + 0 + 7 + 7 + 0 + 7 + 7 + 0, 1});
    check(d, 5, 8, "raw-shifted", EM_TAIL_PAD, 4, EM_PACK_NONE,
          (tally){5, 0, 2 + 7 + 8 + 8 + 8, 1});
    check(d, 5, 8, "raw-shifted", EM_TAIL_DROP, 4, EM_PACK_NONE, (tally){4, 1, 2 + 7 + 8 + 8, 0});
}

/* A scheme's batches do not depend on which other schemes are measured beside it. */
static void schemes_do_not_disturb_each_other(void **state) {
    const int d[] = {5, 40, 2, 33};
    for (int batch = 1; batch < 7; batch++)
        for (int pack = 0; pack < 2; pack++) {
            em_protocol_settings alone = settings_for("shifted", EM_TAIL_DROP, batch,
                                                      (em_pack_mode)pack);
            em_protocol_settings list = settings_for("unshifted,shifted,backward", EM_TAIL_DROP,
                                                     batch, (em_pack_mode)pack);
            tally a = feed_all(d, 4, 8, &alone, 0), b = feed_all(d, 4, 8, &list, 1);
            assert_memory_equal(&a, &b, sizeof a);
        }
}

/* Rows of one document give doc and regular the same intervals, but reset and continuous positions
 * agree only where the row's first segment is its only one: then one pass serves all. */
static void passes_are_shared(void **state) {
    const int d[] = {8, 4, 4};
    em_error err = EM_ERROR_INIT;
    em_loader loader = {d, 3, 0, {0}};
    em_protocol_settings s = settings_for("unshifted,shifted,raw-shifted", EM_TAIL_PAD, 2,
                                          EM_PACK_STREAM);
    em_packer *packer = em_packer_open(&loader, &(em_pack_options){.row_tokens = 8}, &err);
    em_feed *feed = em_feed_open(packer, &s, 8, &err);
    em_side side = {0, EM_NO_DEPTH, -1, 0};
    em_combination combinations[6];
    for (int c = 0; c < 6; c++) combinations[c] = (em_combination){c / 3, c % 3, 0};
    em_plan plan = {.protocol = &s,
                    .n_models = 1,
                    .sides = &side,
                    .n_sides = 1,
                    .n_scored = 1,
                    .combinations = combinations,
                    .n_combinations = 6};
    em_passes *p = em_passes_new(&plan, &err);
    em_fed_row *f;
    assert_int_equal(em_feed_next(feed, &f, &err), 1);
    assert_true(em_passes_add(p, f, &err));
    assert_int_equal(em_passes_padded(p), 8); /* one document, its window whole: one pass */
    em_pass_view a = em_passes_view(p, 0, 0), b = em_passes_view(p, 0, 4);
    assert_ptr_equal(a.lo, b.lo);
    assert_int_equal(em_feed_next(feed, &f, &err), 1);
    assert_true(em_passes_add(p, f, &err));
    assert_int_equal(em_passes_padded(p),
                     8 + 4 * 8); /* two masks x (8 inputs unshifted, 7 where the caller shifts) */
    a = em_passes_view(p, 1, 1), b = em_passes_view(p, 1, 2);
    assert_ptr_equal(a.lo, b.lo);
    assert_int_equal(a.inputs, 7);
    assert_ptr_equal(em_passes_take_last(p), f); /* out again, as if it had never been added */
    assert_int_equal(em_passes_rows(p), 1);
    assert_int_equal(em_passes_padded(p), 8);
    assert_true(em_passes_add(p, f, &err));
    assert_int_equal(em_passes_padded(p), 8 + 4 * 8);
    assert_ptr_equal(em_passes_view(p, 1, 2).lo, a.lo);
    em_passes_free(p);
    em_feed_close(feed);
    em_packer_close(packer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stream_tails), cmocka_unit_test(a_full_row_without_its_window),
        cmocka_unit_test(documents_by_themselves),
        cmocka_unit_test(schemes_do_not_disturb_each_other), cmocka_unit_test(passes_are_shared)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
