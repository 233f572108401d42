#include "loader/groups.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/size.h"

#define SLOTS (2u * EM_GROUPS_MAX) /* a power of two */

bool em_groups_init(em_groups *g, em_error *err) {
    *g = (em_groups){0};
    g->names = em_alloc(EM_GROUPS_MAX, sizeof *g->names, "group names", err);
    g->table = em_alloc(SLOTS, sizeof *g->table, "group names", err);
    return g->names && g->table;
}

void em_groups_free(em_groups *g) {
    for (int32_t i = 0; i < g->n; i++) free(g->names[i]);
    free(g->names);
    free(g->table);
    *g = (em_groups){0};
}

int32_t em_groups_add(em_groups *g, const char *name, size_t n, em_error *err) {
    if (n > EM_GROUP_NAME_MAX) {
        em_fail(err, EM_INPUT,
                "a group name of %zu bytes, more than %d: --group-by names the wrong key", n,
                EM_GROUP_NAME_MAX);
        return -1;
    }
    size_t i = XXH3_64bits(name, n) & (SLOTS - 1);
    for (; g->table[i]; i = (i + 1) & (SLOTS - 1)) {
        const char *known = g->names[g->table[i] - 1];
        if (strlen(known) == n && !memcmp(known, name, n)) return (int32_t)g->table[i] - 1;
    }
    if (g->n == EM_GROUPS_MAX) {
        em_fail(err, EM_INPUT, "more than %d groups: --group-by names the wrong key",
                EM_GROUPS_MAX);
        return -1;
    }
    char *copy = em_alloc(n + 1, 1, "a group name", err);
    if (!copy) return -1;
    memcpy(copy, name, n);
    g->names[g->n] = copy;
    g->table[i] = (uint32_t)++g->n;
    return g->n - 1;
}
