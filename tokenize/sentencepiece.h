/* SentencePiece behind C: everything that is C++ stays in sentencepiece.cc, and no exception
 * leaves it. */
#ifndef EM_TOKENIZE_SENTENCEPIECE_H
#define EM_TOKENIZE_SENTENCEPIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct em_spm em_spm;

/* A serialized ModelProto; data need not outlive the call. NULL where it is none (a line in why,
 * why_n bytes with its NUL) or there was no memory for it (*memory). Release: em_spm_close. */
em_spm *em_spm_open(const void *data, size_t size, char *why, size_t why_n, bool *memory);
void em_spm_close(em_spm *m); /* m may be NULL */

/* Gives each piece's id and the byte of the text (n bytes of UTF-8) where it ends, ascending; push
 * returns false to stop. false: why says what went wrong, "" where push stopped or where there was
 * no memory (*memory). The library needs some 120 bytes for each byte of the text. Threads may
 * share m. */
typedef bool em_spm_push(void *context, int32_t id, uint32_t end);
bool em_spm_encode(const em_spm *m, const char *text, size_t n, em_spm_push *push, void *context,
                   char *why, size_t why_n, bool *memory);

int32_t em_spm_size(const em_spm *m);                  /* pieces; ids go from 0 to it, exclusive */
int32_t em_spm_bos(const em_spm *m);                   /* the id that the model names; -1: none */
int32_t em_spm_eos(const em_spm *m);                   /* likewise */
int32_t em_spm_id(const em_spm *m, const char *piece); /* -1: there is no such piece */
/* Whether id (in range) is <0xNN>: one byte of a character without a piece. */
bool em_spm_is_byte(const em_spm *m, int32_t id);
/* Whether id (in range) is a control piece or the unknown one: in no text, to the library. */
bool em_spm_is_control(const em_spm *m, int32_t id);
const char *em_spm_piece(const em_spm *m, int32_t id); /* id in range; valid while m lives */

#ifdef __cplusplus
}
#endif
#endif
