#include "tokenize/charsmap.h"

#include <stdint.h>
#include <stdlib.h>

#include "common/size.h"
#include "tokenize/protobuf.h"

/* ---- the rules: a uint32 length, a double array (Yata's Darts-clone) of that length, then the
 * replacements, each ended by a NUL, to which the array's values point ---- */

enum {
    MOST_RESULTS = 32,
    MOST_DEPTH = 512
}; /* of normalizer.h in SentencePiece; longer keys than any */

typedef struct trie {
    const unsigned char *units;
    uint32_t n_units;
    size_t n_values;  /* bytes of the replacements */
    uint8_t *results; /* [n_units]: 1 + the most results below the unit; OPEN: on the way to it; 0:
                         not seen */
} trie;

enum { OPEN = 255 };

static uint32_t little_endian(const unsigned char *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t unit_at(const trie *t, uint32_t i) {
    return little_endian(t->units + 4 * (size_t)i);
}
static uint32_t label_of(uint32_t unit) { return unit & (1u << 31 | 255); }
static uint32_t offset_of(uint32_t unit) { return unit >> 10 << ((unit & 1u << 9) >> 6); }
static bool has_leaf(uint32_t unit) { return unit >> 8 & 1; }

/* The most results that a search gives from this unit on, or -1 where one leaves its bounds: any of
 * the 256 units that a byte may lead to is read, and so is the leaf's. */
static int walk(trie *t, uint32_t at, int depth) {
    uint32_t unit = unit_at(t, at), base = at ^ offset_of(unit);
    int most = 0;
    if (t->results[at] == OPEN || depth == MOST_DEPTH || (base | 255) >= t->n_units) return -1;
    if (t->results[at]) return t->results[at] - 1;
    if (has_leaf(unit) && (unit_at(t, base) & 0x7fffffff) >= t->n_values) return -1;
    t->results[at] = OPEN;
    for (uint32_t byte = 0; byte < 256; byte++) {
        if (label_of(unit_at(t, base ^ byte)) != byte) continue;
        int below = walk(t, base ^ byte, depth + 1);
        if (below < 0) return -1;
        if (below > most) most = below;
    }
    most += has_leaf(unit);
    t->results[at] = (uint8_t)(1 + most);
    return most > MOST_RESULTS ? -1 : most;
}

static bool check_rules(em_proto b, em_error *err) {
    size_t n = (size_t)(b.end - b.at);
    if (n == 0) return true;
    uint32_t length = n > 4 ? little_endian(b.at) : 0;
    bool good = length >= 4 && length % 4 == 0 && length < n - 4;
    trie t = {.units = b.at + 4, .n_units = length / 4, .n_values = good ? n - 4 - length : 0};
    if (good) {
        if (!(t.results = em_alloc(t.n_units, 1, "normalization rules", err))) return false;
        good = walk(&t, 0, 0) >= 0;
        free(t.results);
    }
    return good ||
           em_fail(err, EM_INPUT, "the SentencePiece model's normalization rules are damaged");
}

static bool at_end(const em_proto *b, em_error *err) {
    return b->at == b->end ||
           em_fail(err, EM_INPUT, "SentencePiece cannot read this model: its fields break off");
}

/* NormalizerSpec: 2 precompiled_charsmap. */
static bool check_spec(em_proto spec, em_error *err) {
    em_proto_field field;
    while (em_proto_next(&spec, &field))
        if (field.number == 2 && !check_rules(field.content, err)) return false;
    return at_end(&spec, err);
}

/* ModelProto: 3 normalizer_spec, 5 denormalizer_spec. */
bool em_charsmap_check(const void *model, size_t size, em_error *err) {
    em_proto fields = {model, (const unsigned char *)model + size};
    em_proto_field field;
    while (em_proto_next(&fields, &field))
        if ((field.number == 3 || field.number == 5) && !check_spec(field.content, err))
            return false;
    return at_end(&fields, err);
}

/* ---- following the rules ---- */

bool em_charsmap_open(em_charsmap *out, const void *rules, size_t n, em_error *err) {
    em_proto bytes = {rules, (const unsigned char *)rules + n};
    *out = (em_charsmap){0};
    if (!n) return true;
    if (!check_rules(bytes, err)) return false;
    *out = (em_charsmap){bytes.at + 4, little_endian(bytes.at) / 4};
    return true;
}

static uint32_t unit_of(const em_charsmap *c, uint32_t i) {
    return little_endian(c->units + 4 * (size_t)i);
}

static const char *text_of(const em_charsmap *c, uint32_t leaf) {
    return (const char *)c->units + 4 * (size_t)c->n_units + (unit_of(c, leaf) & 0x7fffffff);
}

/* The first rule along text, and with all the last. */
static size_t follow(const em_charsmap *c, const char *text, size_t n, bool all,
                     const char **becomes) {
    size_t found = 0;
    uint32_t unit = unit_of(c, 0), at = offset_of(unit);
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)text[i];
        at ^= byte;
        unit = unit_of(c, at);
        if (label_of(unit) != byte) break;
        at ^= offset_of(unit);
        if (!has_leaf(unit)) continue;
        found = i + 1;
        *becomes = text_of(c, at);
        if (!all) break;
    }
    return found;
}

size_t em_charsmap_longest(const em_charsmap *c, const char *text, size_t n, const char **becomes) {
    return c->units ? follow(c, text, n, true, becomes) : 0;
}

size_t em_charsmap_shortest(const em_charsmap *c, const char *text, size_t n,
                            const char **becomes) {
    return c->units ? follow(c, text, n, false, becomes) : 0;
}
