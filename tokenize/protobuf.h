/* Protocol Buffers on the wire, as far as a SentencePiece model needs them: fields one after
 * another, of which only lengths are followed. */
#ifndef EM_TOKENIZE_PROTOBUF_H
#define EM_TOKENIZE_PROTOBUF_H

#include <stdbool.h>
#include <stdint.h>

/* A message, or what is left of it; borrowed. */
typedef struct em_proto {
    const unsigned char *at, *end;
} em_proto;

typedef struct em_proto_field {
    uint64_t number;
    uint64_t value;   /* of a varint, or of 4 or 8 bytes (little-endian, a float's bits); else 0 */
    em_proto content; /* of a field with a length (text, bytes, a message); else empty */
} em_proto_field;

/* Takes the next field off the front of p. false: the end, or a field that does not fit or is a
 * group, which leaves p short of its end (p->at < p->end). */
bool em_proto_next(em_proto *p, em_proto_field *out);

#endif
