#define XXH_STATIC_LINKING_ONLY /* the members of XXH3_state_t */
#include "common/state.h"

#include <stdlib.h>
#include <string.h>

#include "common/size.h"

bool em_state_bad(em_state *s) {
    s->failed = true;
    return em_fail(s->err, EM_INPUT, "the saved state is damaged");
}

bool em_state_bytes(em_state *s, void *data, size_t n) {
    if (s->failed) return false;
    if (s->into) {
        s->failed = !em_buffer_append(s->into, data, n, s->err);
        return !s->failed;
    }
    if (n > s->left) return em_state_bad(s);
    if (n) memcpy(data, s->from, n);
    s->from += n;
    s->left -= n;
    return true;
}

bool em_state_flag(em_state *s, bool *flag) {
    unsigned char byte = s->into ? *flag : 0;
    if (!EM_STATE(s, byte)) return false;
    if (byte > 1) return em_state_bad(s);
    *flag = byte;
    return true;
}

bool em_state_within(em_state *s, int64_t *value, int64_t least, int64_t most) {
    int64_t v = s->into ? *value : 0;
    if (!EM_STATE(s, v)) return false;
    if (v < least || v > most) return em_state_bad(s);
    *value = v;
    return true;
}

bool em_state_count(em_state *s, int64_t *value) {
    return em_state_within(s, value, 0, (int64_t)1 << 48);
}

bool em_state_length(em_state *s, size_t *n, size_t item) {
    size_t length = s->into ? *n : 0;
    if (!EM_STATE(s, length)) return false;
    if (!s->into && length > s->left / item) return em_state_bad(s);
    *n = length;
    return true;
}

bool em_state_list(em_state *s, void *list, size_t *n, size_t *capacity, size_t size,
                   const char *what) {
    size_t length = *n;
    if (!em_state_length(s, &length, size)) return false;
    if (!em_grow(list, capacity, length, size, what, s->err)) return s->failed = true, false;
    *n = length;
    return true;
}

bool em_state_string(em_state *s, char **text) {
    size_t n = s->into ? strlen(*text) : 0;
    if (!em_state_length(s, &n, 1)) return false;
    if (s->into) return em_state_bytes(s, *text, n);
    char *copy = em_alloc(n + 1, 1, "a string", s->err);
    if (!copy) return s->failed = true, false;
    em_state_bytes(s, copy, n);
    free(*text);
    *text = copy;
    return true;
}

/* Its counters are within what the algorithm lets them be. */
static bool hash_sound(const XXH3_state_t *h) {
    return h->bufferedSize <= sizeof h->buffer && h->bufferedSize <= h->totalLen &&
           h->nbStripesSoFar <= h->nbStripesPerBlock;
}

/* All that its input moved; the rest is as a reset leaves it. */
bool em_state_hash(em_state *s, XXH3_state_t *h) {
    unsigned version = XXH_versionNumber();
    XXH3_state_t copy = *h;
    if (!EM_STATE(s, version) || !EM_STATE(s, copy.acc) || !EM_STATE(s, copy.buffer) ||
        !EM_STATE(s, copy.bufferedSize) || !EM_STATE(s, copy.nbStripesSoFar) ||
        !EM_STATE(s, copy.totalLen))
        return false;
    if (version != XXH_versionNumber() || !hash_sound(&copy)) return em_state_bad(s);
    *h = copy;
    return true;
}

bool em_state_end(em_state *s) { return !s->failed && (s->left == 0 || em_state_bad(s)); }
