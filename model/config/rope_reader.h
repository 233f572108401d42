/* What a config says of a rotary embedding. */
#ifndef EM_MODEL_CONFIG_ROPE_READER_H
#define EM_MODEL_CONFIG_ROPE_READER_H

#include "model/config/config_reader.h"
#include "model/config/rope.h"

/* Reads rope_parameters or rope_scaling, `object` (NULL: it is left out), over the defaults that
 * are in *out: theta, and the share of a head. name: the object's own key, for errors.
 * max_positions: the length that YaRN and Llama 3 scale from where they name none. Errors
 * (EM_INPUT): a type that is not supported, a key that the type needs and that is missing or out of
 * range. */
bool em_read_rope(const em_config_reader *r, const json_t *object, const char *name,
                  int64_t max_positions, em_rope_config *out);

#endif
