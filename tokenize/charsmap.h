/* The normalization rules inside a SentencePiece model. The library follows them without looking
 * whether they stay inside their own bytes, so a damaged or hostile file must be refused before. */
#ifndef EM_TOKENIZE_CHARSMAP_H
#define EM_TOKENIZE_CHARSMAP_H

#include <stdbool.h>
#include <stddef.h>
#include "common/error.h"

/* model: a serialized ModelProto. True where every precompiled_charsmap in it is safe to follow.
 * EM_INPUT where one is not, or where the fields cannot all be looked at. */
bool em_charsmap_check(const void *model, size_t size, em_error *err);

#endif
