/* The groups (subsets) that documents name, numbered in the order in which they are first seen. */
#ifndef EM_LOADER_GROUPS_H
#define EM_LOADER_GROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"

#define EM_GROUPS_MAX 65536
#define EM_GROUP_NAME_MAX 1024 /* bytes */

/* One thread adds; others may ask for the name of a group that they know to be there. */
typedef struct em_groups {
    char **names;    /* [EM_GROUPS_MAX], owned; never moves */
    uint32_t *table; /* open addressing: 1 + index, 0: free */
    int32_t n;
} em_groups;

/* Without groups. EM_MACHINE; g may be freed then too. */
bool em_groups_init(em_groups *g, em_error *err);
/* Frees what g owns and makes it {0}. */
void em_groups_free(em_groups *g);
/* The number of the group of this name (n bytes, none of them NUL; copied), new or known; -1 with
 * err: EM_INPUT, which says --group-by, where there are too many or the name is too long for one;
 * EM_MACHINE. */
int32_t em_groups_add(em_groups *g, const char *name, size_t n, em_error *err);

#endif
