#include "reports/published/published.h"

#include <stdio.h>
#include <string.h>

#include "reports/published/tables.h"

// clang-format off
static const struct { const char *name; em_published_fill *fill; } tables[] = {
    {"logit-amplification", em_published_alphas},
    {"base-vs-instruct", em_published_pairs},
    {"sequence-length", em_published_lengths},
    {"layer-removal", em_published_depths},
};
// clang-format on
enum { N_TABLES = sizeof tables / sizeof *tables };

bool em_published_known(const char *table) {
    for (int i = 0; i < N_TABLES; i++)
        if (!strcmp(tables[i].name, table)) return true;
    return false;
}

const char *em_published_names(char *out, size_t n) {
    size_t at = 0;
    for (int i = 0; i < N_TABLES && at < n; i++)
        at += (size_t)snprintf(out + at, n - at, "%s%s", i ? ", " : "", tables[i].name);
    return out;
}

void em_section_published(const em_results *r, em_page *p) {
    for (int i = 0; i < N_TABLES; i++)
        if (!strcmp(tables[i].name, r->table)) tables[i].fill(r, p);
}
