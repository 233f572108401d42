/* The published tables: each one a section made from results alone. A config asks for one by its
 * name (em_results.table). A new table is one file and one row of `tables` in published.c. */
#ifndef EM_REPORTS_PUBLISHED_H
#define EM_REPORTS_PUBLISHED_H

#include <stdbool.h>
#include <stddef.h>
#include "reports/pages/page.h"
#include "reports/results/results.h"

/* Whether there is a table of that name. */
bool em_published_known(const char *table);
/* The names of all tables, comma-separated, in out, [n] bytes with the NUL (cut where they are
 * longer); returns out. */
const char *em_published_names(char *out, size_t n);

/* The table that r asks for, with its heading; nothing where it asks for none. A cell whose result
 * r lacks is a dash. */
void em_section_published(const em_results *r, em_page *p);

#endif
