/* GGUF's names of tensors and architectures, and how each one's rows are stored. */
#ifndef EM_MODEL_GGUF_NAMES_H
#define EM_MODEL_GGUF_NAMES_H

#include "model/families/family.h"
#include "model/tensors.h"

/* One general.architecture of llama.cpp. */
typedef struct em_gguf_arch {
    const char *name, *model_type; /* model_type: of our family */
    bool pairs;                    /* q's and k's rows are EM_LAYOUT_PAIRS */
    bool thirds;                   /* the fused q, k, v are EM_LAYOUT_THIRDS */
    bool plus_one;                 /* norms hold 1 + w */
} em_gguf_arch;

/* The architecture of that name (n bytes); NULL: not supported. */
const em_gguf_arch *em_gguf_arch_of(const char *name, size_t n);
/* "gemma2, gemma3, …" in out, which has n bytes; returns out. */
char *em_gguf_arch_list(char *out, size_t n);

/* What the tensor is called in a checkpoint of the family, in out, which has n bytes; and, in *t,
 * its layout and shape as the family stores it. heads, kv_heads: of the model. false: the family
 * has no such tensor, and *t is as it was. */
bool em_gguf_tensor_name(const em_gguf_arch *arch, const em_family *f, int heads, int kv_heads,
                         em_tensor *t, char *out, size_t n);

#endif
