/* All families, kin by kin. */
#include <stdio.h>
#include <string.h>

#include "model/families/kin.h"

static const em_family *const kins[] = {em_exaone_kin, em_falcon_kin, em_gemma_kin, em_glm_kin,
                                        em_gpt2_kin,   em_llama_kin,  em_neox_kin,  em_olmo_kin,
                                        em_phi_kin,    em_qwen_kin};

#define FOR_EACH_FAMILY(f) \
    for (size_t kin = 0; kin < sizeof kins / sizeof *kins; kin++) \
        for (const em_family *f = kins[kin]; f->model_type; f++)

const em_family *em_family_find(const char *model_type) {
    FOR_EACH_FAMILY(f) if (!strcmp(f->model_type, model_type)) return f;
    return NULL;
}

/* The first family by name after `last`, or of all; NULL: there is none. */
static const em_family *next_by_name(const em_family *last) {
    const em_family *next = NULL;
    FOR_EACH_FAMILY(f)
    if ((!last || strcmp(f->model_type, last->model_type) > 0) &&
        (!next || strcmp(f->model_type, next->model_type) < 0))
        next = f;
    return next;
}

const em_family *em_family_at(size_t i) {
    const em_family *f = next_by_name(NULL);
    while (f && i-- > 0) f = next_by_name(f);
    return f;
}

char *em_family_list(char *out, size_t n) {
    size_t used = 0;
    for (const em_family *f = next_by_name(NULL); f && used < n; f = next_by_name(f))
        used += (size_t)snprintf(out + used, n - used, "%s%s", used ? ", " : "", f->model_type);
    return out;
}
