/* --tokens FILE: one line a prediction, in the order of the stream (design §8):
 *   {"row":0,"pos":5,"doc":0,"token":17,"text":" the","label":4,"label_text":"
 * cat","nll":{"base|doc|unshifted||":3.21, …}} A key is MODEL|MASK|LABELS|ALPHA|DEPTH, empty where
 * there is none; where several positions are measured, MASK is mask@positions. Results that score
 * the same label at the same position share a line. Bytes of a text that are no UTF-8 by
 * themselves, parts of a character, become U+FFFD. */
#ifndef EM_EVAL_TOKENS_FILE_H
#define EM_EVAL_TOKENS_FILE_H

#include "common/buffer.h"
#include "eval/score/passes.h"
#include "tokenize/tokenizer.h"

typedef struct em_tokens_source {
    const em_plan *plan;
    const em_tokenizer *tokenizer;
    const char (*names)[64]; /* of the models */
    const char *data_set;    /* "": none is named */
    int32_t seq_len;         /* named in every line where there are several row lengths, else 0 */
} em_tokens_source;

/* Appends the lines of row `row` of the passes, which have been run; ends the program where memory
 * is out. */
void em_tokens_row(em_buffer *lines, const em_tokens_source *source, const em_passes *passes,
                   const em_score_buffers *scores, int row);

#endif
