/* A SentencePiece model read by ourselves: its pieces, its rules, and what proves that a text may
 * be cut. A piece can only be merged across two neighbouring characters where some piece holds
 * those two side by side; everywhere else a text falls apart into stretches that know nothing of
 * each other. Where no piece has U+2581 inside it, a stretch is at most a word. */
#ifndef EM_TOKENIZE_SPM_MODEL_H
#define EM_TOKENIZE_SPM_MODEL_H

#include "tokenize/added.h"
#include "tokenize/charsmap.h"
#include "tokenize/sentencepiece.h"
#include "tokenize/vocab.h"

#define EM_SPM_SPACE 0x2581 /* what SentencePiece's normalizer makes of a space */
/* Bytes of a piece; a model with longer ones is left to the library. */
#define EM_SPM_LONGEST 1023

typedef struct em_spm_pieces {
    em_vocab vocab;     /* by id; EM_TOKEN_MODEL: a text may hold it (normal and user-defined) */
    em_added user;      /* user-defined symbols as the normalizer looks for them */
    em_added frozen;    /* the same in normalized text, where nothing merges with them */
    bool unigram;       /* or BPE */
    em_added held;      /* of Unigram: the pieces that a text may hold */
    float *scores;      /* by id; owned */
    float least, most;  /* of normal pieces' scores */
    uint32_t *ranks;    /* by id: 0 for the highest score, equal for equal ones; owned */
    uint32_t longest;   /* bytes */
    int32_t unknown;    /* id */
    bool byte_fallback; /* an unknown character becomes its bytes' pieces */
    int32_t byte_ids[256];
    uint64_t *joined;                /* bit set of hashed pairs of characters; owned */
    uint64_t joined_ascii[128][2];   /* bit b of [a]: some piece holds a b; the space at 32 */
    bool dummy_prefix, remove_extra; /* the normalizer's rules */
    unsigned char *rules;            /* owned; NULL: characters stay */
    em_charsmap charsmap;            /* what stands in them */
} em_spm_pieces;

/* Reads a serialized ModelProto that em_charsmap_check and the library have accepted. *ours:
 * whether em_spm_segment gives for this model what the library gives: it is false for word and
 * character models and where a rule is not one of those above (unused pieces, a space as suffix,
 * spaces not escaped, pieces of one character that no text may hold). Errors: EM_MACHINE.
 */
bool em_spm_pieces_read(em_spm_pieces *p, const void *data, size_t size, bool *ours, em_error *err);
void em_spm_pieces_free(em_spm_pieces *p); /* frees and zeroes */

/* em_spm_joined for any two characters. */
bool em_spm_joined_wide(const em_spm_pieces *p, int32_t a, int32_t b);

/* Whether a merge may ever reach across the neighbours a and b of a normalized text. False is a
 * proof, true is not. */
static inline bool em_spm_joined(const em_spm_pieces *p, int32_t a, int32_t b) {
    if (a < 128 && b < 128) return p->joined_ascii[a][b >> 6] >> (b & 63) & 1;
    return em_spm_joined_wide(p, a, b);
}

/* ---- merging ---- */

/* Working memory of one thread; {0} is empty and ready. */
typedef struct em_spm_merger {
    uint64_t *starts; /* bit set: a symbol begins at this byte */
    size_t starts_capacity;
    uint64_t *heap; /* rank, place and size of a merge in one number: the least comes first */
    size_t n_heap, heap_capacity;
    struct em_spm_node *nodes; /* of Unigram: by byte, the best path to it */
    size_t nodes_capacity;
} em_spm_merger;

void em_spm_merger_free(em_spm_merger *m); /* frees and zeroes */

/* Gets each token and how many bytes of the segment it stands for; an unknown character's byte
 * pieces: 0 and at the last its whole length. false stops. */
typedef bool em_spm_sink(void *context, int32_t id, size_t bytes);

/* The tokens of a stretch of normalized text that begins and ends where no merge reaches across (or
 * at the text's ends), as bpe_model.cc of SentencePiece 0.1.97 gives them: of all neighbours whose
 * joined text is a piece, those of the highest score first, the leftmost of equal ones. */
bool em_spm_segment(const em_spm_pieces *p, em_spm_merger *m, const char *text, size_t n,
                    em_spm_sink *sink, void *context, em_error *err);

/* The same of a Unigram model: the path of the highest sum of scores. *score: the sum before the
 * stretch (0 at a text's begin), which its rounding depends on; then behind it. */
bool em_spm_best_path(const em_spm_pieces *p, em_spm_merger *m, const char *text, size_t n,
                      float *score, em_spm_sink *sink, void *context, em_error *err);

/* Gives an unknown character of n bytes, or its byte pieces, to sink; what sink returns. */
bool em_spm_give_unknown(const em_spm_pieces *p, const char *s, size_t n, em_spm_sink *sink,
                         void *context);

/* Whether the piece is user-defined: taken before anything is merged. */
static inline bool em_spm_is_user(const em_spm_pieces *p, int32_t id) {
    return p->vocab.tokens[id].flags & EM_TOKEN_USER;
}

#endif
