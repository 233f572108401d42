/* The state of a computation as bytes and back: a type has one function that names its fields, and
 * the same calls write them to a buffer or read them again, bit for bit. For the same build on the
 * same machine: bytes are in the machine's own order. */
#ifndef EM_COMMON_STATE_H
#define EM_COMMON_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>
#include "common/buffer.h"
#include "common/error.h"

typedef struct em_state {
    em_buffer *into;           /* writing: appended to; NULL: reading */
    const unsigned char *from; /* reading: `left` bytes, the caller's */
    size_t left;
    em_error *err;
    bool failed; /* stays: all that follows fails too, and leaves its object alone */
} em_state;

/* All return false once something failed: EM_MACHINE without memory, EM_INPUT where the bytes end
 * early or hold what no state has. */
bool em_state_bytes(em_state *s, void *data, size_t n);
#define EM_STATE(s, scalar) em_state_bytes(s, &(scalar), sizeof(scalar))
/* A bool, as 0 or 1; anything else is a damaged state. */
bool em_state_flag(em_state *s, bool *flag);
/* An index or a count in [least, most]. */
bool em_state_within(em_state *s, int64_t *value, int64_t least, int64_t most);
/* A count in [0, 2^48]: more than any row or run has, and few enough that thousands of them add up.
 */
bool em_state_count(em_state *s, int64_t *value);
/* How many items of at least `item` bytes each follow; reading checks that there can be so many. */
bool em_state_length(em_state *s, size_t *n, size_t item);
/* The length of a list that em_grow makes, of items of `size` bytes, saved in no fewer; reading
 * makes room for them. The items follow. */
bool em_state_list(em_state *s, void *list, size_t *n, size_t *capacity, size_t size,
                   const char *what);
/* A malloc'd string; reading replaces *text, which must be NULL or malloc'd. */
bool em_state_string(em_state *s, char **text);
/* A hash in the middle of its input; h was reset without seed or secret. */
bool em_state_hash(em_state *s, XXH3_state_t *h);
bool em_state_bad(em_state *s); /* the bytes read do not fit together; returns false */
/* Reading: everything was read. */
bool em_state_end(em_state *s);

#endif
