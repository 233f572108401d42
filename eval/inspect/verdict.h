/* Verdicts of a check, and the list items of its report, wrapped to 80 columns. */
#ifndef EM_EVAL_VERDICT_H
#define EM_EVAL_VERDICT_H

#include "common/buffer.h"

typedef enum em_verdict {
    EM_PASSED,
    EM_FAILED,
    EM_NOT_TOLD /* the data do not say, so neither */
} em_verdict;

typedef struct em_verdicts {
    em_buffer lines;
    int n, failed;
} em_verdicts;

/* Adds "- **verdict** what: the text". Here and below the program ends where memory is out. */
void em_verdict_add(em_verdicts *v, em_verdict verdict, const char *what, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* A section with all of them and a line that counts the failed ones; frees v. Returns how many
 * failed. */
int em_verdicts_print(em_verdicts *v, em_buffer *out);

/* "- " and the text, wrapped at spaces. */
void em_item(em_buffer *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
