/* From config.json to a resolved config. */
#ifndef EM_MODEL_CONFIG_READ_H
#define EM_MODEL_CONFIG_READ_H

#include <jansson.h>
#include "model/config/config.h"

/* Reads the JSON in data. source names config.json in errors. Errors (EM_INPUT) name the key, or
 * what is not supported: a family, a quantisation, experts. After an error *out is zeroed; else it
 * is to be freed with em_config_free. */
bool em_config_read(const char *source, const void *data, size_t size, em_config *out,
                    em_error *err);

/* eos_token_id of a config or generation_config: the first of a list, the others named in the note,
 * which is left alone where there are none. *eos -1: none. Errors (EM_INPUT): it is no token id. */
bool em_config_eos(const json_t *root, const char *source, int32_t *eos, char note[160],
                   em_error *err);

#endif
