/* The key of a side in the lines of --tokens: MODEL|MASK|LABELS|ALPHA|DEPTH. A part may hold any
 * character: its | is written \| and its \ is written \\. */
#ifndef EM_REPORTS_SIDE_KEY_H
#define EM_REPORTS_SIDE_KEY_H

#include "common/buffer.h"

/* Appends one part, without the bar that stands before or behind it. */
void em_side_key_put(em_buffer *out, const char *part);
/* Appends the first part of key as it was given to em_side_key_put, and returns what is behind its
 * bar; "" where it is the last. A \ before another character, as old files have it, is itself. */
const char *em_side_key_take(const char *key, em_buffer *out);

#endif
