#include "model/tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"

void em_tensors_free(em_tensors *t) {
    for (size_t i = 0; i < t->n; i++) free((char *)t->items[i].name);
    free(t->items);
    *t = (em_tensors){0};
}

bool em_tensors_add(em_tensors *list, const em_tensor *t, em_error *err) {
    if (!em_grow(&list->items, &list->capacity, list->n + 1, sizeof *list->items,
                 "the list of tensors", err))
        return false;
    em_tensor *copy = &list->items[list->n];
    *copy = *t;
    copy->name = strdup(t->name);
    if (!copy->name) return em_fail_memory(err, strlen(t->name), "a tensor's name");
    list->n++;
    return true;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const em_tensor *)a)->name, ((const em_tensor *)b)->name);
}

bool em_tensors_sort(em_tensors *list, em_error *err) {
    if (list->n) qsort(list->items, list->n, sizeof *list->items, by_name);
    for (size_t i = 1; i < list->n; i++)
        if (!by_name(&list->items[i - 1], &list->items[i]))
            return em_fail_at(err, EM_INPUT, list->items[i].file, 0, -1, "tensor %s is also in %s",
                              list->items[i].name, list->items[i - 1].file);
    return true;
}

const em_tensor *em_tensors_find(const em_tensors *sorted, const char *name) {
    em_tensor key = {.name = name};
    return sorted->n ? bsearch(&key, sorted->items, sorted->n, sizeof key, by_name) : NULL;
}

char *em_shape_text(int n_dims, const int64_t *shape, char *out, size_t n) {
    size_t used = (size_t)snprintf(out, n, "[");
    for (int d = 0; d < n_dims && used < n; d++)
        used += (size_t)snprintf(out + used, n - used, "%s%lld", d ? ", " : "",
                                 (long long)shape[d]);
    if (used < n) snprintf(out + used, n - used, "]");
    return out;
}
