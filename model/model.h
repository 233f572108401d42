/* A network: family, dimensions and where each weight lies. Everything is checked on opening
 * (every tensor present, shapes against config), nothing is read from the weights yet. */
#ifndef EM_MODEL_MODEL_H
#define EM_MODEL_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"
#include "kernels/backend.h"
#include "model/bundle.h"

typedef struct em_model em_model;

typedef struct em_model_spec {
    char family[32]; /* config.json's model_type: "llama", "gpt_neox", "gemma3_text" … */
    int layers, hidden, vocab, heads, kv_heads, head_dim, ffn; /* of the widest layer */
    int64_t max_positions;  /* config's limit (max_position_embeddings); 0 where it names none */
    bool learned_positions; /* then max_positions is a hard limit */
    bool length_limited;    /* as it is here: longer rows would meet another network (longrope) */
    em_dtype weight_dtype;  /* of the layers' matrices as they are read */
    char weight_types[128]; /* "Q5_0 78 %, Q8_0 21 %", by share of the weights, where tensors are in
                               blocks; else "" */
    int64_t parameters;     /* tied ones once */
    bool tied;
    int32_t eos;         /* -1: none. config.json's, else generation_config.json's, else the default
                            of the family's class in transformers; of a list, the first entry */
    char eos_note[160];  /* names the other entries of such a list, else "" */
    char eos_origin[48]; /* "config.json", "generation_config.json", "the family's default", "" */
} em_model_spec;

/* Opens the model at path (em_bundle_open), picks the family by config.json's model_type and checks
 * that every tensor is there, in its shape, and none is left over. NULL with err: EM_INPUT naming
 * the file with the key or the tensor, EM_MACHINE. Release: em_model_close. */
em_model *em_model_open(const char *path, em_error *err);
/* Frees the model with all that it gave out, and its bundle where it opened it; NULL may be closed.
 */
void em_model_close(em_model *m);
/* Dimensions and the like; the model's. */
const em_model_spec *em_model_spec_of(const em_model *m);
/* The files that it lies in; of a model with an adapter (model/compose.h): the base's. */
const em_bundle *em_model_bundle(const em_model *m);
/* The bundle's name, or that of the adapter that makes the model another one. */
const char *em_model_name(const em_model *m);
/* The bundle's path, or the adapter's. */
const char *em_model_path(const em_model *m);

/* What the model's files say against each other and what of them is not used, for the user; the
 * model's own. */
const em_notes *em_model_notes(const em_model *m);

/* What layer 0 … layers - 1 computes; the model's. */
const em_layer_spec *em_model_layer_spec(const em_model *m, int layer);
/* The embedding as stored; the model's. */
const em_embedding *em_model_embedding(const em_model *m);
/* The head as stored, final norm included; the model's. */
const em_head_spec *em_model_head(const em_model *m);
/* A layer's weights as stored: views of mapped memory; the model's. */
const em_layer_weights *em_model_layer_weights(const em_model *m, int layer);

/* Tells the operating system that a layer's tensors (or, layer = -1, the embedding; layer = layers,
 * final norm and head) will be read: advice, nothing is awaited. */
void em_model_will_need(const em_model *m, int layer);
/* That they have been: their pages may go. */
void em_model_done_with(const em_model *m, int layer);

/* Fingerprint (design §4): name (ours), shape, dtype and bytes of every tensor and the config
 * fields that are used; of a composed model, its sources' fingerprints and what makes it another.
 * Feed each part once, in the order -1, 0 … layers (as they pass); then the 16 hex digits are
 * there. The format does not matter: a directory, its shards and its .bin agree. false: it is not
 * that part's turn, it was hashed already. Any thread may call it. */
bool em_model_hash_part(em_model *m, int layer);
/* The 16 hex digits, or "" until all parts have passed; the model's. */
const char *em_model_fingerprint(const em_model *m);

/* The tokenizer that lies with the model: tokenizer.json before tokenizer.model. Returns its file
 * name and bytes, and tokenizer_config.json's (NULL if none); false: the model has none. */
bool em_model_tokenizer(const em_model *m, const char **name, const void **data, size_t *size,
                        const void **config, size_t *config_size);

/* Whether em_convert writes other bytes than are stored: tensors in blocks or in another order are
 * unpacked, those that an adapter changes are made. */
bool em_model_is_remade(const em_model *m);

/* Writes the model as one .bin: 64-byte aligned tensors, config and tokenizer files inside, renamed
 * when whole. Only what evaluation reads is copied. Tensors that an adapter changes are written as
 * they are computed with, in f32, each made on so many threads when its turn comes; EM_INPUT where
 * the base has no tensor for a change (a bias that it lacks, a head or an embedding that are tied).
 * extra_tokenizer: path of a tokenizer file, or of a directory with one, that goes in instead of
 * the model's own (llama2.c has none), or NULL. An existing file is replaced, also the model's own.
 */
bool em_convert(const em_model *m, const char *extra_tokenizer, int threads, const char *out_path,
                em_error *err);

#endif
