/* A row's tokens in reports: how many are shown, and their text. */
#ifndef EM_EVAL_QUOTE_H
#define EM_EVAL_QUOTE_H

#include <stddef.h>
#include "common/buffer.h"

enum {
    EM_WHOLE_ROW = 48, /* rows of up to so many tokens are shown whole */
    EM_FIRST_TOKENS = 4,
    EM_LAST_TOKENS = 3, /* of a segment */
    EM_FIRST_SEGMENTS = 6,
    EM_LAST_SEGMENTS = 4 /* of a row */
};

/* "text" in quotes, with what cannot be seen escaped, and cut after 40 characters. Ends the program
 * where memory is out. */
void em_quote(em_buffer *out, const char *text, size_t n);

#endif
