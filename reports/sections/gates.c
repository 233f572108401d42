#include "reports/sections/gates.h"

#include <math.h>
#include <string.h>

static bool has_figures(const em_gate *g) { return isfinite(g->baseline) || isfinite(g->current); }

static int failed(const em_gate *gates, int n) {
    int count = 0;
    for (int i = 0; i < n; i++) count += !gates[i].passed;
    return count;
}

static void figures(const em_gate *gates, int n, em_page *p) {
    static const char *const heads[] = {"Verdict", "Gate",       "Baseline",
                                        "Now",     "Difference", "Tolerance"};
    em_table t = em_table_new(2, 6, heads);
    int rows = 0;
    for (int i = 0; i < n; i++) {
        const em_gate *g = &gates[i];
        if (!has_figures(g)) continue;
        rows++;
        em_text_cell(&t, g->passed ? "passed" : "FAILED");
        em_text_cell(&t, g->name);
        em_number_cell(&t, g->baseline, 4);
        em_number_cell(&t, g->current, 4);
        em_signed_cell(&t, g->difference, 5);
        em_number_cell(&t, g->tolerance, 5);
    }
    if (rows) em_page_table(p, &t);
    else em_table_free(&t);
}

static void sentences(const em_gate *gates, int n, em_page *p) {
    for (int i = 0; i < n; i++) {
        const em_gate *g = &gates[i];
        if (!g->passed || !has_figures(g))
            em_page_item(p, "%s: %s: %s", g->passed ? "passed" : "FAILED", g->name, g->message);
    }
    em_page_end_list(p);
}

void em_gates_page(const em_gate *gates, int n, em_page *p) {
    if (n == 0) return;
    int bad = failed(gates, n);
    if (bad) em_page_heading(p, 2, "Gate: FAILED (%d of %d)", bad, n);
    else em_page_heading(p, 2, "Gate: passed (%d)", n);
    figures(gates, n, p);
    sentences(gates, n, p);
}
