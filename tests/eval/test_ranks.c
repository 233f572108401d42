/* Ranks that do not go together are named. The networks are a stand-in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "eval/score/forward_batch.h"
#include "eval/cluster/rank_info.h"
#include "model/compose.h"

int64_t em_network_padded(int64_t tokens) { return (tokens + 7) / 8 * 8; }
int64_t em_forward_batch_capacity(const em_plan *p, em_network *const *n) { return 1; }
bool em_network_keeps(const em_network *n) { return true; }
const em_bundle *em_model_bundle(const em_model *m) { return NULL; }
int64_t em_bundle_tensors(const em_bundle *b) { return 0; }
const em_tensor *em_bundle_tensor_at(const em_bundle *b, int64_t i) { return NULL; }
bool em_bundle_file(const em_bundle *b, const char *name, const void **data, size_t *size) {
    return false;
}
void em_bundle_done_with(const em_bundle *b, const em_tensor *t) {}
bool em_model_adapter(const em_model *m, em_adapter_files *out) { return false; }

static void make_cards(em_rank_info *infos) {
    for (int i = 0; i < 3; i++) {
        infos[i] = (em_rank_info){.err = EM_ERROR_INIT,
                                  .version = "1.0",
                                  .device = "cpu, avx2",
                                  .models = "0123456789abcdef",
                                  .capacity = 1000 - 100 * i,
                                  .job = 300 + i};
        snprintf(infos[i].host, sizeof infos[i].host, "node%d", i);
    }
}

static void check(em_rank_info *infos, bool mixed, const char *says) {
    em_error err = EM_ERROR_INIT;
    em_buffer devices = {0};
    assert_false(em_rank_infos_check(infos, 3, mixed, &devices, &err));
    assert_int_equal(err.status, EM_MACHINE);
    if (!strstr(err.text, says)) fail_msg("%s", err.text);
    em_buffer_free(&devices);
}

static void ranks_that_go_together(void **state) {
    em_error err = EM_ERROR_INIT;
    em_rank_info infos[3];
    em_buffer devices = {0};
    make_cards(infos);
    assert_true(em_rank_infos_check(infos, 3, true, &devices, &err));
    assert_int_equal(infos[0].capacity, 800);
    assert_int_equal(infos[0].job, 300);
    assert_int_equal(devices.length, 0);
}

static void ranks_that_do_not(void **state) {
    em_rank_info infos[3];
    make_cards(infos);
    strcpy(infos[2].device, "cpu, avx512");
    check(infos, false, "rank 2 on node2 computes on cpu, avx512, rank 0 on node0 on cpu, avx2");
    strcpy(infos[2].models, "123456789abcdef0");
    check(infos, true, "rank 2 on node2 has other model files than rank 0 on node0");
    strcpy(infos[1].version, "1.1");
    check(infos, true, "rank 1 on node1 is evalmask 1.1, rank 0 on node0 1.0");
    em_fail(&infos[1].err, EM_MACHINE, "out of memory");
    check(infos, true, "out of memory (rank 1 on node1)");
    em_fail(&infos[0].err, EM_MACHINE, "disk full");
    check(infos, true, "disk full");
}

static void mixed_ranks(void **state) {
    em_error err = EM_ERROR_INIT;
    em_rank_info infos[3];
    em_buffer devices = {0};
    make_cards(infos);
    strcpy(infos[1].device, "cpu, avx512");
    strcpy(infos[2].device, "cpu, avx512");
    assert_true(em_rank_infos_check(infos, 3, true, &devices, &err));
    assert_string_equal(devices.data, "cpu, avx2; cpu, avx512");
    em_buffer_free(&devices);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(ranks_that_go_together),
                                       cmocka_unit_test(ranks_that_do_not),
                                       cmocka_unit_test(mixed_ranks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
