/* A model as it lies on disk, whatever the format: named tensors in mapped memory and the
 * small files that go with them. Formats (sniffed from the first bytes):
 *   directory     config.json, model.safetensors or its shards with an index, tokenizer files
 *   .bin          ours: safetensors whose U8 tensors "file:NAME" hold those small files
 *   safetensors   a bare file: looked at as .bin; without a config in it, refused with a hint
 *   GGUF          versions 2 and 3, shards by the first one: seen as a checkpoint of its family,
 * with a config.json and the tokenizer's files made from its keys; tensors may be in blocks
 *   llama2.c      the legacy .bin: seen as a Llama with Hugging Face tensor names, a config.json
 *                 made from its header (with "rope_interleaved": true), no tokenizer
 * A path that does not exist and looks like ORG/NAME is looked up in the local Hugging Face
 * cache ($HF_HUB_CACHE, $HF_HOME/hub, ~/.cache/huggingface/hub: models--ORG--NAME/snapshots/
 * (refs/main, else the newest)); not there: EM_INPUT with the download command. */
#ifndef EM_MODEL_BUNDLE_H
#define EM_MODEL_BUNDLE_H

#include "common/notes.h"
#include "model/tensors.h"

typedef struct em_bundle em_bundle;

/* Maps the files at path and reads their lists of tensors, no weights. NULL with err: EM_INPUT
 * where there is no model that can be read (the text says what it is instead), EM_MACHINE. Release:
 * em_bundle_close. */
em_bundle *em_bundle_open(const char *path, em_error *err);
/* Unmaps and frees everything that the bundle gave out; NULL may be closed. */
void em_bundle_close(em_bundle *b);

/* Where it lies, resolved; the bundle's. */
const char *em_bundle_path(const em_bundle *b);
/* The stem of the file or directory; the bundle's. */
const char *em_bundle_name(const em_bundle *b);
/* "directory", "bin", "gguf" or "llama2.c". */
const char *em_bundle_format(const em_bundle *b);

/* The bytes of a small file: config.json, tokenizer.json, tokenizer.model, tokenizer_config.json,
 * generation_config.json. false: there is none, or it is another name. *data is the bundle's. */
bool em_bundle_file(const em_bundle *b, const char *name, const void **data, size_t *size);

/* What the files say against each other, for the user; the bundle's. */
const em_notes *em_bundle_notes(const em_bundle *b);

/* How many tensors there are. */
int64_t em_bundle_tensors(const em_bundle *b);
/* Tensor i of them by name, ascending; they lie one behind another and are the bundle's. */
const em_tensor *em_bundle_tensor_at(const em_bundle *b, int64_t i);
/* The tensor of that name; NULL: none. */
const em_tensor *em_bundle_tensor(const em_bundle *b, const char *name);

/* Tells the operating system that the tensor's mapped bytes will be needed: advice, nothing is
 * awaited. */
void em_bundle_will_need(const em_bundle *b, const em_tensor *t);
/* That they are needed no longer; whole pages alone, so that neighbours stay. */
void em_bundle_done_with(const em_bundle *b, const em_tensor *t);

#endif
