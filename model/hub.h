/* Models that Hugging Face's tools have downloaded already: $HF_HUB_CACHE, $HF_HOME/hub or
 * ~/.cache/huggingface/hub. */
#ifndef EM_MODEL_HUB_H
#define EM_MODEL_HUB_H

#include <stdbool.h>
#include "common/error.h"

/* The path looks like ORG/NAME. */
bool em_hub_is_name(const char *path);
/* The directory of ORG/NAME's snapshot (that of refs/main, else the newest), to be freed. NULL with
 * err (EM_INPUT): it is not there, with the command that downloads it. */
char *em_hub_snapshot(const char *repository, em_error *err);

#endif
