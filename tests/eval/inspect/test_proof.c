/* The proof on a stand-in engine that is honest, or that looks where no mask lets it. The honest
 * one gives every position a digest of the tokens that it reaches, composed layer by layer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "eval/setup/device.h"
#include "eval/inspect/proof.h"
#include "model/network.h"
#include "tests/eval/protocol/masks.h"

enum { T = 60, LAYERS = 2, WINDOW = 7 };
typedef enum cheat { HONEST, SEES_NEXT_TOKEN, IGNORES_WINDOW, DEAF } cheat;

static cheat engine;
static int64_t capacity;
static int64_t rows_run;

struct em_model {
    em_model_spec spec;
    em_layer_spec layers[LAYERS];
};
struct em_network {
    int unused;
};

const em_model_spec *em_model_spec_of(const em_model *m) { return &m->spec; }
const em_layer_spec *em_model_layer_spec(const em_model *m, int layer) { return &m->layers[layer]; }

static void nothing(em_backend *b) {}

em_backend *em_device_open_backend(const em_engine_settings *asked, bool quiet,
                                   const em_setup *setup, em_error *err) {
    static const em_backend_ops ops = {.close = nothing};
    static em_backend b;
    b = (em_backend){.name = "stand-in", .ops = &ops, .options = {.threads = 1, .compute = EM_F32}};
    return &b;
}

em_network *em_setup_network(const em_setup *s, size_t memory, int i, em_backend *backend,
                             const em_network_options *needs, em_error *err) {
    static em_network n;
    assert_true(needs->want_tokens >= (EM_PROOF_CHANGES + 1) * needs->row_tokens);
    return &n;
}

void em_network_close(em_network *n) {}
int64_t em_network_padded(int64_t tokens) { return (tokens + 15) / 16 * 16; }
int64_t em_network_capacity(const em_network *n) { return capacity; }

static uint64_t mix(uint64_t x, uint64_t y) {
    return (x ^ (y + 0x9e3779b97f4a7c15u + (x << 6))) * 0xff51afd7ed558ccdu;
}

static void run_row(const em_row_batch *b, int r, uint64_t *x) {
    static const int32_t windows[LAYERS] = {0, WINDOW};
    uint64_t before[T];
    int32_t n = b->length[r];
    const int32_t *ids = b->ids + b->start[r], *lo = b->lo + b->start[r], *hi = b->hi + b->start[r];
    for (int32_t i = 0; i < n; i++)
        x[i] = mix(1, (uint64_t)ids[engine == SEES_NEXT_TOKEN && i == 24 ? i + 1 : i]);
    for (int l = 0; l < LAYERS; l++) {
        int32_t w = engine == IGNORES_WINDOW ? 0 : windows[l];
        memcpy(before, x, (size_t)n * sizeof *x);
        for (int32_t i = 0; i < n; i++)
            for (int32_t k = lo[i]; k < hi[i]; k++)
                if (w == 0 || abs(i - k) < w) x[i] = mix(x[i], before[k]);
    }
}

bool em_network_score(em_network *n, const em_row_batch *b, const em_score_request *q,
                      em_scores *out, em_error *err) {
    assert_true(q->digest && q->n_labels == 1);
    for (int r = 0; r < b->n_rows; r++, rows_run++) {
        uint64_t x[T];
        assert_true(b->length[r] <= T);
        run_row(b, r, x);
        for (int32_t i = 0; i < b->length[r]; i++)
            if (q->labels[b->start[r] + i] >= 0)
                out->digest[b->start[r] + i] = engine == DEAF ? 5 : x[i];
    }
    return true;
}

/* ---- the row: three documents, every token another id ---- */

static bool prove(const char *mask, const char *labels, cheat how, em_buffer *out) {
    static em_segment segments[] = {
        {.start = 0, .end = 25}, {.start = 25, .end = 31}, {.start = 31, .end = T + 1}};
    static int32_t ids[T + 1];
    em_error err = EM_ERROR_INIT;
    struct em_model model = {.spec = {.layers = LAYERS, .vocab = 1000},
                             .layers = {{.window = 0}, {.window = WINDOW}}};
    em_setup *setup = calloc(1, sizeof *setup);
    em_settings *settings = calloc(1, sizeof *settings);
    em_row row = {.tokens = T,
                  .window = T + 1,
                  .scored_to = T,
                  .n_segments = 3,
                  .ids = ids,
                  .segments = segments};
    bool refuted;
    for (int32_t i = 0; i <= T; i++) ids[i] = 100 + i;
    *setup = (em_setup){.model = &model, .row_tokens = T, .threads = 1};
    *settings = (em_settings){.protocol = {.n_positions = 1, .n_masks = 1, .n_labels = 1}};
    settings->protocol.labels[0] = em_labels_parse(labels, &err);
    assert_true(em_mask_parse(mask, &settings->protocol.masks[0], &err));
    engine = how;
    em_buffer_clear(out);
    assert_true(em_proof_run(&(em_proof){.settings = settings, .setup = setup, .row = &row}, out,
                             &refuted, &err));
    free(settings);
    free(setup);
    return !refuted;
}

