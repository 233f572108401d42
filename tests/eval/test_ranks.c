/* What ranks exchange: rows and scores come out of a message as they went in, a message of another size is refused, and
 * ranks that do not go together are named. The networks are a stand-in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "eval/block.h"
#include "eval/rank_card.h"

int64_t em_network_padded(int64_t tokens) { return (tokens + 7) / 8 * 8; }
int64_t em_network_capacity(const em_network *n) { return 1; }
bool em_network_keeps(const em_network *n) { return true; }
bool em_network_forward(em_network *n, const em_row_batch *b, em_error *err) { return false; }
bool em_network_score_depths(em_network *n, const em_row_batch *b, const em_score_request *q, const int *depths, int n_depths,
                             em_scores *o, em_error *err) { return false; }
bool em_network_head_pair(em_network *a, em_network *z, const em_row_batch *b, const em_pair_request *q, em_pair_scores *o, em_error *err) {
    return false;
}
const em_bundle *em_model_bundle(const em_model *m) { return NULL; }
int64_t em_bundle_tensors(const em_bundle *b) { return 0; }
const em_tensor *em_bundle_tensor_at(const em_bundle *b, int64_t i) { return NULL; }
bool em_bundle_file(const em_bundle *b, const char *name, const void **data, size_t *size) { return false; }
void em_bundle_done_with(const em_bundle *b, const em_tensor *t) {}

/* ---- messages ---- */

enum { SCHEMES = 2, ALPHAS = 3, SIDES = 2 };

static em_settings settings = {.n_labels = SCHEMES};
static const em_plan plan = {.settings = &settings, .n_models = 2, .n_scored = SIDES, .n_logit_alphas = ALPHAS, .kl = true};

static void add_row(em_block *b, int32_t tokens, em_error *err) {
    assert_true(em_block_reserve(b, (size_t)tokens, err));
    for (size_t i = b->n_tokens; i < b->n_tokens + (size_t)tokens; i++) {
        int32_t v = (int32_t)i;
        b->ids[i] = v, b->positions[i] = v + 1000, b->lo[i] = v + 2000, b->hi[i] = v + 3000;
        for (size_t k = 0; k < SCHEMES; k++) b->labels[i * SCHEMES + k] = v * 10 + (int32_t)k;
    }
    em_block_add_row(b, tokens);
}

/* Scores that tell their place in the block that was scored. */
static void score(em_block *b) {
    for (size_t i = 0; i < b->n_tokens; i++) {
        for (size_t s = 0; s < SIDES; s++) {
            for (size_t k = 0; k < SCHEMES; k++) b->sides[s].nll[i * SCHEMES + k] = b->ids[i] + 0.1 * (double)k + 0.01 * (double)s;
            b->sides[s].argmax[i] = b->ids[i] + (int32_t)s;
            if (s) b->sides[s].kl[i] = -b->ids[i];
        }
        for (size_t a = 0; a < ALPHAS; a++) {
            b->alpha_argmax[i * ALPHAS + a] = b->ids[i] * 100 + (int32_t)a;
            for (size_t k = 0; k < SCHEMES; k++) b->alpha_nll[(i * ALPHAS + a) * SCHEMES + k] = b->ids[i] + (double)(a * 10 + k);
        }
    }
}

static void same_scores(const em_block *a, const em_block *b, size_t from, size_t to) {
    size_t n = to - from;
    for (size_t s = 0; s < SIDES; s++) {
        assert_memory_equal(a->sides[s].nll + from * SCHEMES, b->sides[s].nll + from * SCHEMES, n * SCHEMES * sizeof(double));
        assert_memory_equal(a->sides[s].argmax + from, b->sides[s].argmax + from, n * sizeof(int32_t));
    }
    assert_memory_equal(a->sides[1].kl + from, b->sides[1].kl + from, n * sizeof(double));
    assert_memory_equal(a->alpha_nll + from * ALPHAS * SCHEMES, b->alpha_nll + from * ALPHAS * SCHEMES, n * ALPHAS * SCHEMES * sizeof(double));
    assert_memory_equal(a->alpha_argmax + from * ALPHAS, b->alpha_argmax + from * ALPHAS, n * ALPHAS * sizeof(int32_t));
}

/* Rows 1 and 2 of four, to another process and back. */
static void there_and_back(void **state) {
    em_error err = EM_ERROR_INIT;
    em_block here, there, want;
    em_buffer rows = {0}, scores = {0};
    em_stretch middle = {1, 2};
    assert_true(em_block_open(&here, &plan, &err) && em_block_open(&there, &plan, &err) && em_block_open(&want, &plan, &err));
    for (int32_t n = 3; n < 7; n++) add_row(&here, n, &err), add_row(&want, n, &err);
    for (int again = 0; again < 2; again++) {           /* a block is used for one message after another */
        em_buffer_clear(&rows);
        em_buffer_clear(&scores);
        assert_true(em_block_write_rows(&here, middle, &rows, &err));
        assert_true(em_block_read_rows(&there, &rows, &err));
        assert_int_equal(there.n_rows, 2);
        assert_int_equal(there.n_tokens, 4 + 5);
        assert_int_equal(there.start[1], 4);
        assert_memory_equal(there.ids, here.ids + 3, 9 * sizeof(int32_t));
        assert_memory_equal(there.positions, here.positions + 3, 9 * sizeof(int32_t));
        assert_memory_equal(there.lo, here.lo + 3, 9 * sizeof(int32_t));
        assert_memory_equal(there.hi, here.hi + 3, 9 * sizeof(int32_t));
        assert_memory_equal(there.labels, here.labels + 3 * SCHEMES, 9 * SCHEMES * sizeof(int32_t));
        score(&there);
        assert_true(em_block_write_scores(&there, (em_stretch){0, there.n_rows}, &scores, &err));
        assert_int_equal(scores.length, 9 * em_block_score_bytes(&plan));
        assert_true(em_block_read_scores(&here, middle, &scores, &err));
    }
    score(&want);
    same_scores(&here, &want, 3, 12);
    em_block_free(&here), em_block_free(&there), em_block_free(&want);
    em_buffer_free(&rows), em_buffer_free(&scores);
}

