#include "eval/cluster/rank_info.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/hash.h"
#include "eval/score/forward_batch.h"
#include "model/compose.h"

/* ---- what a rank has ---- */

enum { FIRST_BYTES = 4096 };

static void hash_tensor(XXH3_state_t *state, const em_tensor *t) {
    size_t first = t->bytes < FIRST_BYTES ? t->bytes : FIRST_BYTES;
    XXH3_128bits_update(state, t->name, strlen(t->name) + 1);
    XXH3_128bits_update(state, t->type, strlen(t->type) + 1);
    XXH3_128bits_update(state, t->shape, (size_t)t->n_dims * sizeof *t->shape);
    XXH3_128bits_update(state, t->data, first);
}

static void hash_bundle(XXH3_state_t *state, const em_bundle *b) {
    const void *config;
    size_t size;
    if (em_bundle_file(b, "config.json", &config, &size)) XXH3_128bits_update(state, config, size);
    for (int64_t i = 0; i < em_bundle_tensors(b); i++) {
        hash_tensor(state, em_bundle_tensor_at(b, i));
        em_bundle_done_with(b, em_bundle_tensor_at(b, i));
    }
}

static void hash_adapter(XXH3_state_t *state, const em_model *m) {
    em_adapter_files a;
    if (!em_model_adapter(m, &a)) return;
    XXH3_128bits_update(state, a.config, a.config_bytes);
    for (size_t i = 0; i < a.n_tensors; i++) hash_tensor(state, &a.tensors[i]);
}

void em_rank_info_models(const em_setup *setup, char out[17]) {
    XXH3_state_t *state = XXH3_createState();
    *out = 0;
    if (!state) return;
    XXH3_128bits_reset(state);
    for (int i = 0; i < setup->n_models; i++) {
        hash_bundle(state, em_model_bundle(setup->models[i]));
        hash_adapter(state, setup->models[i]);
    }
    em_hash_hex(XXH3_128bits_digest(state), out);
    XXH3_freeState(state);
}

/* Where packed weights stay, small jobs cost no more and spread better over the ranks; so many
 * tokens for each thread, or for a device, still fill it. */
enum { JOB_TOKENS_PER_THREAD = 16 * EM_TILE, JOB_TOKENS_OF_A_DEVICE = 128 * EM_TILE };

static int64_t job_tokens(const em_setup *setup, const em_plan *plan, const em_backend *backend,
                          em_network *const *networks, int64_t capacity) {
    int64_t job = backend->device_memory ? JOB_TOKENS_OF_A_DEVICE
                                         : (int64_t)setup->threads * JOB_TOKENS_PER_THREAD;
    int64_t row = em_network_padded(setup->row_tokens);
    for (int i = 0; i < plan->n_models; i++)
        if (!em_network_keeps(networks[i])) return capacity;
    if (job < row) job = row;
    return job < capacity ? job : capacity;
}

void em_rank_info_fill(em_rank_info *info, const em_setup *setup, const em_plan *plan,
                       const em_backend *backend, em_network *const *networks) {
    snprintf(info->device, sizeof info->device, "%s, %s", backend->name, backend->isa);
    em_rank_info_models(setup, info->models);
    info->capacity = em_forward_batch_capacity(plan, networks);
    info->job = job_tokens(setup, plan, backend, networks, info->capacity);
}

/* ---- whether they go together ---- */

static bool rank_failed(const em_rank_info *info, int rank, em_error *err) {
    *err = info->err;
    size_t n = strlen(err->text);
    if (rank > 0)
        snprintf(err->text + n, sizeof err->text - n, " (rank %d on %s)", rank, info->host);
    return false;
}

static bool differs(const em_rank_info *infos, int rank, const char *what, const char *here,
                    const char *there, em_error *err) {
    return em_fail(err, EM_MACHINE, "rank %d on %s %s %s, rank 0 on %s %s", rank, infos[rank].host,
                   what, here, infos[0].host, there);
}

static bool check_info(const em_rank_info *infos, int rank, bool mixed, em_error *err) {
    const em_rank_info *a = &infos[0], *b = &infos[rank];
    char there[240];
    if (b->err.status != EM_OK) return rank_failed(b, rank, err);
    if (strcmp(a->version, b->version))
        return differs(infos, rank, "is evalmask", b->version, a->version, err);
    if (strcmp(a->models, b->models))
        return em_fail(err, EM_MACHINE,
                       "rank %d on %s has other model files than rank 0 on %s: configs, tensors or "
                       "their first bytes differ; "
                       "give all ranks the same",
                       rank, b->host, a->host);
    if (mixed || !strcmp(a->device, b->device)) return true;
    snprintf(there, sizeof there,
             "on %s: last digits would depend on which rank a row meets; take like nodes, or say "
             "--mixed",
             a->device);
    return differs(infos, rank, "computes on", b->device, there, err);
}

static void list_devices(const em_rank_info *infos, int n, em_buffer *devices) {
    bool several = false;
    for (int i = 1; i < n; i++) several = several || strcmp(infos[i].device, infos[0].device);
    for (int i = 0; several && i < n; i++) {
        bool listed = false;
        for (int k = 0; k < i; k++) listed = listed || !strcmp(infos[i].device, infos[k].device);
        if (!listed)
            em_buffer_printf(devices, "%s%s", devices->length ? "; " : "", infos[i].device);
    }
}

bool em_rank_infos_check(em_rank_info *infos, int n, bool mixed, em_buffer *devices,
                         em_error *err) {
    for (int i = 0; i < n; i++)
        if (!check_info(infos, i, mixed, err)) return false;
    for (int i = 1; i < n; i++) {
        if (infos[i].capacity < infos[0].capacity) infos[0].capacity = infos[i].capacity;
        if (infos[i].job < infos[0].job) infos[0].job = infos[i].job;
    }
    list_devices(infos, n, devices);
    return true;
}
