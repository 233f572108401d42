/* A mask drawn small, for people: at most 32 x 32 cells in 80 columns. */
#ifndef EM_EVAL_PICTURE_H
#define EM_EVAL_PICTURE_H

#include <stdbool.h>
#include <stdint.h>
#include "common/buffer.h"

typedef struct em_picture {
    const int32_t *lo, *hi; /* [inputs], already bounded by whatever windows are to be shown */
    int32_t inputs;         /* at least 1 */
    bool labels;            /* mark the labels of positions [from, to), at i + offset */
    int offset;
    int32_t from, to;
} em_picture;

/* Markdown: a line that says how to read it, and a code block. A cell of several tokens is filled
 * if any of its queries sees any of its keys. Ends the program where memory is out. */
void em_picture_draw(const em_picture *p, em_buffer *out);

#endif
