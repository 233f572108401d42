/* Verdicts of gates, for people. */
#ifndef EM_REPORTS_GATES_H
#define EM_REPORTS_GATES_H

#include "reports/pages/page.h"
#include "reports/results/results.h"

/* The section "Gate": a table, and a sentence for each that failed or has no figures. Nothing where
 * n is 0. */
void em_gates_page(const em_gate *gates, int n, em_page *p);

#endif
