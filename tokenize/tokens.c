/* Tokens as a growing list, and pieces for people. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "tokenize/engine.h"

void em_tokens_free(em_tokens *t) {
    free(t->ids);
    free(t->bytes);
    *t = (em_tokens){0};
}

bool em_tokens_push(em_tokens *t, int32_t id, uint32_t bytes, em_error *err) {
    bool room = (t->n < t->ids_capacity ||
                 em_grow(&t->ids, &t->ids_capacity, t->n + 1, sizeof *t->ids, "tokens", err)) &&
                (t->n < t->bytes_capacity ||
                 em_grow(&t->bytes, &t->bytes_capacity, t->n + 1, sizeof *t->bytes, "tokens", err));
    if (!room) return false;
    t->ids[t->n] = id;
    t->bytes[t->n++] = bytes;
    return true;
}

size_t em_piece_text(const char *piece, size_t length, char *out, size_t n) {
    size_t written = 0;
    unsigned byte;
    char end;
    if (length == 6 && sscanf(piece, "<0x%2X%c", &byte, &end) == 2 && end == '>') {
        em_text_byte(out, n, &written, (char)byte);
        return written;
    }
    for (size_t i = 0; i < length; i++) {
        bool space = length - i >= 3 && !memcmp(piece + i, "\xe2\x96\x81", 3);
        em_text_byte(out, n, &written, space ? ' ' : piece[i]);
        i += space ? 2 : 0;
    }
    return written;
}
