/* Stands in for tokenize/ at link time: a token for every four bytes begun, its id their first
 * byte. A text that begins with "slow" takes a while, so that workers finish out of order; one that
 * begins with "fail" cannot be tokenized. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/size.h"
#include "tokenize/tokenizer.h"

struct em_tokenizer_scratch {
    int unused;
};

em_tokenizer_scratch *em_tokenizer_scratch_new(const em_tokenizer *t, em_error *err) {
    return em_alloc(1, sizeof(em_tokenizer_scratch), "scratch", err);
}

void em_tokenizer_scratch_free(em_tokenizer_scratch *s) { free(s); }

void em_tokens_free(em_tokens *t) {
    free(t->ids);
    free(t->bytes);
    *t = (em_tokens){0};
}

bool em_tokens_push(em_tokens *t, int32_t id, uint32_t bytes, em_error *err) {
    if (!em_grow(&t->ids, &t->ids_capacity, t->n + 1, sizeof *t->ids, "ids", err) ||
        !em_grow(&t->bytes, &t->bytes_capacity, t->n + 1, sizeof *t->bytes, "bytes", err))
        return false;
    t->ids[t->n] = id;
    t->bytes[t->n++] = bytes;
    return true;
}

bool em_tokenize(const em_tokenizer *t, em_tokenizer_scratch *s, const char *text, size_t length,
                 em_tokens *out, em_error *err) {
    if (length >= 4 && !memcmp(text, "slow", 4)) usleep(2000);
    if (length >= 4 && !memcmp(text, "fail", 4))
        return em_fail(err, EM_INPUT, "cannot be tokenized");
    for (size_t i = 0; i < length; i += 4) {
        uint32_t bytes = (uint32_t)(length - i < 4 ? length - i : 4);
        if (!em_tokens_push(out, (unsigned char)text[i], bytes, err)) return false;
    }
    return true;
}