static void prove_mask(const em_mask *m) {
    int n;
    const em_label_scheme *schemes = em_label_schemes(&n);
    em_buffer out = {0};
    for (int l = 0; l < n; l++) {
        if (!prove(m->name, schemes[l].name, HONEST, &out))
            fail_msg("%s, %s labels: %s", m->name, schemes[l].name, out.data);
        assert_null(strstr(out.data, "REFUTED"));
    }
    em_buffer_free(&out);
}

static void an_honest_engine_is_proved(void **unused) {
    em_buffer out = {0};
    capacity = 1 << 20;
    every_mask((const int32_t[]){3, 40, 0}, prove_mask);
    prove("doc", "unshifted", HONEST, &out);
    assert_non_null(strstr(out.data, "PROVED"));
    assert_non_null(strstr(out.data, "24 label tokens changed"));
    assert_non_null(strstr(out.data, "clean: 0 of 24 moved"));
    em_buffer_free(&out);
}

static void what_a_position_should_see_moves_it(void **unused) {
    em_buffer out = {0};
    capacity = 1 << 20;
    prove("flip0", "unshifted", HONEST, &out);
    const char *direct = strstr(out.data, "sees it directly: ");
    int moved, of;
    assert_non_null(direct);
    assert_int_equal(sscanf(direct, "sees it directly: %d of %d moved", &moved, &of), 2);
    assert_int_equal(moved, of);
    assert_true(of > 0);
    em_buffer_free(&out);
}

/* One position that looks one token ahead; a layer that forgets its own window. */
static void a_leaking_engine_is_refuted(void **unused) {
    em_buffer out = {0};
    capacity = 1 << 20;
    assert_false(prove("regular", "unshifted", SEES_NEXT_TOKEN, &out));
    assert_non_null(strstr(out.data, "REFUTED"));
    assert_non_null(strstr(out.data, "position 24 moved when token 25 changed"));
    assert_true(
        prove("backward", "unshifted", SEES_NEXT_TOKEN, &out)); /* there it may look ahead */
    assert_false(prove("flip0", "unshifted", IGNORES_WINDOW, &out));
    assert_true(prove("window:4", "unshifted", IGNORES_WINDOW,
                      &out)); /* the mask is narrower than that window */
    em_buffer_free(&out);
}

static void batches_of_any_capacity_agree(void **unused) {
    em_buffer one = {0}, many = {0};
    capacity = 1 << 20;
    prove("doc-full", "unshifted", HONEST, &many);
    rows_run = 0;
    capacity = 1; /* a row at a time */
    prove("doc-full", "unshifted", HONEST, &one);
    assert_int_equal(rows_run, 1 + EM_PROOF_CHANGES);
    assert_string_equal(one.data, many.data);
    capacity = 5 * 64;
    prove("doc-full", "unshifted", HONEST, &one);
    assert_string_equal(one.data, many.data);
    em_buffer_free(&one);
    em_buffer_free(&many);
}

/* An engine that answers the same whatever the row must not look like one that was put to the test.
 */
static void a_deaf_engine_shows(void **unused) {
    em_buffer out = {0};
    long long moved, of;
    capacity = 1 << 20;
    prove("doc", "unshifted", DEAF, &out);
    const char *can = strstr(out.data, "positions that can: ");
    assert_non_null(can);
    assert_int_equal(sscanf(can, "positions that can: %lld of %lld moved", &moved, &of), 2);
    assert_int_equal(moved, 0);
    assert_true(of > 0);
    assert_null(strstr(out.data, "PROVED"));
    em_buffer_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_honest_engine_is_proved),
                                       cmocka_unit_test(what_a_position_should_see_moves_it),
                                       cmocka_unit_test(a_leaking_engine_is_refuted),
                                       cmocka_unit_test(batches_of_any_capacity_agree),
                                       cmocka_unit_test(a_deaf_engine_shows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
