#include "model/adapter_files.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/bundle_parts.h"
#include "model/safetensors.h"

static bool open_in(const em_adapter *a, const char *name, em_mapping *m, em_error *err) {
    char file[4352];
    snprintf(file, sizeof file, "%s/%s", a->path, name);
    return em_mapping_open(m, file, err);
}

static bool has_file(const em_adapter *a, const char *name) {
    char file[4352];
    snprintf(file, sizeof file, "%s/%s", a->path, name);
    return access(file, F_OK) == 0;
}

static bool check_files(const em_adapter *a, em_error *err) {
    if (!has_file(a, "adapter_config.json"))
        return em_fail_at(err, EM_INPUT, a->path, 0, -1,
                          "holds no adapter_config.json: an adapter is a directory as PEFT's "
                          "save_pretrained writes it");
    if (has_file(a, "adapter_model.safetensors")) return true;
    return em_fail_at(err, EM_INPUT, a->path, 0, -1,
                      has_file(a, "adapter_model.bin")
                          ? "holds its weights as a pickle (adapter_model.bin), which could run "
                            "code and is not read; save it as safetensors"
                          : "holds no adapter_model.safetensors");
}

static bool is_finite(const em_tensor *t, int64_t i) {
    uint16_t half;
    float x;
    if (!strcmp(t->type, "F32")) return memcpy(&x, (const char *)t->data + 4 * i, 4), isfinite(x);
    memcpy(&half, (const char *)t->data + 2 * i, 2);
    uint16_t exponent = !strcmp(t->type, "F16") ? 0x7c00 : 0x7f80;
    return (half & exponent) != exponent;
}

static bool check_values(const em_tensor *t, em_error *err) {
    size_t size = !strcmp(t->type, "F32") ? 4 : 2;
    if (strcmp(t->type, "F32") && strcmp(t->type, "F16") && strcmp(t->type, "BF16"))
        return em_fail_at(err, EM_INPUT, t->file, 0, -1,
                          "tensor %s is %s; F32, F16 and BF16 are read", t->name, t->type);
    for (int64_t i = 0; i < (int64_t)(t->bytes / size); i++)
        if (!is_finite(t, i))
            return em_fail_at(err, EM_INPUT, t->file, 0, -1,
                              "tensor %s: element %lld is not finite; the adapter is broken",
                              t->name, (long long)i);
    return true;
}

bool em_adapter_open(em_adapter *a, const char *path, em_error *err) {
    bool directory;
    if (!em_bundle_resolve(path, &a->path, &a->name, &directory, err)) return false;
    if (!directory)
        return em_fail_at(
            err, EM_INPUT, path, 0, -1,
            "is no directory: an adapter is one, as PEFT's save_pretrained writes it");
    if (!check_files(a, err) || !open_in(a, "adapter_config.json", &a->config_file, err) ||
        !open_in(a, "adapter_model.safetensors", &a->weights_file, err) ||
        !em_bundle_refuse(&a->weights_file, err) ||
        !em_adapter_config_read(a->config_file.path, a->config_file.data, a->config_file.size,
                                &a->config, err) ||
        !em_safetensors_read(a->weights_file.data, a->weights_file.size, a->weights_file.path,
                             &a->tensors, err) ||
        !em_tensors_sort(&a->tensors, err))
        return false;
    for (size_t i = 0; i < a->tensors.n; i++)
        if (!check_values(&a->tensors.items[i], err)) return false;
    return true;
}

void em_adapter_close(em_adapter *a) {
    em_adapter_config_free(&a->config);
    em_tensors_free(&a->tensors);
    em_mapping_close(&a->config_file);
    em_mapping_close(&a->weights_file);
    free(a->path);
    free(a->name);
}
