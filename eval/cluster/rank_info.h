/* What a rank shows the others before they share a run: whether it can take part, and with what. */
#ifndef EM_EVAL_RANK_INFO_H
#define EM_EVAL_RANK_INFO_H

#include "common/buffer.h"
#include "eval/score/plan.h"

typedef struct em_rank_info {
    em_error err; /* why it cannot take part; EM_OK: it can */
    char host[64];
    char version[24]; /* of evalmask */
    char device[96];  /* "cpu, avx512_core_amx" */
    char models[17];  /* hash: see em_rank_info_models */
    int64_t capacity; /* padded tokens that its networks take at once */
    int64_t job;      /* and those that are worth a message */
} em_rank_info;

/* What this rank has opened; host, version and error are the caller's to fill. */
void em_rank_info_fill(em_rank_info *info, const em_setup *setup, const em_plan *plan,
                       const em_backend *backend, em_network *const *networks);

/* 16 hex digits over names, types, shapes and first bytes of all models' and adapters' tensors, and
 * their configs: whether two nodes have the same files is known before the weights are read. */
void em_rank_info_models(const em_setup *setup, char out[17]);

/* Whether they go together: one version, one set of models and, unless mixed, one device. The first
 * info's capacity and job become the least of all; devices gets the different ones, where there are
 * several. Errors: a rank's own; EM_MACHINE, naming the rank, its host, and what is different. */
bool em_rank_infos_check(em_rank_info *infos, int n, bool mixed, em_buffer *devices, em_error *err);

#endif
