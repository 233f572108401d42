/* The closed form of "scored at every row length" against feeding the stream at every row length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "eval/score/common_predictions.h"

enum { MOST = 400 };

struct em_loader {
    int tokens;
    bool given;
    em_document document;
}; /* one document */

int em_loader_next(em_loader *l, const em_document **out, em_error *err) {
    static int32_t ids[MOST];
    static uint32_t bytes[MOST];
    if (l->given) return 0;
    l->given = true;
    l->document = (em_document){.tokens = {.ids = ids, .bytes = bytes, .n = (size_t)l->tokens}};
    *out = &l->document;
    return 1;
}

/* scored[j]: at so many of the lengths the token j of the stream is scored. */
static void count(const em_protocol_settings *s, int scheme, int32_t length, int tokens,
                  int *scored) {
    em_error err = EM_ERROR_INIT;
    em_loader loader = {.tokens = tokens};
    em_packer *packer =
        em_packer_open(&loader, &(em_pack_options){.mode = s->pack, .row_tokens = length}, &err);
    em_feed *feed = em_feed_open(packer, s, length, &err);
    em_fed_row *f;
    while (em_feed_next(feed, &f, &err) == 1) {
        const em_reading *r = &f->reading[scheme];
        for (int32_t i = r->from; r->inputs > 0 && !f->dropped[scheme] && i < r->to; i++)
            scored[f->row->stream + i + s->labels[scheme]->offset]++;
        em_fed_row_free(f);
    }
    em_feed_close(feed);
    em_packer_close(packer);
}

static void check(const em_protocol_settings *s, const int32_t *lengths, int n, int tokens) {
    em_common_predictions e;
    em_common_predictions_make(&e, s, s->pack, lengths, n,
                               s->tail == EM_TAIL_DROP ? tokens : EM_UNKNOWN_TOTAL);
    for (int l = 0; l < s->n_labels; l++) {
        int scored[MOST + 2] = {0};
        for (int i = 0; i < n; i++) count(s, l, lengths[i], tokens, scored);
        for (int j = 0; j < tokens; j++)
            if (scored[j] && em_common_predictions_has(&e, l, j) != (scored[j] == n))
                fail_msg("%s, tail %d, batch %d, window %d, %d tokens: token %d is scored at %d of "
                         "%d lengths",
                         s->labels[l]->name, s->tail, s->batch, s->window, tokens, j, scored[j], n);
    }
}

static void all_schemes(void **unused) {
    static const char *const names[] = {"unshifted", "shifted", "raw-shifted", "raw-unshifted",
                                        "backward"};
    static const int32_t lengths[][3] = {{4, 8, 16}, {5, 7, 12}, {2, 3, 64}};
    em_error err = EM_ERROR_INIT;
    em_protocol_settings s = {.n_labels = 5};
    for (int i = 0; i < 5; i++) s.labels[i] = em_labels_parse(names[i], &err);
    for (int tail = 0; tail < 2; tail++)
        for (int window = 0; window < 2; window++)
            for (s.batch = 1; s.batch < 4; s.batch++)
                for (int tokens = 1; tokens < 150; tokens += tokens < 70 ? 1 : 13)
                    for (int l = 0; l < 3; l++) {
                        s.tail = (em_tail)tail;
                        s.window = (em_window_mode)window;
                        check(&s, lengths[l], 3, tokens);
                    }
}

/* By place in the document. */
static void documents_by_themselves(void **unused) {
    em_error err = EM_ERROR_INIT;
    em_protocol_settings s = {.n_labels = 2, .batch = 2, .pack = EM_PACK_NONE};
    s.labels[0] = em_labels_parse("unshifted", &err);
    s.labels[1] = em_labels_parse("raw-shifted", &err);
    for (int tokens = 1; tokens < 100; tokens++) check(&s, (int32_t[]){4, 10, 16}, 3, tokens);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_schemes),
                                       cmocka_unit_test(documents_by_themselves)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
