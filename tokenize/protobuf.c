#include "tokenize/protobuf.h"

#include <stddef.h>

enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };

static bool varint(em_proto *p, uint64_t *out) {
    *out = 0;
    for (int shift = 0; p->at < p->end && shift < 64; shift += 7) {
        *out |= (uint64_t)(*p->at & 127) << shift;
        if (!(*p->at++ & 128)) return true;
    }
    return false;
}

static bool fixed(em_proto *p, size_t bytes, uint64_t *out) {
    *out = 0;
    if ((size_t)(p->end - p->at) < bytes) return false;
    for (size_t i = 0; i < bytes; i++) *out |= (uint64_t)p->at[i] << 8 * i;
    p->at += bytes;
    return true;
}

bool em_proto_next(em_proto *p, em_proto_field *out) {
    em_proto rest = *p;
    uint64_t key, n = 0;
    if (!varint(&rest, &key)) return false;
    *out = (em_proto_field){.number = key >> 3};
    switch (key & 7) {
    case VARINT:
        if (!varint(&rest, &out->value)) return false;
        break;
    case FIXED64:
        if (!fixed(&rest, 8, &out->value)) return false;
        break;
    case FIXED32:
        if (!fixed(&rest, 4, &out->value)) return false;
        break;
    case LENGTH:
        if (!varint(&rest, &n) || n > (uint64_t)(rest.end - rest.at)) return false;
        break;
    default: return false;
    }
    out->content = (em_proto){rest.at, rest.at + n};
    p->at = rest.at + n;
    return true;
}
