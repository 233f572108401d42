#include "tests/eval/protocol/masks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static bool causal(place q) { return q.k <= q.i; }
static bool regular(place q) { return causal(q); }
static bool doc(place q) { return causal(q) && q.same_document; }
static bool window(place q) { return causal(q) && q.i - q.k < q.p; }
static bool doc_window(place q) { return window(q) && q.same_document; }
static bool prefix(place q) { return causal(q) || q.k < q.p; }
static bool doc_prefix(place q) { return q.same_document && (causal(q) || q.k - q.start < q.p); }
static bool full(place q) { return true; }
static bool doc_full(place q) { return q.same_document; }
static bool backward(place q) { return q.k >= q.i; }
static bool doc_backward(place q) { return backward(q) && q.same_document; }

/* torch: tril(ones(M, M)).flip(0)[:n, :n]; row i of the flipped matrix is row M-1-i of the
 * triangle. */
static bool flip0_of_m(place q) { return q.i < q.p && q.k < q.p && q.k <= q.p - 1 - q.i; }
static bool flip0(place q) {
    q.p = q.n;
    return flip0_of_m(q);
}

/* clang-format off */
static const mask_rule rules[] = {
    {"regular", false, false, regular},
    {"doc", false, true, doc},
    {"window", true, false, window},
    {"doc-window", true, true, doc_window},
    {"prefix", true, false, prefix},
    {"doc-prefix", true, true, doc_prefix},
    {"full", false, false, full},
    {"doc-full", false, true, doc_full},
    {"backward", false, false, backward},
    {"doc-backward", false, true, doc_backward},
    {"flip0", false, false, flip0},
    {"flip0", true, false, flip0_of_m},
};
/* clang-format on */
enum { RULES = sizeof rules / sizeof *rules };

const mask_rule *mask_rules(int *n) {
    *n = RULES;
    return rules;
}

const mask_rule *mask_rule_of(const em_mask *m) {
    for (const mask_rule *r = rules; r < rules + RULES; r++)
        if (!strcmp(r->name, m->kind->name) && r->parameter == !!m->kind->parameter) return r;
    fail_msg("%s has no rule in tests/eval/protocol/masks.c", m->name);
    return NULL;
}

void every_mask(const int32_t *parameters, void (*visit)(const em_mask *m)) {
    int n;
    const em_mask_kind *kinds = em_mask_kinds(&n);
    for (const em_mask_kind *k = kinds; k < kinds + n; k++) {
        em_mask plain = em_mask_make(k, 0);
        if (!k->parameter) visit(&plain);
        for (const int32_t *p = parameters; k->parameter && *p; p++) {
            em_mask m = em_mask_make(k, *p);
            visit(&m);
        }
    }
}