static void refuse_rows(em_block *b, const em_buffer *message) {
    em_error err = EM_ERROR_INIT;
    assert_false(em_block_read_rows(b, message, &err));
    assert_int_equal(err.status, EM_MACHINE);
}

static void messages_of_another_size(void **state) {
    em_error err = EM_ERROR_INIT;
    em_block b;
    em_buffer m = {0};
    assert_true(em_block_open(&b, &plan, &err));
    add_row(&b, 5, &err);
    assert_true(em_block_write_rows(&b, (em_stretch){0, 1}, &m, &err));
    size_t whole = m.length;
    for (m.length = 0; m.length < whole; m.length++) refuse_rows(&b, &m);
    m.length = whole;
    memset(m.data, 0xff, sizeof(size_t));               /* the number of rows */
    refuse_rows(&b, &m);
    memset(m.data, 0, sizeof(size_t));
    refuse_rows(&b, &m);
    m.data[0] = 1;
    m.data[2 * sizeof(size_t)] = 6;                     /* the row's length */
    refuse_rows(&b, &m);
    m.data[2 * sizeof(size_t)] = 5;
    assert_true(em_block_read_rows(&b, &m, &err));
    assert_false(em_block_read_scores(&b, (em_stretch){0, 1}, &m, &err));
    em_block_free(&b);
    em_buffer_free(&m);
}

static void stretches(void **state) {
    em_error err = EM_ERROR_INIT;
    em_block b;
    assert_true(em_block_open(&b, &plan, &err));
    for (int i = 0; i < 5; i++) add_row(&b, 9, &err);               /* 16 padded */
    assert_int_equal(em_block_cut(&b, 0, 48).n, 3);
    assert_int_equal(em_block_cut(&b, 3, 48).n, 2);
    assert_int_equal(em_block_cut(&b, 0, 47).n, 2);
    assert_int_equal(em_block_cut(&b, 0, 1).n, 1);
    em_block_free(&b);
}

/* ---- cards ---- */

static void make_cards(em_rank_card *cards) {
    for (int i = 0; i < 3; i++) {
        cards[i] = (em_rank_card){.err = EM_ERROR_INIT, .version = "1.0", .device = "cpu, avx2", .models = "0123456789abcdef",
                                  .capacity = 1000 - 100 * i, .job = 300 + i};
        snprintf(cards[i].host, sizeof cards[i].host, "node%d", i);
    }
}

static void check(em_rank_card *cards, bool mixed, const char *says) {
    em_error err = EM_ERROR_INIT;
    em_buffer devices = {0};
    assert_false(em_rank_cards_check(cards, 3, mixed, &devices, &err));
    assert_int_equal(err.status, EM_MACHINE);
    if (!strstr(err.text, says)) fail_msg("%s", err.text);
    em_buffer_free(&devices);
}

static void ranks_that_go_together(void **state) {
    em_error err = EM_ERROR_INIT;
    em_rank_card cards[3];
    em_buffer devices = {0};
    make_cards(cards);
    assert_true(em_rank_cards_check(cards, 3, true, &devices, &err));
    assert_int_equal(cards[0].capacity, 800);
    assert_int_equal(cards[0].job, 300);
    assert_int_equal(devices.length, 0);
}

static void ranks_that_do_not(void **state) {
    em_rank_card cards[3];
    make_cards(cards);
    strcpy(cards[2].device, "cpu, avx512");
    check(cards, false, "rank 2 on node2 computes on cpu, avx512, rank 0 on node0 on cpu, avx2");
    strcpy(cards[2].models, "123456789abcdef0");
    check(cards, true, "rank 2 on node2 has other model files than rank 0 on node0");
    strcpy(cards[1].version, "1.1");
    check(cards, true, "rank 1 on node1 is evalmask 1.1, rank 0 on node0 1.0");
    em_fail(&cards[1].err, EM_MACHINE, "out of memory");
    check(cards, true, "out of memory (rank 1 on node1)");
    em_fail(&cards[0].err, EM_MACHINE, "disk full");
    check(cards, true, "disk full");
}

static void mixed_ranks(void **state) {
    em_error err = EM_ERROR_INIT;
    em_rank_card cards[3];
    em_buffer devices = {0};
    make_cards(cards);
    strcpy(cards[1].device, "cpu, avx512");
    strcpy(cards[2].device, "cpu, avx512");
    assert_true(em_rank_cards_check(cards, 3, true, &devices, &err));
    assert_string_equal(devices.data, "cpu, avx2; cpu, avx512");
    em_buffer_free(&devices);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back), cmocka_unit_test(messages_of_another_size), cmocka_unit_test(stretches),
        cmocka_unit_test(ranks_that_go_together), cmocka_unit_test(ranks_that_do_not), cmocka_unit_test(mixed_ranks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
