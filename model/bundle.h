/* A model as it lies on disk, whatever the format: named tensors in mapped memory and the
 * small files that go with them. Formats (sniffed from the first bytes):
 *   directory     config.json, model.safetensors or its shards with an index, tokenizer files
 *   .bin          ours: safetensors whose U8 tensors "file:NAME" hold those small files
 *   safetensors   a bare file: looked at as .bin; without a config in it, refused with a hint
 *   llama2.c      the legacy .bin: seen as a Llama with Hugging Face tensor names, a config.json
 *                 made from its header (with "rope_interleaved": true), no tokenizer
 * A path that does not exist and looks like ORG/NAME is looked up in the local Hugging Face
 * cache ($HF_HUB_CACHE, $HF_HOME/hub, ~/.cache/huggingface/hub: models--ORG--NAME/snapshots/
 * (refs/main, else the newest)); not there: EM_INPUT with the download command. */
#ifndef EM_MODEL_BUNDLE_H
#define EM_MODEL_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/dtype.h"
#include "common/error.h"

#define EM_MAX_DIMS 8

typedef struct em_tensor {
    const char *name;
    const char *type; /* as the file spells it: "F32", "BF16", "I64", … */
    int n_dims;
    int64_t shape[EM_MAX_DIMS];
    const void *data; /* mapped, little-endian; not necessarily aligned */
    size_t bytes;
    const char *file; /* for errors */
} em_tensor;

typedef struct em_bundle em_bundle;

em_bundle *em_bundle_open(const char *path, em_error *err);
void em_bundle_close(em_bundle *b);

const char *em_bundle_path(const em_bundle *b);   /* resolved */
const char *em_bundle_name(const em_bundle *b);   /* stem of the file or directory */
const char *em_bundle_format(const em_bundle *b); /* "directory", "bin", "llama2.c" */

/* config.json, tokenizer.json, tokenizer.model, tokenizer_config.json, generation_config.json.
 * false: there is none. *data is owned by the bundle. */
bool em_bundle_file(const em_bundle *b, const char *name, const void **data, size_t *size);

int64_t em_bundle_tensors(const em_bundle *b);
const em_tensor *em_bundle_tensor_at(const em_bundle *b, int64_t i);     /* by name, ascending */
const em_tensor *em_bundle_tensor(const em_bundle *b, const char *name); /* NULL: none */

/* Tells the kernel that the mapped bytes will be, or are no longer, needed. */
void em_bundle_will_need(const em_bundle *b, const em_tensor *t);
void em_bundle_done_with(const em_bundle *b, const em_tensor *t);

#endif
