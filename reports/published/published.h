/* The published tables: each one a section made from results alone. A config asks for one by its
 * name (em_results.table). A new table is one file and one row of `tables` in published.c. */
#ifndef EM_REPORTS_PUBLISHED_H
#define EM_REPORTS_PUBLISHED_H

#include <stdbool.h>
#include <stddef.h>
#include "reports/pages/page.h"
#include "reports/results/results.h"

bool em_published_known(const char *table);
/* Comma-separated, in out, [n] bytes; returns out. */
const char *em_published_names(char *out, size_t n);

/* Nothing where r asks for no table. */
void em_section_published(const em_results *r, em_page *p);

#endif
